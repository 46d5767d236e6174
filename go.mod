module github.com/dialway/dialway

go 1.26.0

require (
	github.com/gaissmai/bart v0.30.0
	github.com/vishvananda/netlink v1.3.1
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.50.0
	golang.zx2c4.com/wireguard v0.0.0-20260522210424-ecfc5a8d5446
)

require (
	github.com/vishvananda/netns v0.0.5 // indirect
	golang.zx2c4.com/wintun v0.0.0-20230126152724-0fa3db229ce2 // indirect
)

require (
	github.com/godbus/dbus/v5 v5.2.4
	golang.org/x/crypto v0.58.0
)
