// Branch is the router of a site: it connects the networks of sites on demand, and takes remote-access clients.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/dialway/dialway/demanddial"
	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/examples/internal/conf"
	"github.com/dialway/dialway/tunnel"
)

const usage = `branch is the router of a site: packets for another site dial it, the other site dials this one, and clients dial in.

  branch -config branch.toml                        as root: packets go to the system by a TUN device
  branch -config branch.toml -check                 tell everything that is wrong with the file, by line
  branch -config branch.toml -explain 172.16.2.7    what would become of a ping to there (or, with :PORT, of a TCP SYN), and why
  branch [-config branch.toml] ctl COMMAND          to the branch that runs: ` + commands + `

The system must forward: sysctl -w net.ipv4.ip_forward=1. SIGHUP reads the file again: interfaces that have not changed
stay connected. SIGINT and SIGTERM end it. branch.toml beside this program's source has all there is to say.`

func main() { cli.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := cli.Flags("branch", usage, stderr)
	file := fs.String("config", "", "`FILE` that says all of it")
	check := fs.Bool("check", false, "only look whether the file is right")
	where := fs.String("explain", "", "`ADDRESS[:PORT]`: say what would become of a packet to it")
	socket := fs.String("control", "", "`PATH` of the control socket for ctl; without, the file's or "+defaultControl)
	verbose := fs.Bool("v", false, "tell each step")
	if err := fs.Parse(args); err != nil {
		return cli.Parse(fs, args)
	}
	if fs.Arg(0) == "ctl" {
		return ctl(*file, *socket, fs.Args()[1:], stdout)
	}
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
	switch {
	case *check:
		fmt.Fprintf(stdout, "%s: nothing is wrong: %d interfaces, %d clients\n", *file, len(c.interfaces), len(c.clients))
		return nil
	case *where != "":
		return explainTo(stdout, c, *where)
	}
	log := cli.Logger(stderr, *verbose)
	s, err := newSite(c, log)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	return s.run(ctx, hangup, func() (*config, error) { return readConfig(*file) })
}

// ctl sends a command.
func ctl(file, socket string, words []string, stdout io.Writer) error {
	if socket == "" {
		socket = defaultControl
		if file != "" {
			t, err := conf.Read(file)
			if err != nil {
				return fmt.Errorf("%w\n(with -control PATH no file is read)", err)
			}
			socket = t.Str("control", defaultControl) // whatever else is wrong: what runs has read it before
		}
	}
	if len(words) == 0 {
		return cli.UsageError{errors.New("ctl: want one of: " + commands)}
	}
	text, err := ask(socket, words)
	if err != nil {
		return err
	}
	_, err = io.WriteString(stdout, text)
	return err
}

// explainTo asks the program that runs, or explains what a fresh one would do.
func explainTo(stdout io.Writer, c *config, where string) error {
	text, err := ask(c.control, []string{"explain", where})
	if offline := new(net.OpError); errors.As(err, &offline) {
		set := &demanddial.Set{
			Router: &tunnel.Router{Routes: new(tunnel.Table)}, Domains: c.domains, NoDemandDial: !c.demandDial, NoRemoteAccess: !c.remoteAccess,
		}
		b := builder{config: c, exclude: func(netip.Addr) error { return nil }}
		for n := range c.interfaces {
			i, _, err := b.build(&c.interfaces[n])
			if err != nil {
				return err
			}
			if err := set.Add(i); err != nil {
				return err
			}
		}
		if text, err = explain(set, c.addr, where); err != nil {
			return err
		}
		text = "(it does not run: this is what it would do)\n" + text
	} else if err != nil {
		return err
	}
	_, err = io.WriteString(stdout, text)
	return err
}
