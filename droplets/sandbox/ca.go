package sandbox

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// authority is the certificate authority of the sandbox.
type authority struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	pem    []byte
	secret []byte // DER of the key, from which other secrets are derived

	mu     sync.Mutex
	hosts  map[string]*tls.Certificate // of registries and the API, by name
	bundle []byte                      // pem, and what Trust added
	pool   *x509.CertPool              // of bundle; replaced, never changed
}

// lifetime is that of Let's Encrypt until February 2027.
const lifetime = 90 * 24 * time.Hour

// loadCA takes the authority from the state folder, or makes one.
func (c *Cloud) loadCA() error {
	certPEM, keyPEM, err := c.readCA()
	if errors.Is(err, fs.ErrNotExist) {
		certPEM, keyPEM, err = newCA()
		if err == nil {
			err = c.writeCA(certPEM, keyPEM)
		}
	}
	if err != nil {
		return err
	}
	return c.useCA(certPEM, keyPEM)
}

// useCA makes the authority from its certificate, and what an earlier process
// trusted beside it, and its key.
func (c *Cloud) useCA(certPEM, keyPEM []byte) error {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return err
	}
	own := block("CERTIFICATE", pair.Leaf.Raw)
	if len(own) != len(certPEM) { // what an earlier process trusted beside it
		if err := c.writeCA(own, keyPEM); err != nil {
			return err
		}
	}
	a := &authority{cert: pair.Leaf, key: pair.PrivateKey.(*ecdsa.PrivateKey), pem: own, bundle: bytes.Clone(own), pool: x509.NewCertPool(), hosts: map[string]*tls.Certificate{}}
	a.pool.AddCert(a.cert)
	a.secret, err = x509.MarshalECPrivateKey(a.key)
	c.ca = a
	return err
}

func (c *Cloud) readCA() (cert, key []byte, err error) {
	if c.opt.Dir == "" {
		return nil, nil, fs.ErrNotExist
	}
	key, err = os.ReadFile(filepath.Join(c.opt.Dir, "ca-key.pem"))
	if err != nil {
		return nil, nil, err
	}
	cert, err = os.ReadFile(c.caFile())
	return cert, key, err
}

func (c *Cloud) writeCA(cert, key []byte) error {
	if c.opt.Dir == "" {
		return nil
	}
	// The certificate first: a key without one would not be found to be missing.
	if err := writeFile(c.caFile(), cert); err != nil {
		return err
	}
	return writeFile(filepath.Join(c.opt.Dir, "ca-key.pem"), key)
}

func (c *Cloud) caFile() string {
	if c.opt.Dir == "" {
		return ""
	}
	return filepath.Join(c.opt.Dir, "ca.pem")
}

func newCA() (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "cattle sandbox CA"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(10, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	return block("CERTIFICATE", der), block("EC PRIVATE KEY", keyDER), err
}

// sign makes a certificate for names, with its key.
func (a *authority) sign(names []string, now time.Time) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: names[0]},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	return block("CERTIFICATE", der), block("PRIVATE KEY", keyDER), err
}

// host is a certificate for any name, made when it is first asked for.
func (a *authority) host(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name := hello.ServerName
	if name == "" {
		return nil, errors.New("no server name")
	}
	if c := a.hosts[name]; c != nil && time.Now().Before(c.Leaf.NotAfter) {
		return c, nil
	}
	cert, key, err := a.sign([]string{name}, time.Now())
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(append(cert, a.pem...), key)
	a.hosts[name] = &pair
	return &pair, err
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}
