// Package gates shows that every security gate is held by a test of its own.
//
// A gate is a predicate in a file gates.go or gates_*.go of its package, with a comment that names the test that fails
// without it. The test here finds the gates by parsing, builds the tests of each package with predicates that let
// everybody through when the environment names them (go test -overlay), and for each gate runs the tests it names, and
// expects each to fail. A test that passes without its gate passes for another reason, and shows nothing.
//
// In go test it only looks whether the tests exist; all of it runs with
//
//	DIALWAY_GATES=1 go test ./internal/gates
package gates
