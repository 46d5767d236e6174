package crowd

import (
	"os"
	"strings"
	"testing"
)

func TestCurves(t *testing.T) {
	r := new(run)
	axes := curve{X: "sessions", Y: "Mbit/s", Log: true}
	for _, n := range []float64{1, 10, 100} {
		r.point("down", axes, "64 bytes", n, 2*n)
		r.point("down", axes, "512 bytes", n, 3*n)
		r.point("up", axes, "", n, n)
	}
	if len(r.Curves) != 2 || len(r.Curves[0].Lines) != 2 || len(r.Curves[0].Lines[1].Points) != 3 || r.Curves[0].Lines[1].Points[2] != [2]float64{100, 300} {
		t.Fatalf("%+v", r.Curves)
	}
	file := t.TempDir() + "/x.svg"
	if err := drawCurves(r.Curves, file); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(file)
	for _, want := range []string{"512 bytes", "down", "sessions", ">100<"} {
		if err != nil || !strings.Contains(string(svg), want) {
			t.Error(want, err)
		}
	}
}
