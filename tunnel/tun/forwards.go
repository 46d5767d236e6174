package tun

// Forwards says that what is written here passes the system's own forwarding, which lowers hop limits: a tunnel.Router
// then does not (tunnel.Router.Uplink).
func (q *queue) Forwards() bool { return true }
