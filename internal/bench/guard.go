package main

import (
	"fmt"
	"io"
)

// lost is how much of a committed ratio may be missing: these machines are shared.
const lost = 1.0 / 3

// guard compares ratios with those that were committed, says how they stand, and returns an error if one has fallen by a
// third or below its floor. What was not measured now is not compared. Where the committed build was measured beside, and
// has not reached what is committed either, it is what has to be reached. A ratio that has a floor and no goal is held by
// that alone: through both netstacks, up, it is now three and a half, now six, and the floor is two thirds of the lesser.
func guard(now, then *result, w io.Writer) error {
	bad := 0
	for _, x := range now.Ratios {
		was := 0.0
		for _, y := range then.Ratios {
			if y.Name == x.Name {
				was = y.Value
			}
		}
		reached, beside := was, ""
		if x.Beside > 0 {
			reached = min(was, x.Beside)
			beside = fmt.Sprintf(" (%.2f here)", x.Beside)
		}
		least := max(reached*(1-lost), x.Floor)
		if x.Goal == 0 && x.Floor > 0 {
			least = x.Floor
		}
		verdict := "ok"
		if x.Value < least {
			verdict = "FELL"
			bad++
		}
		fmt.Fprintf(w, "%-5s %s: %.2f, committed %s%s, at least %.2f\n", verdict, x.Name, x.Value, number(was, 2), beside, least)
	}
	switch {
	case len(now.Ratios) == 0:
		return fmt.Errorf("nothing was measured that could be compared")
	case bad > 0:
		return fmt.Errorf("%d of %d ratios fell", bad, len(now.Ratios))
	}
	return nil
}
