package interop

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/radius"
)

// BenchmarkRADIUS compares authentications per second of processor time: this library's server with FreeRADIUS, both
// asked by radclient, and this library's client with radclient, both asking FreeRADIUS. A turn is 3,000 by PAP of each
// pair, 64 under way at once, one pair after the other.
//
//	server/freeradius  above 1: this library's server needs less than FreeRADIUS for one authentication
//	client/radclient   above 1: its client needs less than radclient
func BenchmarkRADIUS(b *testing.B) {
	const logins, parallel = 3000, 64
	ns := netns.New(b)
	f := NewFreeRADIUS(b, ns, 1812)
	f.Users = "alice Cleartext-Password := \"secret\"\n"
	f.Start()
	srv := &radius.Server{
		Clients:       radius.Secrets{netip.MustParsePrefix("127.0.0.0/8"): radius.Secret(f.Secret)}.Find,
		Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
	}
	go srv.Serve(listenUDP(b, ns, "127.0.0.1:1912"))
	defer srv.Close()
	requests := writeFile(b, filepath.Join(b.TempDir(), "requests"),
		strings.Repeat("User-Name = \"alice\"\nUser-Password = \"secret\"\nMessage-Authenticator = 0x00\n\n", logins))
	load := func(addr string) (self time.Duration) {
		cmd := exec.Command("radclient", "-q", "-s", "-p", strconv.Itoa(parallel), "-f", requests, addr, "auth", f.Secret)
		var out []byte
		var err error
		ns.Do(func() { out, err = cmd.CombinedOutput() })
		if err != nil || !strings.Contains(string(out), "Accepted      : "+strconv.Itoa(logins)) {
			b.Fatalf("radclient at %s: %v\n%s", addr, err, last(string(out), 1000))
		}
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	client := &radius.Client{Dial: f.DialUDP, Targets: []radius.Target{{Addr: "127.0.0.1:1812", Secret: radius.Secret(f.Secret)}}}
	defer client.Close()
	ask := func() {
		var left atomic.Int64
		left.Store(logins)
		var wg sync.WaitGroup
		for range parallel {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					p := &radius.Packet{Code: radius.AccessRequest}
					p.Add(radius.UserName, []byte("alice"))
					p.Add(radius.UserPassword, []byte("secret"))
					if reply, err := client.Exchange(b.Context(), p); err != nil || reply.Code != radius.AccessAccept {
						b.Errorf("%v, %v", reply, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	var theirServer, theirClient, ourServer, ourClient time.Duration
	for b.Loop() {
		from := f.processorTime()
		theirClient += load("127.0.0.1:1812")
		theirServer += f.processorTime() - from

		own := ownTime(b)
		load("127.0.0.1:1912")
		ourServer += ownTime(b) - own

		own = ownTime(b)
		ask()
		ourClient += ownTime(b) - own
	}
	perSecond := func(d time.Duration) float64 { return float64(logins*b.N) / d.Seconds() }
	b.ReportMetric(perSecond(ourServer), "server-auth/cpu-s")
	b.ReportMetric(perSecond(theirServer), "freeradius-auth/cpu-s")
	b.ReportMetric(perSecond(ourClient), "client-auth/cpu-s")
	b.ReportMetric(perSecond(theirClient), "radclient-auth/cpu-s")
	b.ReportMetric(theirServer.Seconds()/ourServer.Seconds(), "server/freeradius")
	b.ReportMetric(theirClient.Seconds()/ourClient.Seconds(), "client/radclient")
	b.ReportMetric(0, "ns/op")
}

// processorTime is what the server's process has used, of all its threads.
func (f *FreeRADIUS) processorTime() time.Duration {
	f.t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(f.cmd.Process.Pid) + "/stat")
	if err != nil {
		f.t.Fatal(err)
	}
	// Behind the name, which may have spaces: fields 14 and 15, in hundredths of a second (proc(5)).
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, s := range fields[11:13] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			f.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// ownTime is what this process has used.
func ownTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
