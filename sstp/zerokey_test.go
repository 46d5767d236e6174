package sstp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A client whose EAP has yielded keys, and which binds with zeros, gets through where AcceptZeroKeyEAP says so, and never
// with another method than EAP.
func TestZeroKeyEAP(t *testing.T) {
	msk := bytes.Repeat([]byte{7}, 64)
	for _, tt := range []struct {
		by         ppp.AuthProtocol
		accept     bool
		zero, open bool
	}{
		{ppp.EAP, false, false, true},
		{ppp.EAP, false, true, false},
		{ppp.EAP, true, false, true},
		{ppp.EAP, true, true, true},
		{ppp.MSCHAPv2, true, false, true},
		{ppp.MSCHAPv2, true, true, false},
		{ppp.MSCHAPv2, false, true, false},
	} {
		t.Run(fmt.Sprintf("%v, accept %v, zero %v", tt.by, tt.accept, tt.zero), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cfg := byCall()
				cfg.Auth = []ppp.AuthProtocol{tt.by}
				cfg.Authenticator = ppp.AuthenticatorFunc(func(_ context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
					if req.Protocol == ppp.EAP {
						return &ppp.Grant{User: "alice", Addr: clientIP, RecvKey: msk[:32], SendKey: msk[32:]}, nil
					}
					g, err := req.CheckPassword("secret")
					if g != nil {
						g.Addr = clientIP
					}
					return g, err
				})
				ts := startServer(&Server{PPP: cfg, AcceptZeroKeyEAP: tt.accept})
				defer ts.stop()
				r := ts.dialRaw(t)
				r.PPP = &ppp.Config{NoIPv6: true, User: "alice", Password: "secret", EAP: func(ctx context.Context, request []byte, x ppp.Exchange) ([]byte, error) {
					if _, err := x(ctx, append([]byte{2, request[1], 0, 10, 1}, "alice"...)); err != io.EOF {
						return nil, err
					}
					return msk, nil
				}}
				c, err := r.open(t.Context(), hookedConn{r.fc, func(send, recv []byte) error {
					if tt.zero {
						return r.fc.Bind(nil, nil)
					}
					return r.fc.Bind(send, recv)
				}})
				if err == nil {
					ended := serveLink(c)
					time.Sleep(5 * time.Second)
					select {
					case err = <-ended:
					default: // what is to be open is, or what is not to be: that one is told by the counts
						c.Close()
						<-ended
					}
				}
				if se := statusOf(err); !tt.open && (se.Status != StatusValueNotSupported || !se.Remote) {
					t.Errorf("client: %v", err)
				}
				time.Sleep(10 * time.Second)
				if st := ts.Stats(); (st.Opened == 1) != tt.open {
					t.Errorf("%+v; client: %v", st, err)
				}
			})
		})
	}
}

// Accepting zeros is said aloud: when the server starts.
func TestZeroKeyEAPIsSaid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, accept := range []bool{false, true} {
			ts := startServer(&Server{AcceptZeroKeyEAP: accept})
			ts.stop()
			var b bytes.Buffer
			s := &Server{AcceptZeroKeyEAP: accept, TLSConfig: ts.TLSConfig, PPP: byCall(), Handler: ts.collect, Logger: slog.New(slog.NewTextHandler(&b, nil))}
			l := ts.l
			l.Close()
			s.Serve(l)
			if strings.Contains(b.String(), "AcceptZeroKeyEAP") != accept {
				t.Errorf("accept %v: %s", accept, &b)
			}
		}
	})
}
