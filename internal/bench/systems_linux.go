package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A system is what carries the load: a tunnel, or what tunnels are compared with.
type system struct {
	name  string
	label string // in tables and charts
	need  string // a program that must be here
	start func(l *lab) *path
}

// A path is a system that runs.
type path struct {
	target         string // where iperf3's server and ping's replies are; empty: load only
	client, server *process
	load           func(way string, streams int, d time.Duration, control string) (bytes int64, took time.Duration, err error)
}

var systems = []system{
	{sysNone, "no tunnel", "iperf3", startNone},
	{sysTLS, "plain TLS copy, 16 KiB writes", "", startTLS},
	{sysSSTP, "dialway sstpd, sstpc", "iperf3", startSSTP},
	{sysOther, "the same of another build", "iperf3", func(l *lab) *path { return startExamples(l, otherBuild) }},
	{sysWG, "wireguard-go", "iperf3", startWireGuard},
	{sysOpenVPN, "OpenVPN, TCP, AES-128-GCM", "openvpn", startOpenVPN},
	{sysStack, "dialway netstack", "", func(l *lab) *path { return startStack(l, l.dir) }},
	{sysWGStack, "wireguard-go netstack", "", startWireGuardStack},
	{sysSingle, "one packet a record, to dialway", "iperf3", func(l *lab) *path { return startSingle(l, l.dir, true) }},
	{sysUndrained, "the same, not drained", "iperf3", func(l *lab) *path { return startSingle(l, l.dir, false) }},
	{committed(sysSSTP), "the committed build: sstpd, sstpc", "iperf3", func(l *lab) *path { return startExamples(l, l.committed()) }},
	{committed(sysStack), "netstack", "", func(l *lab) *path { return startStack(l, l.committed()) }},
	{committed(sysSingle), "one packet a record", "iperf3", func(l *lab) *path { return startSingle(l, l.committed(), true) }},
	{committed(sysUndrained), "not drained", "iperf3", func(l *lab) *path { return startSingle(l, l.committed(), false) }},
}

// otherBuild is -other.
var otherBuild string

// withIperf makes a path loaded by iperf3.
func (l *lab) withIperf(target string, client, server *process) *path {
	if client != nil {
		l.reach(target, client, server)
	}
	l.spawn(l.server, false, "iperf3", "-s")
	return &path{target: target, client: client, server: server, load: func(way string, streams int, d time.Duration, control string) (int64, time.Duration, error) {
		return l.iperf(target, way, streams, d, control)
	}}
}

// withLoads makes a path loaded by its own client.
func withLoads(l *lab, client, server *process) *path {
	l.Helper()
	if err := client.ready(); err != nil {
		l.Fatal(err)
	}
	return &path{client: client, server: server, load: func(way string, streams int, d time.Duration, _ string) (int64, time.Duration, error) {
		return client.load(way, streams, d)
	}}
}

func startNone(l *lab) *path { return l.withIperf(outerServer, nil, nil) }

func startTLS(l *lab) *path {
	server := l.self(l.server, "tls-server", outerServer+":8443", l.dir)
	if err := server.ready(); err != nil {
		l.Fatal(err)
	}
	return withLoads(l, l.self(l.client, "tls-client", outerServer+":8443", l.dir), server)
}

const innerServer = "10.8.0.1"

func (l *lab) file(name string) string { return filepath.Join(l.dir, name) }

// committed is where the programs of the committed build are: see buildCommitted.
func (l *lab) committed() string { return l.file(ofCommitted) }

// sstpd starts the server of the examples, built into a directory.
func (l *lab) sstpd(dir string) *process {
	return l.spawn(l.server, false, filepath.Join(dir, "sstpd"), "-listen", outerServer+":443", "-users", l.file("users"),
		"-cert", l.file("cert.pem"), "-key", l.file("key.pem"), "-tun", "sstp0")
}

func startSSTP(l *lab) *path { return startExamples(l, l.dir) }

func startExamples(l *lab, dir string) *path {
	server := l.sstpd(dir)
	l.listening(server)
	client := l.spawn(l.client, false, filepath.Join(dir, "sstpc"), "-server", outerServer, "-user", "bench", "-password-file", l.file("password"), "-ca", l.file("cert.pem"))
	return l.withIperf(innerServer, client, server)
}

// listening waits for a server on port 443.
func (l *lab) listening(server *process) {
	for range 100 {
		if out, _ := l.server.Try("ss", "-Hltn", "sport", "=", ":443"); out != "" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	l.Fatalf("%s does not listen: %s", server.name, server.text())
}

func startStack(l *lab, dir string) *path {
	server := l.sstpd(dir)
	l.listening(server)
	l.self(l.server, "sink", innerServer+":5001").ready()
	return withLoads(l, l.role(dir, l.client, "sstp-netstack", outerServer, innerServer+":5001", l.dir), server)
}

// startSingle has a client that sends one packet a record, as most others do, and a server that drains or does not.
func startSingle(l *lab, dir string, drain bool) *path {
	server := l.role(dir, l.server, "sstp-server", outerServer+":443", l.dir, fmt.Sprint(drain))
	if err := server.ready(); err != nil {
		l.Fatal(err)
	}
	client := l.role(dir, l.client, "sstp-single", outerServer, l.dir)
	if err := client.ready(); err != nil {
		l.Fatal(err)
	}
	return l.withIperf(innerServer, client, server)
}

const (
	wgServer = "10.9.0.1"
	wgClient = "10.9.0.2"
)

// keys makes a WireGuard pair.
func keys() (private, public string) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return hex.EncodeToString(k.Bytes()), hex.EncodeToString(k.PublicKey().Bytes())
}

// wireGuardServer starts one end over the system's TUN and returns the other's configuration.
func wireGuardServer(l *lab) (server *process, conf string) {
	sk, sp := keys()
	ck, cp := keys()
	server = l.wireGuard(wgServer, fmt.Sprintf("private_key=%s\nlisten_port=51820\npublic_key=%s\nallowed_ip=%s/32\n", sk, cp, wgClient), "server")
	conf = fmt.Sprintf("private_key=%s\npublic_key=%s\nendpoint=%s:51820\nallowed_ip=%s/32\n", ck, sp, outerServer, wgServer)
	return server, conf
}

func (l *lab) wireGuard(addr, conf, side string) *process {
	ns := l.server
	if side == "client" {
		ns = l.client
	}
	file := l.confFile(conf)
	p := l.self(ns, "wireguard", "wg0", file)
	if err := p.ready(); err != nil {
		l.Fatal(err)
	}
	ns.Run("ip", "addr", "add", addr+"/24", "dev", "wg0")
	ns.Run("ip", "link", "set", "wg0", "up")
	return p
}

func (l *lab) confFile(conf string) string {
	f, err := os.CreateTemp(l.dir, "wireguard")
	if err == nil {
		_, err = f.WriteString(conf)
	}
	if err != nil {
		l.Fatal(err)
	}
	f.Close()
	return f.Name()
}

func startWireGuard(l *lab) *path {
	server, conf := wireGuardServer(l)
	return l.withIperf(wgServer, l.wireGuard(wgClient, conf, "client"), server)
}

func startWireGuardStack(l *lab) *path {
	server, conf := wireGuardServer(l)
	file := l.confFile(conf)
	l.self(l.server, "sink", wgServer+":5001").ready()
	return withLoads(l, l.self(l.client, "wireguard-netstack", file, wgClient, wgServer+":5001"), server)
}

func startOpenVPN(l *lab) *path {
	const server, client = "10.10.0.1", "10.10.0.2"
	common := []string{"--dev", "ovpn0", "--dev-type", "tun", "--port", "1194", "--ca", l.file("cert.pem"), "--cert", l.file("cert.pem"),
		"--key", l.file("key.pem"), "--data-ciphers", "AES-128-GCM", "--cipher", "AES-128-GCM", "--disable-dco", "--verb", "1",
		"--socket-flags", "TCP_NODELAY"} // which its server mode has by itself
	s := l.spawn(l.server, false, "openvpn", append(common, "--proto", "tcp-server", "--local", outerServer, "--tls-server", "--dh", "none", "--ifconfig", server, client)...)
	c := l.spawn(l.client, false, "openvpn", append(common, "--proto", "tcp-client", "--remote", outerServer, "--tls-client", "--ifconfig", client, server, "--connect-retry", "1")...)
	return l.withIperf(server, c, s)
}
