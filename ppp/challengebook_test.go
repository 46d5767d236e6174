package ppp

import "testing"

func TestChallengeBookKeepsTheLatest(t *testing.T) {
	var b challengeBook
	c := func(i int) []byte { return []byte{byte(i), 1, 2}[:1+i%3] } // of several lengths
	const n = challengesKept + 3
	for i := range n {
		if b.has(c(i)) {
			t.Errorf("%d is there already", i)
		}
		b.note(c(i))
	}
	for i := range n {
		if kept := i >= n-challengesKept; b.has(c(i)) != kept {
			t.Errorf("%d: kept %v", i, !kept)
		}
	}
	if b.has(nil) || b.has([]byte{1, 2, 0}) {
		t.Error("has what was not noted")
	}
}
