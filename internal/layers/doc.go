// Package layers holds the rules of who may import whom, the exported API of every public package, and the list of what the
// compiler must inline, as tests.
//
// An edge that the table in rules_test.go does not allow fails. Every exported name stands in testdata/api: a new one, or
// a changed signature, is a line in a diff. Renew the files with
//
//	go test ./internal/layers -update
package layers
