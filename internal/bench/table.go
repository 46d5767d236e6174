package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// print prints the table, and the ratios below it.
func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %d rounds, %s\n", r.Machine, r.Rounds, r.When)
	fmt.Fprint(w, "idle, and taken by the machine's host: parts of all processors' time, means\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "wire\tload\tstreams\tinside\toutside\tsystem\tMbit/s\tto TLS\tto wireguard\ts/GiB client\tserver\tboth\tidle\ttaken\tping p50\tp99 ms")
	for _, x := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Wire, x.Load, number(float64(x.Streams), 0), x.Inner, x.Outer, x.System,
			number(x.Mbit, 0), number(r.beside(x, sysTLS), 2), number(r.beside(x, sysWG), 2),
			number(x.Client, 2), number(x.Server, 2), number(x.both(), 2), percent(x.Idle), percent(x.Taken), number(x.P50, 1), number(x.P99, 1))
	}
	t.Flush()
	fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ratio, median of the rounds\tvalue\tgoal")
	for _, x := range r.Ratios {
		fmt.Fprintf(t, "%s\t%.2f\t%s\n", x.Name, x.Value, number(x.Goal, 2))
	}
	t.Flush()
}

// beside is a row's rate to that of another system under the same load; 0: there is none.
func (r *result) beside(x *row, reference string) float64 {
	for _, y := range r.Rows {
		if y.System == reference && y != x && y.Wire == x.Wire && y.Load == x.Load && y.Streams == x.Streams && (y.Inner == x.Inner || y.Inner == "" && y.Outer == x.Inner) && y.Mbit > 0 {
			return x.Mbit / y.Mbit
		}
	}
	return 0
}

// percent formats a part of a whole; nothing for 0.
func percent(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*v)
}

// number formats v; nothing for 0.
func number(v float64, digits int) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.*f", digits, v)
}
