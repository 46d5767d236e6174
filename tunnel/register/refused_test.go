package register

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestForgedRefusalDelaysMinutes: a refusal without a signature is not believed for a day, and is no reason for a storm.
func TestForgedRefusalDelaysMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		s.key = &Key{Name: "another.", Secret: "0123456789abcdef0123456789abcdef"}
		w, stop := start(t, host(n, "pc1"), connect(t, told))
		time.Sleep(time.Minute)
		var bad *SignatureError
		if st := w.status(); len(st.Records) == 0 || !errors.As(st.Records[0].Err, &bad) || !bad.Unknown {
			t.Errorf("%+v", st)
		}
		s.mu.Lock()
		s.key = testKey // whoever forged has left
		s.mu.Unlock()
		time.Sleep(10 * time.Minute)
		if s.String() != pc1Records {
			t.Errorf("not registered by now: %v", s)
		}
		stop(errBye)
	})
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		s.key = &Key{Name: "another.", Secret: "0123456789abcdef0123456789abcdef"}
		_, stop := start(t, host(n, "pc1"), connect(t, told))
		time.Sleep(24 * time.Hour)
		if _, updates := s.counts(); updates < 4 || updates > 12 {
			t.Errorf("%d updates in a day", updates)
		}
		stop(errBye)
	})
}

// TestForgeable: a signed refusal is the server's, an unsigned one anybody's.
func TestForgeable(t *testing.T) {
	for _, x := range []struct {
		signer Signer
		err    error
		want   bool
	}{
		{testKey, &SignatureError{Unknown: true}, true},
		{testKey, &SignatureError{}, false},
		{testKey, &UpdateError{Code: 5}, false},
		{nil, &UpdateError{Code: 5}, true},
	} {
		if got := (&Registrar{Signer: x.signer}).forgeable(x.err); got != x.want {
			t.Errorf("%v, %v: %v", x.signer, x.err, got)
		}
	}
}
