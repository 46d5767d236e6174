// Account keeps the accounts of a file that package access reads: it adds, changes, lists and removes users, and tests
// logins there or at RADIUS servers.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/access"
)

const usage = `account keeps a file of VPN accounts (mode 0600, a JSON object in each line).

  account -file FILE add NAME      reads the password from -password-file, else the first line of its input
  account -file FILE passwd NAME   changes it
  account -file FILE delete NAME
  account -file FILE list
  account -file FILE test NAME     logs in by each method that the account's secret serves, and says what it gets or why not
  account -radius HOST -radius-secret-file SECRET test NAME    does so at RADIUS servers; a wrong password may count there`

func main() { cli.Main(run) }

// A command is the command line, checked.
type command struct {
	file, form, passwordFile string
	groups                   string
	hours, dialin            string
	verb, user               string
	login                    loginTest
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if c.login.targets != nil {
		password, err := c.password(os.Stdin)
		if err != nil {
			return err
		}
		return c.login.run(ctx, stdout, nil, c.user, password)
	}
	if c.verb == "add" {
		if err := access.Create(c.file); err != nil {
			return err
		}
	}
	f, err := access.OpenFile(c.file)
	if err != nil {
		return err
	}
	old, _ := f.Account(ctx, c.user)
	switch {
	case c.verb == "list":
		return list(stdout, f)
	case c.verb == "add" && old != nil:
		return fmt.Errorf("%s is there already: use passwd to change the password", old.User)
	case c.verb != "add" && old == nil:
		return fmt.Errorf("there is no account %q in %s", c.user, c.file)
	}
	if c.verb == "delete" {
		f.Delete(c.user)
		return f.Save()
	}
	password, err := c.password(os.Stdin)
	if err != nil {
		return err
	}
	if c.verb == "test" {
		return c.login.run(ctx, stdout, f, c.user, password)
	}
	secret, err := c.secret(password)
	if err != nil {
		return err
	}
	if c.verb == "passwd" {
		return f.SetSecret(ctx, c.user, secret)
	}
	a := &access.Account{User: c.user, Secret: secret, HoursText: c.hours, Dialin: dialins[c.dialin]}
	if c.groups != "" {
		a.Groups = strings.Split(c.groups, ",")
	}
	f.Put(a)
	return f.Save()
}

var dialins = map[string]access.Permission{"policy": access.ByPolicy, "allow": access.Allow, "deny": access.Deny}

func parse(args []string, stderr io.Writer) (*command, error) {
	c := new(command)
	fs := cli.Flags("account", usage, stderr)
	fs.StringVar(&c.file, "file", "", "`FILE` of the accounts")
	fs.StringVar(&c.form, "form", "nt", "how the password is kept: nt (PAP, MS-CHAPv2), clear (CHAP-MD5 too), argon2id (PAP only)")
	fs.StringVar(&c.passwordFile, "password-file", "", "`FILE` whose first line is the password")
	fs.StringVar(&c.groups, "groups", "", "`LIST` of groups of a new account, separated by commas")
	fs.StringVar(&c.hours, "hours", "", "`HOURS` of a new account, such as \"Mon-Fri 08:00-18:00 Europe/Berlin\"")
	fs.StringVar(&c.dialin, "dialin", "policy", "dial-in permission of a new account: policy, allow or deny")
	c.login.register(fs)
	var p cli.Problems
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	c.verb, c.user = fs.Arg(0), fs.Arg(1)
	c.login.check(fs, c.verb, c.file, &p)
	if c.file == "" && c.login.radius == "" {
		p.Add("-file", errors.New("missing"))
	}
	switch c.verb {
	case "add", "passwd", "delete", "test":
		if c.user == "" || fs.NArg() > 2 {
			p.Add(c.verb, errors.New("one name of a user must follow"))
		}
	case "list":
	default:
		p.Add("what to do", fmt.Errorf("%q is not add, passwd, delete, list or test", c.verb))
	}
	if c.form != "nt" && c.form != "clear" && c.form != "argon2id" {
		p.Add("-form", fmt.Errorf("%q is not nt, clear or argon2id", c.form))
	}
	if _, ok := dialins[c.dialin]; !ok {
		p.Add("-dialin", fmt.Errorf("%q is not policy, allow or deny", c.dialin))
	}
	if c.hours != "" {
		_, err := access.ParseHours(c.hours)
		p.Add("-hours", err)
	}
	return c, p.Err()
}

// password reads the first line of -password-file, else of in.
func (c *command) password(in io.Reader) (ppp.Secret, error) {
	if c.passwordFile != "" {
		f, err := os.Open(c.passwordFile)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.New("no password: its first line is empty")
	}
	return ppp.Secret(line), nil
}

func (c *command) secret(password ppp.Secret) (ppp.Secret, error) {
	switch c.form {
	case "clear":
		return access.ClearSecret(password), nil
	case "argon2id":
		return access.HashSecret(password), nil
	}
	return access.NTSecret(password)
}

func list(w io.Writer, f *access.File) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "USER\tMETHODS\tGROUPS\tDIAL-IN\tHOURS\tSTATE")
	for a := range f.All() {
		state := "enabled"
		if a.Disabled {
			state = "disabled"
		}
		var methods []string
		for _, p := range access.Serves(a.Secret) {
			methods = append(methods, p.String())
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%v\t%s\t%s\n", a.User, strings.Join(methods, ","), strings.Join(a.Groups, ","), a.Dialin, a.HoursText, state)
	}
	return t.Flush()
}
