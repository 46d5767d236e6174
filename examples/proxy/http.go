package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"
)

// A dialFunc connects through the tunnel.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// httpProxy answers CONNECT by a connection, and requests with an absolute URL by what their server answers.
func httpProxy(dial dialFunc, log *slog.Logger) http.Handler {
	forward := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host }, // the URL is the client's
		Transport: &http.Transport{DialContext: dial, ForceAttemptHTTP2: false, IdleConnTimeout: time.Minute},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.Debug("http", "method", r.Method, "url", r.URL, "from", r.RemoteAddr)
		switch {
		case r.Method == http.MethodConnect:
			connect(w, r, dial)
		case r.URL.IsAbs() && r.URL.Scheme == "http":
			forward.ServeHTTP(w, r)
		default:
			http.Error(w, "this is a proxy: ask for an absolute http URL, or CONNECT", http.StatusBadRequest)
		}
	})
}

// connect joins the client to r.Host, RFC 9110 section 9.3.6.
func connect(w http.ResponseWriter, r *http.Request, dial dialFunc) {
	far, err := dial(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer far.Close()
	near, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer near.Close()
	if _, err := io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	join(near, rw.Reader, far)
}

// join copies both ways until both have ended. from is near, and what has been read of it.
func join(near net.Conn, from io.Reader, far net.Conn) {
	var wg sync.WaitGroup
	wg.Go(func() {
		io.Copy(far, from)
		closeWrite(far)
	})
	io.Copy(near, far)
	closeWrite(near)
	wg.Wait()
}

// closeWrite ends one direction; the other goes on.
func closeWrite(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		h.CloseWrite()
	} else {
		c.Close()
	}
}
