// Package interop starts peers that nobody here wrote, from Debian's packages, and tests this library against them: the
// Linux client (sstpc and pppd, in User-Mode Linux, since the host's kernel need not have PPP), SoftEther's server,
// DHCP and DHCPv6 servers and clients, BIND and Samba's WINS server, FreeRADIUS' server and clients, and radsecproxy.
//
// The tests need root, network namespaces and the packages; they skip with a reason where something is missing, and fail
// instead where DIALWAY_INTEROP=require is set, as the project's CI sets it. All traffic stays in namespaces of their own.
// "sudo .ci/run packages" installs what is missing.
package interop
