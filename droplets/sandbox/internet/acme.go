package internet

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/core"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// acmeHosts are Let's Encrypt's, for certificates and for trying it out, so
// that a profile is rehearsed without a change.
func acmeHosts() []string {
	return []string{"acme-v02.api.letsencrypt.org", "acme-staging-v02.api.letsencrypt.org"}
}

const (
	directoryPath = "/directory" // Let's Encrypt's
	// Pebble's paths, which its package does not export.
	orderPath       = "/my-order/"
	finalizePath    = "/finalize-order/"
	certificatePath = "/certZ/"
	// lifetime is that of Let's Encrypt's certificates until February 2027, in seconds.
	lifetime = 90 * 24 * 3600
)

// ACME is Let's Encrypt's own ACME server for tests, Pebble, without what it
// does to annoy clients. It knows the challenges http-01 and dns-01, and has none
// of Let's Encrypt's limits.
type ACME struct {
	handler    http.Handler
	root       []byte // PEM
	validation *validation

	mu     sync.Mutex
	orders []*core.Order // that were finalized
}

// Issued is one certificate that the ACME server issued.
type Issued struct {
	At    time.Time // to the second
	Names []string  // sorted
}

func newACME(n *names, dial dialer) (*ACME, error) {
	v, err := newValidation(n, dial)
	if err != nil {
		return nil, err
	}
	if err := calmPebble(); err != nil {
		return nil, errors.Join(err, v.close())
	}
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{
		"classic": {Description: "The profile of Let's Encrypt that everybody has", PromoteCommonName: true, ValidityPeriod: lifetime},
	})
	// Its goroutine has no end: an ACME server lives as long as the process.
	validator := va.New(quiet, v.port(), closedPort, false, v.resolver.String(), store)
	front := wfe.New(quiet, store, validator, authority, []string{"letsencrypt.org"}, false, false, 0, 0)
	a := &ACME{root: authority.GetRootCert(0).PEM(), validation: v}
	a.handler = a.watch(store, front.Handler())
	return a, nil
}

// calmPebble sets what Pebble takes from the environment alone: no pauses,
// always a validation, no refused nonces, and authorizations that are always
// used again while they are valid (watch ends them with their certificate).
// The variables stay, since two servers may be made at the same time; nothing
// but Pebble reads them.
func calmPebble() error {
	return errors.Join(
		os.Setenv("PEBBLE_VA_NOSLEEP", "1"),
		os.Setenv("PEBBLE_VA_ALWAYS_VALID", "0"),
		os.Setenv("PEBBLE_WFE_NONCEREJECT", "0"),
		os.Setenv("PEBBLE_AUTHZREUSE", "100"),
	)
}

// ServeHTTP speaks ACME. Let's Encrypt's directory is where it is with them.
func (a *ACME) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == directoryPath {
		r = r.Clone(r.Context())
		r.URL.Path = wfe.DirectoryPath
	}
	a.handler.ServeHTTP(w, r)
}

// watch remembers which orders were finalized, and takes their authorizations
// back once their certificate was fetched: each certificate is then validated
// by requests to the droplet that asks for it, a renewal's too.
func (a *ACME) watch(store *db.MemoryStore, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, found := strings.CutPrefix(r.URL.Path, finalizePath); found {
			a.finalized(store.GetOrderByID(id))
			// Let's Encrypt says where the order is, and clients rely on it.
			w.Header().Set("Location", "https://"+r.Host+orderPath+id)
		}
		next.ServeHTTP(w, r)
		if serial, found := strings.CutPrefix(r.URL.Path, certificatePath); found {
			a.fetched(serial)
		}
	})
}

func (a *ACME) finalized(order *core.Order) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if order != nil && !slices.Contains(a.orders, order) {
		a.orders = append(a.orders, order)
	}
}

func (a *ACME) fetched(serial string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, order := range a.orders {
		if cert := certificate(order); cert == nil || cert.ID != serial {
			continue
		}
		for _, authz := range order.AuthorizationObjects {
			authz.Lock()
			authz.ExpiresDate = time.Now()
			authz.Unlock()
		}
	}
}

// Issued lists every certificate that was ever issued, oldest first.
func (a *ACME) Issued() []Issued {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []Issued
	for _, order := range a.orders {
		if cert := certificate(order); cert != nil {
			all = append(all, Issued{cert.Cert.NotBefore, slices.Sorted(slices.Values(cert.Cert.DNSNames))})
		}
	}
	slices.SortStableFunc(all, func(a, b Issued) int { return a.At.Compare(b.At) })
	return all
}

// certificate is what an order led to, or nil.
func certificate(order *core.Order) *core.Certificate {
	order.RLock()
	defer order.RUnlock()
	return order.CertificateObject
}

func (a *ACME) close() error { return a.validation.close() }

// loopback is where Pebble's validator is led to: it makes its own
// connections, and would make them in this process's network.
func loopback() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

func listenLoopback() (net.Listener, error) { return net.Listen("tcp", address(loopback(), 0)) }
