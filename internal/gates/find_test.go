package gates

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A gate is a predicate, and what it takes to open it.
type gate struct {
	pkg   string // relative to the root of the module
	in    string // as the package clause says
	file  string
	name  string
	tests []string // as the comment names them: TestX or TestX/sub_test
	lbrac int      // offset behind the body's opening brace
	open  string   // the statements that let everybody through
}

func (g gate) String() string { return filepath.Base(g.pkg) + "." + g.name }

// open is what lets everybody through, for gates where that is not to return true.
var open = map[string]string{
	"ppp.missingKeys":    `return ""`,
	"eap.missingKeys":    `return ""`,
	"tunnel.staysOnLink": "return false",
	"tunnel.staysOnHost": "return false",
	"tunnel.judge":       "i.Parse(b); return i, true",
	"netstack.martian":   "return false",
}

var testName = regexp.MustCompile(`\bTest[A-Z0-9]\w*(/[\w/]*\w)?`)

// root is the module's directory, as seen from this one.
const root = "../.."

// find returns every gate of the module, and what is wrong with the files that hold them.
func find(t *testing.T) (all []gate) {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata"):
			return filepath.SkipDir
		case name == "gates.go", strings.HasPrefix(name, "gates_") && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	byDir := map[string][]string{}
	for _, f := range files {
		byDir[filepath.Dir(f)] = append(byDir[filepath.Dir(f)], f)
	}
	for dir, files := range byDir {
		gates, wrong := parse(dir, files)
		for _, w := range wrong {
			t.Error(w)
		}
		all = append(all, gates...)
	}
	slices.SortFunc(all, func(a, b gate) int { return strings.Compare(a.String(), b.String()) })
	for name := range open {
		if !slices.ContainsFunc(all, func(g gate) bool { return g.String() == name }) {
			t.Errorf("%s is no gate any more", name)
		}
	}
	if len(all) < 20 {
		t.Fatalf("found only %d gates", len(all))
	}
	return all
}

// parse returns the gates of a package. What is no gate in such a file is the helper of one, and used by it.
func parse(dir string, files []string) (gates []gate, wrong []string) {
	fset := token.NewFileSet()
	used := map[string]bool{} // by the functions of these files
	var helpers []string
	pkg, err := filepath.Rel(root, dir)
	if err != nil {
		return nil, []string{err.Error()}
	}
	for _, file := range files {
		f, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
		if err != nil {
			return nil, []string{err.Error()}
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if id, ok := call.Fun.(*ast.Ident); ok {
						used[id.Name] = true
					}
				}
				return true
			})
			g := gate{
				pkg: filepath.ToSlash(pkg), in: f.Name.Name, file: file, name: fn.Name.Name,
				tests: testName.FindAllString(fn.Doc.Text(), -1),
				lbrac: fset.Position(fn.Body.Lbrace).Offset + 1,
			}
			at := fset.Position(fn.Pos())
			if len(g.tests) == 0 {
				helpers = append(helpers, g.name)
				continue
			}
			if g.open = open[g.String()]; g.open == "" {
				if g.open = returnTrue(fn); g.open == "" {
					wrong = append(wrong, fmt.Sprintf("%v: %s is no predicate: say in the map open what lets everybody through", at, g))
					continue
				}
			}
			gates = append(gates, g)
		}
	}
	for _, h := range helpers {
		if !used[h] && !usedByName(dir, h) {
			wrong = append(wrong, fmt.Sprintf("%s.%s stands with the gates, but names no test that fails without it", pkg, h))
		}
	}
	return gates, wrong
}

// usedByName reports whether a name that is no gate serves a file of gates in another way: an error that a gate's caller
// returns stands well beside it.
func usedByName(dir, name string) bool { return strings.HasSuffix(name, "Error") }

// returnTrue is the statements that make a predicate say yes; what it says beside that is zero. It is empty for what is no
// predicate.
func returnTrue(fn *ast.FuncDecl) string {
	r := fn.Type.Results
	if fn.Recv != nil || r == nil {
		return ""
	}
	last := r.List[len(r.List)-1]
	if id, ok := last.Type.(*ast.Ident); !ok || id.Name != "bool" || len(last.Names) > 1 {
		return ""
	}
	var zeros, values string
	n := 0
	for _, f := range r.List[:len(r.List)-1] {
		for range max(1, len(f.Names)) {
			zeros += fmt.Sprintf("var zero%d %s; ", n, types.ExprString(f.Type))
			values += fmt.Sprintf("zero%d, ", n)
			n++
		}
	}
	return zeros + "return " + values + "true"
}

// testsOf returns the names of a package's tests, its external ones included.
func testsOf(t *testing.T, pkg string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names
}
