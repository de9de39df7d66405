package sandbox

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// network is what the cloud's addresses and names lead to.
type network struct {
	web    *http.Server
	accept *memListener
	start  sync.Once

	mu       sync.Mutex
	conns    map[*memConn]int // server ends, with the droplet that they are on
	socks    map[io.Closer]struct{}
	closed   bool
	port     int // of the next client, so that connections can be told apart
	registry *tls.Config
	api      *tls.Config
}

func (n *network) init(c *Cloud) {
	n.conns, n.socks = map[*memConn]int{}, map[io.Closer]struct{}{}
	n.accept = newMemListener()
	n.web = &http.Server{
		Handler:     http.HandlerFunc(serveTagged),
		ConnContext: withHandler,
		// Handshakes that fail are what the sandbox is for.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	config := func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return c.ca.host(h) }
	n.registry = &tls.Config{GetCertificate: config, NextProtos: []string{"h2", "http/1.1"}}
	n.api = n.registry
}

// Dial connects to the cloud's network: addresses of droplets and reserved
// IPs, names of the account's zones, api.digitalocean.com, and, on port 443,
// any other name as a container registry. A reserved IP leads to the droplet
// that it is assigned to now; the connection stays there when it moves.
//
// With Machines, only the API is in memory. Everything else is connected to in
// their network, where names that Lookup does not know are Options.Internet.
func (c *Cloud) Dial(ctx context.Context, netw, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: netw, Err: err}
	}
	if c.real() && host != apiHost {
		return c.dialMachines(ctx, netw, host, number(port, 0))
	}
	to, serve, droplet, err := c.route(host, number(port, 0))
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: netw, Addr: to, Err: err}
	}
	return c.net.connect(to, serve, droplet)
}

const apiHost = "api.digitalocean.com"

// A service takes a connection that somebody made to it.
type service func(net.Conn)

// route finds who answers at a host and port. The droplet is 0 for what is
// not on one.
func (c *Cloud) route(host string, port int) (*net.TCPAddr, service, int, error) {
	now := c.lock()
	defer c.unlock()
	ip, err := netip.ParseAddr(host)
	if err != nil {
		ips := c.resolve(host)
		if len(ips) == 0 {
			to, serve, err := c.elsewhere(host, port)
			return to, serve, 0, err
		}
		ip, _ = netip.ParseAddr(ips[0])
	}
	to := net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port)))
	d, live := c.at(ip)
	if d == nil || d.Status != "active" || !c.admits(d, port) {
		return to, nil, 0, syscall.EHOSTUNREACH
	}
	serve := c.listening(d, port, live, now)
	if serve == nil {
		return to, nil, 0, syscall.ECONNREFUSED
	}
	return to, serve, d.ID, nil
}

// elsewhere is a name that no zone has: the API, or a registry. A name that a
// zone or a machine claims is a name without a record, not a registry.
func (c *Cloud) elsewhere(host string, port int) (*net.TCPAddr, service, error) {
	to := &net.TCPAddr{IP: net.IPv4(198, 19, 255, 254), Port: port}
	unknown := &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	switch {
	case c.zone(host) != nil || c.claimed(host):
		return to, nil, unknown
	case host == apiHost && port == 443:
		return to, c.tlsService(c.net.api, c), nil
	case port == 443:
		return to, c.tlsService(c.net.registry, c.registry(host)), nil
	}
	return to, nil, unknown
}

// claimed says whether a droplet's release answers for a name.
func (c *Cloud) claimed(host string) bool {
	for _, d := range c.state.Droplets {
		if answers(c.seed(d).manifest.Domains, host) {
			return true
		}
	}
	return false
}

// listening is what answers on a port of a droplet, nil for nothing.
func (c *Cloud) listening(d *droplet, port int, live bool, now time.Time) service {
	v := c.vitals(d, now)
	site := &site{cloud: c, droplet: d.ID, live: live}
	b := c.behaviour(d)
	switch {
	case port == 22 && v.sshd:
		return func(conn net.Conn) { c.serveSSH(d, conn) }
	case port == 80 && v.nginx:
		return c.plainService(site)
	case port == 443 && v.nginx && c.certificate(d) != nil:
		site.secure = true
		return c.tlsService(c.siteTLS(d), site)
	case b.Kind == OpenPort && port == b.Port && v.app:
		return func(conn net.Conn) { io.Copy(io.Discard, conn); conn.Close() }
	}
	return nil
}

func (c *Cloud) plainService(h http.Handler) service {
	return func(conn net.Conn) { c.net.serve(taggedConn{conn, h}) }
}

func (c *Cloud) tlsService(config *tls.Config, h http.Handler) service {
	return func(conn net.Conn) { c.net.serve(tls.Server(taggedConn{conn, h}, config)) }
}

// connect makes a connection and gives its other end to a service.
func (n *network) connect(to *net.TCPAddr, serve service, droplet int) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: to, Err: syscall.ENETUNREACH}
	}
	n.port = n.port%50000 + 1
	client, server := pipe(&net.TCPAddr{IP: net.IPv4(198, 19, 255, 1), Port: 10000 + n.port}, to)
	n.conns[server] = droplet
	server.onClose = func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.conns, server)
	}
	go serve(server)
	return client, nil
}

// cut resets every connection to a droplet.
func (n *network) cut(droplet int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for conn, d := range n.conns {
		if d == droplet {
			conn.cut()
		}
	}
}

// serve hands a connection to the one web server behind all addresses.
func (n *network) serve(conn net.Conn) {
	n.start.Do(func() { go n.web.Serve(n.accept) })
	n.accept.push(conn)
}

func (n *network) close() error {
	n.mu.Lock()
	n.closed = true
	var closers []io.Closer
	for conn := range n.conns {
		conn.cut()
	}
	for s := range n.socks {
		closers = append(closers, s)
	}
	n.mu.Unlock()
	for _, s := range closers {
		s.Close()
	}
	n.accept.Close()
	return n.web.Close()
}

// taggedConn knows what answers on it.
type taggedConn struct {
	net.Conn
	handler http.Handler
}

type handlerKey struct{}

func withHandler(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	return context.WithValue(ctx, handlerKey{}, conn.(taggedConn).handler)
}

func serveTagged(w http.ResponseWriter, r *http.Request) {
	r.Context().Value(handlerKey{}).(http.Handler).ServeHTTP(w, r)
}

// memListener gives connections in memory to a server.
type memListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newMemListener() *memListener {
	return &memListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *memListener) push(conn net.Conn) {
	select {
	case l.conns <- conn:
	case <-l.done:
		conn.Close()
	}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *memListener) Addr() net.Addr { return &net.TCPAddr{} }

// reason is a dial error without its wrapping.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// hostPort joins what Dial takes.
func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
