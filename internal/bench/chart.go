package main

import (
	"fmt"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

var (
	colorUp   = color.RGBA{0x2b, 0x6c, 0xb0, 0xff}
	colorDown = color.RGBA{0x90, 0xcd, 0xf4, 0xff}
)

// A bar is a system's values, up and down.
type bar struct {
	name     string
	up, down float64
}

// draw draws two charts beside each other: bytes a second, and how long a ping takes behind a bulk transfer.
func (r *result) draw(file string) error {
	var rates, pings []bar
	for _, s := range []struct{ name, label string }{
		{sysOpenVPN, "OpenVPN"}, {sysWG, "wireguard-go"}, {sysSSTP, "dialway"}, {sysTLS, "TLS copy"},
	} {
		b := bar{name: s.label}
		if x := r.find(s.name, veth.Name, "up"); x != nil {
			b.up = x.Mbit
		}
		if x := r.find(s.name, veth.Name, "down"); x != nil {
			b.down = x.Mbit
		}
		if b.up+b.down > 0 {
			rates = append(rates, b)
		}
	}
	for _, s := range []struct{ name, label string }{
		{sysOpenVPN, "OpenVPN"}, {sysWG, "wireguard-go"}, {sysSSTP, "dialway"}, {sysNone, "no tunnel"},
	} {
		b := bar{name: s.label}
		if x := r.find(s.name, narrow.Name, "up"); x != nil {
			b.up = x.P99
		}
		if x := r.find(s.name, narrow.Name, "down"); x != nil {
			b.down = x.P99
		}
		if b.up+b.down > 0 {
			pings = append(pings, b)
		}
	}
	canvas := vgsvg.New(26*vg.Centimeter, 9*vg.Centimeter)
	tiles := draw.Tiles{Cols: 2, Rows: 1, PadX: vg.Centimeter, PadTop: 6, PadBottom: 6, PadLeft: 6, PadRight: 12}
	area := draw.New(canvas)
	for i, c := range []struct {
		title, unit string
		bars        []bar
	}{
		{"One TCP stream, two cores for everything", "Mbit/s", rates},
		{fmt.Sprintf("Ping beside a transfer, %s", narrow.Name), "ms, 99th percentile", pings},
	} {
		p, err := chart(c.title, c.unit, c.bars)
		if err != nil {
			return err
		}
		p.Draw(tiles.At(area, i, 0))
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// find finds a row of one stream, with cubic inside and, if it has connections, outside.
func (r *result) find(system, wire, load string) *row {
	for _, x := range r.Rows {
		if x.System == system && x.Wire == wire && x.Load == load && x.Streams == 1 && (x.Outer == control || x.Outer == "") && (x.Inner == control || x.Inner == "") {
			return x
		}
	}
	return nil
}

func chart(title, unit string, bars []bar) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.Y.Label.Text, p.Y.Min = title, unit, 0
	p.BackgroundColor = color.White
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, 4
	if len(bars) == 0 {
		return p, nil
	}
	const width = 22
	var up, down plotter.Values
	var names []string
	var values plotter.XYLabels
	for i, b := range bars {
		up, down, names = append(up, b.up), append(down, b.down), append(names, b.name)
		for j, v := range []float64{b.up, b.down} {
			values.XYs = append(values.XYs, plotter.XY{X: float64(i) + (float64(j)-0.5)*0.4, Y: v})
			values.Labels = append(values.Labels, number(v, 0))
		}
	}
	for i, series := range []struct {
		name   string
		values plotter.Values
		color  color.Color
	}{{"up", up, colorUp}, {"down", down, colorDown}} {
		c, err := plotter.NewBarChart(series.values, vg.Points(width))
		if err != nil {
			return nil, err
		}
		c.Color, c.LineStyle.Width = series.color, 0
		c.Offset = vg.Points(width * (float64(i) - 0.5))
		p.Add(c)
		p.Legend.Add(series.name, c)
	}
	labels, err := plotter.NewLabels(values)
	if err != nil {
		return nil, err
	}
	labels.Offset.Y = 2
	for i := range labels.TextStyle {
		labels.TextStyle[i].XAlign, labels.TextStyle[i].Font.Size = text.XCenter, 8
	}
	p.Add(labels)
	p.NominalX(names...)
	p.X.Min, p.X.Max, p.Y.Max = -0.6, float64(len(names))-0.4, p.Y.Max*1.35
	return p, nil
}
