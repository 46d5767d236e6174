// Package interop starts peers that nobody here wrote, from Debian's packages, and tests this library against them: the
// Linux client (sstpc and pppd, in User-Mode Linux, since the host's kernel need not have PPP), SoftEther's server,
// DHCP servers, BIND and Samba's WINS server, and FreeRADIUS' server and clients.
//
// The tests need root, network namespaces and the packages; they skip with a reason where something is missing, and fail
// instead where DIALWAY_INTEROP=require is set, as the project's CI sets it. All traffic stays in namespaces of their own.
//
//	apt-get install user-mode-linux busybox-static sstp-client ppp softether-vpnserver softether-vpncmd \
//		dnsmasq-base isc-dhcp-server kea-dhcp4-server freeradius freeradius-utils eapoltest bind9 bind9-dnsutils samba samba-common-bin iproute2 iputils-ping curl openssl
package interop
