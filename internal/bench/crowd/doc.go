// Package crowd measures what many sessions cost: memory and time of each, set-up, a storm after a restart, fairness, a
// session that does not read, changing routes, and a soak that ends where it began. The server is a process of its own, whose
// memory and processor time are measured; the clients are this process: sstp.Dialers, over loopback, with no device.
//
// Clients and server talk in UDP packets of the format of packet.go. A client asks for packets or sends some, and waits until
// all have come, which keeps a window as TCP does.
package crowd
