package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
)

// A Client has the flags of the programs that dial.
type Client struct {
	Server, User           string
	password, passwordFile string
	ca, fingerprint        string
	insecure               bool
	auth                   Auth
	Verbose                bool
}

// Register defines the flags.
func (c *Client) Register(fs *flag.FlagSet) {
	fs.StringVar(&c.Server, "server", "", "`HOST[:PORT]` of the server; the port is 443 if there is none")
	fs.StringVar(&c.User, "user", "", "user `NAME`")
	fs.StringVar(&c.passwordFile, "password-file", "", "`FILE` whose first line is the password")
	fs.StringVar(&c.password, "password", "", "the password; other users of this machine can see it: rather use -password-file")
	fs.StringVar(&c.ca, "ca", "", "`FILE` of PEM certificates to trust instead of the system's")
	fs.StringVar(&c.fingerprint, "fingerprint", "", "SHA-256 of the server's certificate in `HEX`: trust it, whoever signed it and whatever its name")
	fs.BoolVar(&c.insecure, "insecure", false, "trust any certificate: whoever answers in the server's place can then attack the password")
	c.auth.Register(fs)
	fs.BoolVar(&c.Verbose, "v", false, "tell each step")
}

// Dialer returns what the flags say. What is wrong with them is added to p. Only with -v the library logs, too: what it
// says otherwise is in its errors.
func (c *Client) Dialer(p *Problems, log *slog.Logger) *sstp.Dialer {
	d := &sstp.Dialer{TLSConfig: new(tls.Config), PPP: &ppp.Config{User: c.User}}
	if c.Verbose {
		d.Logger, d.PPP.Logger = log, log
	}
	if c.Server == "" {
		p.Add("-server", errors.New("missing"))
	}
	if c.User == "" && c.auth.NeedsPassword() {
		p.Add("-user", errors.New("missing"))
	}
	var err error
	if c.auth.NeedsPassword() {
		d.PPP.Password, err = c.secret()
		p.Add("-password-file", err)
	}
	c.auth.Configure(d.PPP, p)
	if c.ca != "" {
		d.TLSConfig.RootCAs, err = ReadCA(c.ca)
		p.Add("-ca", err)
	}
	if c.fingerprint != "" {
		pin, err := ParseFingerprint(c.fingerprint)
		p.Add("-fingerprint", err)
		d.Pins = [][32]byte{pin}
	}
	if c.insecure {
		if c.ca != "" || c.fingerprint != "" {
			p.Add("-insecure", errors.New("makes -ca and -fingerprint useless: give one or the other"))
		}
		log.Warn("-insecure: whoever answers in the server's place is believed, and can attack the password")
		d.TLSConfig.InsecureSkipVerify = true
		d.PPP.AllowUnverified = true
	}
	return d
}

func (c *Client) secret() (ppp.Secret, error) {
	switch {
	case c.passwordFile != "" && c.password != "":
		return "", errors.New("-password is given as well")
	case c.passwordFile == "" && c.password == "":
		return "", errors.New("missing, and -password too")
	case c.passwordFile == "":
		return ppp.Secret(c.password), nil
	}
	b, err := os.ReadFile(c.passwordFile)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("%s has no first line", c.passwordFile)
	}
	return ppp.Secret(line), nil
}

// ReadCA reads the certificates that somebody else's must come from, in PEM.
func ReadCA(file string) (*x509.CertPool, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s has no PEM certificate", file)
	}
	return pool, nil
}

const (
	firstWait = time.Second
	longWait  = time.Minute
)

// Redial runs session again and again until ctx ends or there is no point in it: an error whose Permanent method says
// so, such as a wrong password, would only lock the account. session tells by up that it was connected; the waits between
// failures, which double up to a minute, then begin anew.
func Redial(ctx context.Context, log *slog.Logger, session func(ctx context.Context, up func()) error) error {
	wait := firstWait
	for {
		err := session(ctx, func() { wait = firstWait })
		var p interface{ Permanent() bool }
		if ctx.Err() != nil || errors.As(err, &p) && p.Permanent() {
			return err
		}
		pause := wait/2 + rand.N(wait) // many clients of one server do not come back at once
		log.Warn("dialling again", "why", err, "in", pause.Round(100*time.Millisecond))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		wait = min(2*wait, longWait)
	}
}
