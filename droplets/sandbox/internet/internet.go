// Package internet is what droplets find outside themselves in a rehearsal:
// DNS, package archives, container registries, an ACME server, a mail relay,
// stores for backups and files to download, in one process. It works on any listeners; the
// rehearsal gives it some in the network that its droplets are in.
package internet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Options says what New needs to know of the world.
type Options struct {
	// Lookup is the account's DNS. Known and empty means that there is no such
	// name; unknown is any host of the internet. nil knows nothing.
	Lookup func(name string) (addrs []netip.Addr, known bool)
	// Texts are the account's TXT records of a name. nil knows none.
	Texts func(name string) []string
	// Certificate is that of any host name, by an authority that droplets trust.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Dial goes into the world, to an IP address and port: the ACME server's
	// challenges have to reach droplets. nil dials from this process's network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Address is the internet's: what names resolve to that Lookup does not know.
	Address netip.Addr
	// Resolver is the address of the DNS server; by default the one after Address.
	Resolver netip.Addr
	// Cache is the folder that keeps packages from one rehearsal to the next.
	// By default it is cattle/packages in the user's cache folder.
	Cache string
	// API is DigitalOcean's, of which droplets see /v2/ alone; nil: there is none.
	API http.Handler
	// RelayPorts are those of the mail relay, 2525 by default. On 465 TLS
	// begins with the first byte; on the others with STARTTLS.
	RelayPorts []int
}

// Listeners makes the sockets that the internet is served on.
type Listeners interface {
	Listen(network, address string) (net.Listener, error)
	ListenPacket(network, address string) (net.PacketConn, error)
}

// Internet is all of it. Its parts can be used singly: Registry, ACME,
// Archive and Objects are http.Handlers. Everything may be called at any time, by several
// goroutines.
type Internet struct {
	Registry *Registry
	ACME     *ACME
	Relay    *Relay
	Archive  *Archive
	Objects  *Objects
	Files    *Files

	opt       Options
	names     *names
	downloads downloads

	mu     sync.Mutex
	closed bool
	stops  []func() error // in the order in which things began
}

// New makes an internet that nobody can reach yet.
func New(opt Options) (*Internet, error) {
	if opt.Certificate == nil {
		return nil, errors.New("internet: no certificates")
	}
	if err := opt.complete(); err != nil {
		return nil, err
	}
	i := &Internet{opt: opt, names: newNames(opt.Lookup, opt.Texts, opt.Address)}
	var err error
	if i.Archive, err = newArchive(opt.Cache); err != nil {
		return nil, fmt.Errorf("package cache: %w", err)
	}
	i.stops = append(i.stops, i.Archive.close)
	if i.ACME, err = newACME(i.names, opt.Dial); err != nil {
		return nil, errors.Join(fmt.Errorf("ACME server: %w", err), i.Close())
	}
	i.stops = append(i.stops, i.ACME.close)
	i.Registry = newRegistry(opt.Cache)
	i.stops = append(i.stops, i.Registry.close)
	i.Relay = newRelay(opt.Certificate)
	i.Objects = NewObjects()
	if i.Files, err = NewFiles(); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

func (opt *Options) complete() error {
	if opt.Lookup == nil {
		opt.Lookup = func(string) ([]netip.Addr, bool) { return nil, false }
	}
	if opt.Texts == nil {
		opt.Texts = func(string) []string { return nil }
	}
	if opt.Dial == nil {
		opt.Dial = new(net.Dialer).DialContext
	}
	if !opt.Resolver.IsValid() {
		opt.Resolver = opt.Address.Next()
	}
	if len(opt.RelayPorts) == 0 {
		opt.RelayPorts = []int{2525}
	}
	if opt.Cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("package cache: %w", err)
		}
		opt.Cache = filepath.Join(dir, "cattle", "packages")
	}
	return nil
}

// Roots is the root certificate of the ACME server, as PEM: what a visitor of
// a droplet's site has to trust.
func (i *Internet) Roots() []byte { return i.ACME.root }

// Serve begins to listen on all ports and returns. When one of them cannot be
// had, none is, and the internet is closed.
func (i *Internet) Serve(l Listeners) error {
	if err := i.serve(l); err != nil {
		return errors.Join(err, i.Close())
	}
	return nil
}

func (i *Internet) serve(l Listeners) error {
	packets, err := l.ListenPacket("udp", address(i.opt.Resolver, 53))
	if err != nil {
		return err
	}
	if err := i.stopLater(i.names.servePackets(packets)); err != nil {
		return err
	}
	if err := i.listen(l, i.opt.Resolver, 53, i.names.serve); err != nil {
		return err
	}
	if err := i.listen(l, i.opt.Address, 80, i.serveHTTP); err != nil {
		return err
	}
	if err := i.listen(l, i.opt.Address, 443, i.serveHTTPS); err != nil {
		return err
	}
	if err := i.listen(l, i.opt.Address, filesPort, i.Files.Serve); err != nil {
		return err
	}
	for _, port := range i.opt.RelayPorts {
		serve := i.Relay.serve
		if port == smtps {
			serve = i.Relay.serveTLS
		}
		if err := i.listen(l, i.opt.Address, port, serve); err != nil {
			return err
		}
	}
	return nil
}

// listen has a port served until Close.
func (i *Internet) listen(l Listeners, ip netip.Addr, port int, serve func(net.Listener) (stop func() error, err error)) error {
	listener, err := l.Listen("tcp", address(ip, port))
	if err != nil {
		return err
	}
	return i.stopLater(serve(listener))
}

func (i *Internet) serveHTTP(l net.Listener) (stop func() error, err error) {
	s := i.webServer()
	go s.Serve(l)
	return s.Close, nil
}

func (i *Internet) serveHTTPS(l net.Listener) (stop func() error, err error) {
	s := i.webServer()
	s.TLSConfig = &tls.Config{GetCertificate: i.opt.Certificate}
	go s.ServeTLS(l, "", "")
	return s.Close, nil
}

func (i *Internet) webServer() *http.Server {
	return &http.Server{
		Handler: http.HandlerFunc(i.web), ReadHeaderTimeout: time.Minute,
		// What a droplet does wrong is told by the droplet.
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

// stopLater has Close end what has begun, or ends it if Close came before.
func (i *Internet) stopLater(stop func() error, err error) error {
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		stop()
		return net.ErrClosed
	}
	i.stops = append(i.stops, stop)
	return nil
}

// Close ends all servers and the connections to them. The package cache stays.
func (i *Internet) Close() error {
	i.mu.Lock()
	stops := i.stops
	i.stops, i.closed = nil, true
	i.mu.Unlock()
	var all error
	for n := len(stops) - 1; n >= 0; n-- {
		if err := stops[n](); err != nil && !errors.Is(err, net.ErrClosed) {
			all = errors.Join(all, err)
		}
	}
	return all
}

func address(ip netip.Addr, port int) string {
	return net.JoinHostPort(ip.String(), strconv.Itoa(port))
}
