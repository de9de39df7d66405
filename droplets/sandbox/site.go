package sandbox

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// A site is nginx and the app behind it, on one droplet, as one connection
// sees them.
type site struct {
	cloud   *Cloud
	droplet int
	live    bool // reached by a reserved IP
	secure  bool // reached on 443
}

// facts is what a site answers from, taken at the moment of a request.
type facts struct {
	manifest  manifest
	behaviour Behaviour
	vitals    vitals
	certified bool
	unlucky   bool // a request that FailsSome fails
	phase     string
	closed    bool // its volume is elsewhere
	now       time.Time
}

// facts are there as long as nginx runs.
func (s *site) facts() (f facts, up bool) {
	c := s.cloud
	f.now = c.lock()
	defer c.unlock()
	d := c.droplet(s.droplet)
	if d == nil {
		return f, false
	}
	f.manifest, f.behaviour, f.phase = c.seed(d).manifest, c.behaviour(d), c.phase(d)
	f.closed = c.shut(d, f.now)
	f.vitals, f.certified = c.vitals(d, f.now), c.certificate(d) != nil
	if f.behaviour.Kind == FailsSome && f.behaviour.begun(f.vitals.appAt, f.now) {
		log := c.logOf(d)
		log.asked++
		f.unlucky = log.asked%5 == 0
	}
	return f, f.vitals.nginx
}

// ServeHTTP answers as nginx does that was set up for a release.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, up := s.facts()
	if !up {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Server", "nginx")
	known := answers(f.manifest.Domains, hostname(r.Host))
	logged := &loggedWriter{ResponseWriter: w, status: http.StatusOK}
	if known { // the server for other names keeps no log
		w = logged
		defer func() { s.log(r, logged) }()
	}
	switch {
	case r.URL.Path == f.manifest.IdentityPath && (known || !s.secure):
		identity(w, f)
	case !known:
		panic(http.ErrAbortHandler) // nginx's 444
	case strings.HasPrefix(r.URL.Path, "/.well-known/acme-challenge/"):
		http.NotFound(w, r)
	case f.certified && !s.secure && !strings.HasPrefix(r.URL.Path, "/.well-known/"):
		http.Redirect(w, r, "https://"+hostname(r.Host)+r.URL.RequestURI(), http.StatusMovedPermanently)
	case held(w, r, f.phase, f.closed):
	default:
		logged.app = true
		s.app(w, r, f)
	}
}

// identity answers which attempt at a release this machine is.
func identity(w http.ResponseWriter, f facts) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain")
	id := f.manifest.Attempt
	if f.behaviour.Kind == WrongVersion {
		id = strings.Repeat("0", 16)
	}
	if f.behaviour.Kind == Babbles {
		id = Babble
	}
	fmt.Fprintln(w, id)
}

// app answers for the release, in the way that it is broken.
func (s *site) app(w http.ResponseWriter, r *http.Request, f facts) {
	b := f.behaviour
	switch {
	case !f.vitals.app || b.Kind == Exited:
		http.Error(w, "Bad Gateway", http.StatusBadGateway)
		return
	case b.Kind == NeverHealthy:
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
		return
	case b.Kind == FailsLive && s.live, b.Kind == FailsLater && b.begun(f.vitals.appAt, f.now), b.Kind == FailsSome && f.unlucky:
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	case b.Kind == Slow:
		if sleep(r.Context(), slowAnswer) != nil {
			panic(http.ErrAbortHandler)
		}
	}
	w.Header().Set("Content-Type", "text/plain")
	if r.URL.Path == rowsPath {
		s.rows(w, r)
		return
	}
	fmt.Fprintf(w, "%s %s\n", f.manifest.App, f.manifest.Release)
}

func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}

// certificate is what a machine serves TLS with, parsed once; nil without one.
// The cloud must be locked.
func (c *Cloud) certificate(d *droplet) *tls.Certificate {
	tree := d.Disk.Certificates
	if len(tree) == 0 {
		return nil
	}
	if p := c.pairs[d.ID]; p != nil && &p.tree[0] == &tree[0] {
		return p.pair
	}
	pair, _ := parseTree(tree)
	c.pairs[d.ID] = &parsedTree{tree: tree, pair: pair}
	return pair
}

// parsedTree remembers which tar a certificate came from.
type parsedTree struct {
	tree   []byte
	pair   *tls.Certificate
	config *tls.Config // kept, so that sessions can be resumed
}

// siteTLS is how a machine answers TLS: with its certificate for its names,
// and with a refused handshake for any other. The cloud must be locked.
func (c *Cloud) siteTLS(d *droplet) *tls.Config {
	pair := c.certificate(d)
	p := c.pairs[d.ID]
	if p.config == nil {
		p.config = &tls.Config{
			MinVersion: tls.VersionTLS12,
			NextProtos: []string{"h2", "http/1.1"},
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				if h.ServerName == "" || pair.Leaf.VerifyHostname(h.ServerName) != nil {
					return nil, errors.New("unrecognized name " + h.ServerName)
				}
				return pair, nil
			},
		}
	}
	return p.config
}
