package crowd

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
)

// A server is the server's process.
type server struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	addr  string
	keys  string
	roots *x509.CertPool

	mu sync.Mutex
}

// startServer starts it on a free port, or on that of one that ran before, with addresses to give.
func startServer(dir string, before *server, pool netip.Prefix) (*server, error) {
	s := &server{addr: "127.0.0.1:0", keys: filepath.Join(dir, "keys.pem")}
	if before != nil {
		s.addr, s.roots = before.addr, before.roots
	} else {
		var err error
		if s.roots, err = WriteKeys(s.keys); err != nil {
			return nil, err
		}
	}
	me, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s.cmd = exec.Command(me, RoleArg, s.addr, s.keys, pool.String())
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if s.addr, err = s.line(); err != nil {
		s.stop()
		return nil, fmt.Errorf("server: %w", err)
	}
	return s, nil
}

func (s *server) line() (string, error) {
	l, err := s.out.ReadString('\n')
	return strings.TrimSpace(l), err
}

// ask sends a line and returns the answer's.
func (s *server) ask(line string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := fmt.Fprintln(s.in, line); err != nil {
		return "", err
	}
	return s.line()
}

func (s *server) status(collect bool) (st status, err error) {
	word := "status"
	if collect {
		word = "collect"
	}
	line, err := s.ask(word)
	if err == nil {
		err = json.Unmarshal([]byte(line), &st)
	}
	st.CPU = s.cpu()
	return st, err
}

// reach waits until the server has that many sessions.
func (s *server) reach(sessions int) error {
	var st status
	for range 300 {
		var err error
		if st, err = s.status(false); err != nil || st.Sessions == sessions {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("the server has %d sessions instead of %d", st.Sessions, sessions)
}

// settled waits likewise, and for garbage to be collected and given back.
func (s *server) settled(sessions int) (status, error) {
	if err := s.reach(sessions); err != nil {
		return status{}, err
	}
	return s.status(true)
}

// cpu is the processor time of the process so far.
func (s *server) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	var user, system int64
	fmt.Sscan(f[11], &user)
	fmt.Sscan(f[12], &system)
	return time.Duration(user+system) * (time.Second / 100)
}

// stop ends the process at once, as a crash does.
func (s *server) stop() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// A fleet is the clients.
type fleet struct {
	dialer *sstp.Dialer
	addr   string
	ctx    context.Context
	cancel context.CancelFunc
	served sync.WaitGroup

	mu      sync.Mutex
	members []*member
}

func newFleet(s *server) *fleet {
	f := &fleet{addr: s.addr}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.dialer = &sstp.Dialer{
		TLSConfig: &tls.Config{RootCAs: s.roots},
		PPP:       &ppp.Config{User: "bench", Password: secret, MTU: mtu, NoIPv6: true},
	}
	return f
}

// join opens one session and serves it.
func (f *fleet) join(ctx context.Context) (*member, error) {
	c, err := f.dialer.DialContext(ctx, f.addr)
	if err != nil {
		return nil, err
	}
	m := newMember(c)
	f.served.Go(func() { c.Serve(f.ctx, m.take) })
	return m, nil
}

// dialers is how many dial at once: opening a session takes a dozen round trips, and no processor shall wait for one. With half
// as many the processors are idle for 4 and 6 hundredths of the time (handshakes, sessions), with these for 2 and 3.
const dialers = 128

// grow makes the fleet that large, and returns how long that took.
func (f *fleet) grow(n int) (took time.Duration, err error) {
	work := make(chan struct{}, n)
	for range n - len(f.members) {
		work <- struct{}{}
	}
	close(work)
	began := time.Now()
	var wg sync.WaitGroup
	for range dialers {
		wg.Go(func() {
			for range work {
				ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
				m, e := f.join(ctx)
				cancel()
				f.mu.Lock()
				if e != nil {
					err = errors.Join(err, e)
				} else {
					f.members = append(f.members, m)
				}
				f.mu.Unlock()
				if e != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began), err
}

// close ends all sessions.
func (f *fleet) close() {
	f.cancel()
	f.served.Wait()
}
