package crowd

import (
	"errors"
	"image/color"
	"os"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A curve shows how something grows.
type curve struct {
	Title string `json:"title"`
	X     string `json:"x"`
	Y     string `json:"y"`
	Log   bool   `json:"log,omitempty"` // of x
	Lines []line `json:"lines"`
}

// A line is one of them.
type line struct {
	Name   string       `json:"name,omitempty"`
	Points [][2]float64 `json:"points"`
}

// point adds a point to a line of a curve; what is new is made.
func (r *run) point(title string, of curve, name string, x, y float64) {
	c := find(&r.Curves, func(c *curve) bool { return c.Title == title })
	if c.Title == "" {
		of.Title, of.Lines = title, nil
		*c = of
	}
	l := find(&c.Lines, func(l *line) bool { return l.Name == name })
	l.Name = name
	l.Points = append(l.Points, [2]float64{x, y})
}

// find returns the element that is wanted, or a new one at the end.
func find[T any](list *[]T, is func(*T) bool) *T {
	for i := range *list {
		if is(&(*list)[i]) {
			return &(*list)[i]
		}
	}
	var none T
	*list = append(*list, none)
	return &(*list)[len(*list)-1]
}

var lineColors = []color.Color{
	color.RGBA{0x2b, 0x6c, 0xb0, 0xff}, color.RGBA{0xc0, 0x56, 0x21, 0xff}, color.RGBA{0x2f, 0x85, 0x5a, 0xff}, color.RGBA{0x80, 0x5a, 0xd5, 0xff},
}

// drawCurves draws them, two in a row.
func drawCurves(curves []curve, file string) error {
	rows := (len(curves) + 1) / 2
	canvas := vgsvg.New(26*vg.Centimeter, 8*vg.Centimeter*vg.Length(rows))
	tiles := draw.Tiles{Cols: 2, Rows: rows, PadX: vg.Centimeter, PadY: vg.Centimeter / 2, PadTop: 6, PadBottom: 6, PadLeft: 6, PadRight: 12}
	area := draw.New(canvas)
	for i, c := range curves {
		p, err := c.plot()
		if err != nil {
			return err
		}
		p.Draw(tiles.At(area, i%2, i/2))
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = canvas.WriteTo(f)
	return errors.Join(err, f.Close())
}

func (c *curve) plot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.Title, c.X, c.Y
	p.BackgroundColor = color.White
	p.Legend.Top, p.Legend.Padding = true, 3
	if c.Log {
		p.X.Scale = plot.LogScale{}
		p.X.Tick.Marker = plot.TickerFunc(decades)
	}
	most := 0.0
	for i, l := range c.Lines {
		var xy plotter.XYs
		for _, v := range l.Points {
			xy = append(xy, plotter.XY{X: v[0], Y: v[1]})
			most = max(most, v[1])
		}
		drawn, points, err := plotter.NewLinePoints(xy)
		if err != nil {
			return nil, err
		}
		drawn.Color, points.Color = lineColors[i%len(lineColors)], lineColors[i%len(lineColors)]
		drawn.Width, points.Shape, points.Radius = 1.5, draw.CircleGlyph{}, 2
		p.Add(drawn, points)
		if l.Name != "" {
			p.Legend.Add(l.Name, drawn)
		}
	}
	p.Y.Min, p.Y.Max = 0, most*1.25
	return p, nil
}

// decades marks 1, 10, 100 and so on.
func decades(least, most float64) (ticks []plot.Tick) {
	for v := 1.0; v <= most*1.01; v *= 10 {
		if v >= least*0.99 {
			ticks = append(ticks, plot.Tick{Value: v, Label: strconv.Itoa(int(v))})
		}
	}
	return ticks
}
