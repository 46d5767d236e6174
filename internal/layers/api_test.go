package layers

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/api")

func TestExportedAPIIsWhatTheFilesSay(t *testing.T) {
	known := map[string]bool{}
	for _, p := range packages(t) {
		name, _ := relative(p.ImportPath)
		if p.Name == "main" || name == "." || covers("internal/...", name) || covers("examples/...", name) {
			continue
		}
		file := filepath.Join("testdata", "api", strings.ReplaceAll(name, "/", "-")+".txt")
		known[file] = true
		lines, err := exported(p.Dir)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(lines, "\n") + "\n"
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("package %s: %v (go test ./internal/layers -update)", name, err)
			continue
		}
		old := strings.Split(strings.TrimSuffix(string(want), "\n"), "\n")
		for _, l := range lines {
			if !slices.Contains(old, l) {
				t.Errorf("package %s: + %s (go test ./internal/layers -update)", name, l)
			}
		}
		for _, l := range old {
			if !slices.Contains(lines, l) {
				t.Errorf("package %s: - %s (go test ./internal/layers -update)", name, l)
			}
		}
	}
	files, err := filepath.Glob("testdata/api/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if known[f] {
			continue
		}
		if *update {
			os.Remove(f)
		} else {
			t.Errorf("%s is of no package", f)
		}
	}
}

// exported returns one line for each exported name of the package in dir, as Linux has it. Names of parameters are left
// out: they are not API.
func exported(dir string) ([]string, error) {
	ctx := build.Default
	ctx.GOOS, ctx.GOARCH, ctx.CgoEnabled = "linux", "amd64", false
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var d dumper
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		if ok, err := ctx.MatchFile(dir, e.Name()); err != nil || !ok {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range f.Decls {
			d.decl(decl)
		}
	}
	d.promote()
	slices.Sort(d.lines)
	return slices.Compact(d.lines), nil
}

type dumper struct {
	lines  []string
	embeds [][2]string         // exported type, unexported type that it embeds
	hidden map[string][]string // lines of unexported types, with % for the name of the type that embeds one
}

// promote adds what exported types have from unexported ones that they embed.
func (d *dumper) promote() {
	for _, e := range d.embeds {
		for _, l := range d.hidden[e[1]] {
			d.add("%s", strings.ReplaceAll(l, "%", e[0]))
		}
	}
}

func (d *dumper) hide(typ, format string, args ...any) {
	if d.hidden == nil {
		d.hidden = make(map[string][]string)
	}
	d.hidden[typ] = append(d.hidden[typ], fmt.Sprintf(format, args...))
}

func (d *dumper) add(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *dumper) decl(decl ast.Decl) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		d.function(decl)
	case *ast.GenDecl:
		var inherited ast.Expr // the type of constants that say none
		for _, s := range decl.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				d.typ(s)
			case *ast.ValueSpec:
				if s.Type != nil || len(s.Values) > 0 {
					inherited = s.Type
				}
				for i, n := range s.Names {
					if !n.IsExported() {
						continue
					}
					line := decl.Tok.String() + " " + n.Name
					if inherited != nil {
						line += " " + text(inherited)
					}
					if decl.Tok == token.CONST && i < len(s.Values) {
						line += " = " + text(s.Values[i])
					}
					d.add("%s", line)
				}
			}
		}
	}
}

func (d *dumper) function(f *ast.FuncDecl) {
	if !f.Name.IsExported() {
		return
	}
	sig := strings.TrimPrefix(text(f.Type), "func")
	if f.Recv == nil {
		d.add("func %s%s", f.Name.Name, sig)
		return
	}
	recv := text(f.Recv.List[0].Type)
	if base := strings.TrimPrefix(recv, "*"); ast.IsExported(base) {
		d.add("method (%s) %s%s", recv, f.Name.Name, sig)
	} else {
		d.hide(base, "method (%s) %s%s", strings.Replace(recv, base, "%", 1), f.Name.Name, sig)
	}
}

func (d *dumper) typ(s *ast.TypeSpec) {
	if !s.Name.IsExported() {
		if t, ok := s.Type.(*ast.StructType); ok {
			for _, f := range t.Fields.List {
				for _, n := range f.Names {
					if n.IsExported() {
						d.hide(s.Name.Name, "field %%.%s %s", n.Name, text(f.Type))
					}
				}
			}
		}
		return
	}
	name := s.Name.Name
	switch t := s.Type.(type) {
	case *ast.StructType:
		d.add("type %s struct", name)
		for _, f := range t.Fields.List {
			if base := strings.TrimPrefix(text(f.Type), "*"); len(f.Names) == 0 && !strings.Contains(base, ".") && !ast.IsExported(base) {
				d.embeds = append(d.embeds, [2]string{name, base})
			} else if len(f.Names) == 0 {
				d.add("field %s: %s", name, text(f.Type))
			}
			for _, n := range f.Names {
				if n.IsExported() {
					d.add("field %s.%s %s", name, n.Name, text(f.Type))
				}
			}
		}
	case *ast.InterfaceType:
		d.add("type %s interface", name)
		for _, m := range t.Methods.List {
			if len(m.Names) == 0 {
				d.add("in %s: %s", name, text(m.Type))
			}
			for _, n := range m.Names {
				d.add("in %s: %s%s", name, n.Name, strings.TrimPrefix(text(m.Type), "func"))
			}
		}
	default:
		eq := ""
		if s.Assign.IsValid() {
			eq = "= "
		}
		d.add("type %s %s%s", name, eq, text(t))
	}
}

// text prints an expression on one line, without the names of parameters.
func text(e ast.Expr) string {
	ast.Inspect(e, func(n ast.Node) bool {
		if f, ok := n.(*ast.FuncType); ok {
			unname(f.Params)
			unname(f.Results)
		}
		return true
	})
	var b bytes.Buffer
	if err := printer.Fprint(&b, token.NewFileSet(), e); err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func unname(l *ast.FieldList) {
	if l == nil {
		return
	}
	var list []*ast.Field
	for _, f := range l.List {
		for range max(len(f.Names), 1) {
			list = append(list, &ast.Field{Type: f.Type})
		}
	}
	l.List = list
}
