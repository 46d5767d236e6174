// Package conf reads the example programs' configuration files: TOML, of which everything that is wrong is told at once,
// each with its line.
package conf

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// A Source is a file under reading: where its keys stand, and what is wrong in it.
type Source struct {
	file  string
	dir   string         // names of files are relative to it
	lines map[string]int // path of a key, such as interface.0.route.1.prefix
	wrong Problems
}

// Problems are all that is wrong with a file, by line.
type Problems []problem

type problem struct {
	line int
	text string
	file string
}

// Error returns a line for each.
func (p Problems) Error() string {
	var b strings.Builder
	for n, x := range p {
		if n > 0 {
			b.WriteByte('\n')
		}
		if fmt.Fprintf(&b, "%s:", x.file); x.line > 0 {
			fmt.Fprintf(&b, "%d:", x.line)
		}
		b.WriteString(" " + x.text)
	}
	return b.String()
}

// Read reads a file. What is no TOML at all is an error; everything else is for the caller to find.
func Read(file string) (*Table, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := &Source{file: file, dir: filepath.Dir(file), lines: keyLines(string(b))}
	m := map[string]any{}
	if _, err := toml.Decode(string(b), &m); err != nil {
		var syntax toml.ParseError
		if errors.As(err, &syntax) {
			return nil, Problems{{syntax.Position.Line, syntax.Message, file}}
		}
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &Table{Source: s, values: m}, nil
}

// keyLines finds the lines of keys and tables, so that what is wrong can be told with its place.
func keyLines(text string) map[string]int {
	lines := map[string]int{}
	count := map[string]int{} // of arrays of tables, by path
	prefix := ""
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "[["):
			name, _, _ := strings.Cut(line[2:], "]]")
			prefix = ""
			parts := strings.Split(strings.TrimSpace(name), ".")
			for i, part := range parts {
				prefix = Join(prefix, strings.TrimSpace(part))
				if i == len(parts)-1 {
					count[prefix]++
				}
				if c := count[prefix]; c > 0 {
					prefix = Join(prefix, strconv.Itoa(c-1))
				}
			}
			lines[prefix] = n
		case strings.HasPrefix(line, "["):
			name, _, _ := strings.Cut(line[1:], "]")
			prefix = ""
			for part := range strings.SplitSeq(strings.TrimSpace(name), ".") {
				prefix = Join(prefix, strings.TrimSpace(part))
				if c := count[prefix]; c > 0 {
					prefix = Join(prefix, strconv.Itoa(c-1))
				}
			}
			lines[prefix] = n
		default:
			if key, _, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
				path := Join(prefix, strings.Trim(strings.TrimSpace(key), `"'`))
				if lines[path] == 0 {
					lines[path] = n
				}
			}
		}
	}
	return lines
}

// Join makes a path of a path and a key.
func Join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

// at returns the line of a path, or of what it stands in.
func (s *Source) at(path string) int {
	for {
		if n := s.lines[path]; n > 0 {
			return n
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return 0
		}
		path = path[:i]
	}
}

// Bad notes a problem once.
func (s *Source) Bad(path, format string, args ...any) {
	p := problem{s.at(path), fmt.Sprintf(format, args...), s.file}
	if !slices.Contains(s.wrong, p) {
		s.wrong = append(s.wrong, p)
	}
}

// Err returns all Problems, by line.
func (s *Source) Err() error {
	if len(s.wrong) == 0 {
		return nil
	}
	slices.SortStableFunc(s.wrong, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	return s.wrong
}

// A Table is one of TOML's, whose values are taken out by key; what is wrong is noted, and reads as if it were not there.
type Table struct {
	*Source
	Path   string
	values map[string]any
}

// Bad notes a problem of a key.
func (t *Table) Bad(key, format string, args ...any) {
	t.Source.Bad(Join(t.Path, key), key+": "+format, args...)
}

// take returns a value; ok is false if it is not there, or is of another type.
func take[T any](t *Table, key, want string) (v T, ok bool) {
	x, there := t.values[key]
	if !there {
		return v, false
	}
	delete(t.values, key)
	if v, ok = x.(T); !ok {
		t.Bad(key, "want %s", want)
	}
	return v, ok
}

// Str returns a text.
func (t *Table) Str(key, otherwise string) string {
	if v, ok := take[string](t, key, "a text in quotes"); ok {
		return v
	}
	return otherwise
}

// Bool returns a truth.
func (t *Table) Bool(key string, otherwise bool) bool {
	if v, ok := take[bool](t, key, "true or false"); ok {
		return v
	}
	return otherwise
}

// Number returns a number within bounds; 0 where there is none.
func (t *Table) Number(key string, least, most int) int {
	return int(t.Number64(key, int64(least), int64(most)))
}

// Number64 is Number for what may not fit into an int.
func (t *Table) Number64(key string, least, most int64) int64 {
	v, ok := take[int64](t, key, "a number")
	if ok && (v < least || v > most) {
		t.Bad(key, "%d is not between %d and %d", v, least, most)
		return 0
	}
	return v
}

// Word takes a value if it is that text, which stands for something that its type has no room for.
func (t *Table) Word(key, word string) bool {
	if t.values[key] != word {
		return false
	}
	delete(t.values, key)
	return true
}

// Texts returns a list; a single text is a list of one.
func (t *Table) Texts(key string) (list []string) {
	if s, ok := t.values[key].(string); ok {
		delete(t.values, key)
		return []string{s}
	}
	all, _ := take[[]any](t, key, "a list of texts")
	for _, x := range all {
		s, ok := x.(string)
		if !ok {
			t.Bad(key, "want a list of texts")
			return nil
		}
		list = append(list, s)
	}
	return list
}

// Duration returns a time such as "5m"; word means without end.
func (t *Table) Duration(key, word string) time.Duration {
	s, ok := take[string](t, key, `a time such as "5m"`)
	if !ok {
		return 0
	}
	return t.ParseDuration(key, s, word)
}

// ParseDuration reads a time that stands in another value, as Duration does.
func (t *Table) ParseDuration(key, s, word string) time.Duration {
	if word != "" && s == word {
		return -1
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil && word != "":
		t.Bad(key, `%q is no time such as "5m", nor %q`, s, word)
	case err != nil:
		t.Bad(key, `%q is no time such as "5m"`, s)
	case d <= 0:
		t.Bad(key, "%q: it must be longer than nothing", s)
	default:
		return d
	}
	return 0
}

// List returns the values of a list, each made by parse.
func List[T any](t *Table, key string, parse func(s string) (T, error)) (all []T) {
	for _, s := range t.Texts(key) {
		v, err := parse(s)
		if err != nil {
			t.Bad(key, "%v", err)
			continue
		}
		all = append(all, v)
	}
	return all
}

// Tables returns an array of tables.
func (t *Table) Tables(key string) (list []*Table) {
	all, _ := take[[]map[string]any](t, key, "[["+Join(t.Path, key)+"]]")
	for n, m := range all {
		list = append(list, &Table{t.Source, Join(Join(t.Path, key), strconv.Itoa(n)), m})
	}
	return list
}

// Sub returns a table in a table; nil if there is none.
func (t *Table) Sub(key string) *Table {
	m, ok := take[map[string]any](t, key, "a table")
	if !ok {
		return nil
	}
	return &Table{t.Source, Join(t.Path, key), m}
}

// Rest notes what nobody has taken.
func (t *Table) Rest() {
	for _, key := range slices.Sorted(maps.Keys(t.values)) {
		t.Bad(key, "there is no such key")
	}
}

// Name returns a file's name, relative to this one.
func (s *Source) Name(file string) string {
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(s.dir, file)
}
