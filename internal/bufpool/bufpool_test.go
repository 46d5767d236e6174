package bufpool

import "testing"

func TestPoolCountsWhatIsLent(t *testing.T) {
	p := Pool{Size: 64}
	a, b := p.Get(), p.Get()
	if len(a.B) != 64 || p.Lent() != 2 {
		t.Fatalf("%d bytes, %d lent", len(a.B), p.Lent())
	}
	a.Free()
	b.Free()
	(*Buffer)(nil).Free()
	if p.Lent() != 0 {
		t.Errorf("%d lent", p.Lent())
	}
}

func TestPoolPanicsOnWrongReturns(t *testing.T) {
	p := Pool{Size: 64}
	for name, f := range map[string]func(){
		"twice":         func() { b := p.Get(); b.Free(); b.Free() },
		"with its tail": func() { b := p.Get(); b.B = b.B[1:]; b.Free() },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

func TestGetAndPutDoNotAllocate(t *testing.T) {
	p := Pool{Size: 64}
	p.Get().Free()
	if n := testing.AllocsPerRun(100, func() { p.Get().Free() }); n >= 1 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}
