package internet

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	internetIP = netip.MustParseAddr("198.18.0.2")
	resolverIP = netip.MustParseAddr("198.18.0.3")
	dropletIP  = netip.MustParseAddr("198.18.0.10")
)

// testWorld is a network on loopback, with an internet in it: an address of
// the world is a port of this machine.
type testWorld struct {
	*Internet
	authority *x509.Certificate
	key       *ecdsa.PrivateKey
	client    *http.Client // of somebody in the world
	trusted   *x509.CertPool

	mu      sync.Mutex
	ports   map[string]string // network/address in the world -> address on loopback
	account map[string][]netip.Addr
}

func newWorld(t *testing.T, opt Options) *testWorld {
	t.Helper()
	w := &testWorld{ports: map[string]string{}, account: map[string][]netip.Addr{}, trusted: x509.NewCertPool()}
	w.makeAuthority(t)
	w.client = &http.Client{Transport: &http.Transport{DialContext: w.dialName, TLSClientConfig: &tls.Config{RootCAs: w.trusted}}}
	opt.Lookup, opt.Certificate, opt.Dial, opt.Address, opt.Cache = w.lookup, w.certificate, w.dial, internetIP, t.TempDir()
	var err error
	if w.Internet, err = New(opt); err != nil {
		t.Fatal(err)
	}
	w.Archive.upstream = func() map[string]*url.URL { return nil }
	if err := w.Serve(w); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *testWorld) lookup(name string) ([]netip.Addr, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	addrs, known := w.account[name]
	return addrs, known
}

func (w *testWorld) names(names ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range names {
		w.account[n] = []netip.Addr{dropletIP}
	}
}

func (w *testWorld) Listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, "127.0.0.1:0")
	if err == nil {
		w.put(network, address, l.Addr())
	}
	return l, err
}

func (w *testWorld) ListenPacket(network, address string) (net.PacketConn, error) {
	p, err := net.ListenPacket(network, "127.0.0.1:0")
	if err == nil {
		w.put(network, address, p.LocalAddr())
	}
	return p, err
}

func (w *testWorld) put(network, address string, to net.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ports[network+"/"+address] = to.String()
}

// at is where an address of the world is on loopback.
func (w *testWorld) at(network, address string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ports[network+"/"+address]
}

func (w *testWorld) dial(ctx context.Context, network, address string) (net.Conn, error) {
	to := w.at(network, address)
	if to == "" {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	return new(net.Dialer).DialContext(ctx, network, to)
}

// dialName asks the world's DNS, as a droplet does.
func (w *testWorld) dialName(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := w.resolver().LookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	return w.dial(ctx, network, net.JoinHostPort(addrs[0], port))
}

func (w *testWorld) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return w.dial(ctx, network, address(resolverIP, 53))
	}}
}

// serve is a droplet's web server.
func (w *testWorld) serve(t *testing.T, port int, s *http.Server) {
	t.Helper()
	l, err := w.Listen("tcp", address(dropletIP, port))
	if err != nil {
		t.Fatal(err)
	}
	if s.TLSConfig != nil {
		go s.ServeTLS(l, "", "")
	} else {
		go s.Serve(l)
	}
	t.Cleanup(func() { s.Close() })
}

func (w *testWorld) makeAuthority(t *testing.T) {
	t.Helper()
	var err error
	if w.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &w.key.PublicKey, w.key)
	if err != nil {
		t.Fatal(err)
	}
	if w.authority, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	w.trusted.AddCert(w.authority)
}

func (w *testWorld) certificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if h.ServerName == "" {
		return nil, errors.New("no server name")
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{h.ServerName}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, w.authority, &w.key.PublicKey, w.key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: w.key}, err
}
