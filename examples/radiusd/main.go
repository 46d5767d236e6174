// Radiusd is a RADIUS server: accounts, policies and EAP, a proxy for the realms of others, RadSec, and accounting in a
// file.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/dialway/dialway/examples/internal/cli"
)

const usage = `radiusd is a RADIUS server: it knows users by a file of accounts and policies, or asks those who do.

  radiusd -config radiusd.toml          no root is needed
  radiusd -config radiusd.toml -check   tell everything that is wrong with the file, by line

SIGHUP reads all files again, but for what is listened on; requests under way go on as they began. SIGINT and SIGTERM end
it. radiusd.toml beside this program's source has all there is to say; examples/account keeps the accounts.`

func main() { cli.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := cli.Flags("radiusd", usage, stderr)
	file := fs.String("config", "", "`FILE` that says all of it")
	check := fs.Bool("check", false, "only look whether the file is right")
	verbose := fs.Bool("v", false, "tell each step")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if *file == "" {
		return cli.UsageError{errors.New("-config: missing")}
	}
	c, err := readConfig(*file)
	if err != nil {
		return err
	}
	if *check {
		n := 0
		if c.policies != nil {
			n = len(c.policies.List)
		}
		fmt.Fprintf(stdout, "%s: nothing is wrong: %d clients, %d policies, %d realms, %d home servers\n", *file, len(c.clients), n, len(c.realms), len(c.homes))
		return nil
	}
	s, err := newService(c, cli.Logger(stderr, *verbose))
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	return s.run(ctx, c, hangup, func() (*config, error) { return readConfig(*file) })
}
