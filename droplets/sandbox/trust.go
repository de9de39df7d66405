package sandbox

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// Trust adds authorities, PEM, to the bundle that CAFile names and to what
// HTTPClient trusts from now on: an ACME server beside the cloud has a root of
// its own. They are those of this process; the next one begins with CA alone.
func (c *Cloud) Trust(pem []byte) error {
	a := c.ca
	a.mu.Lock()
	defer a.mu.Unlock()
	pool := a.pool.Clone()
	if !pool.AppendCertsFromPEM(pem) {
		return errors.New("no certificate to trust in this PEM")
	}
	bundle := append(bytes.TrimRight(a.bundle, "\n"), '\n')
	bundle = append(bundle, pem...)
	if c.opt.Dir != "" {
		if err := writeFile(c.caFile(), bundle); err != nil {
			return err
		}
	}
	a.pool, a.bundle = pool, bundle
	return nil
}

// HostCertificate is a certificate of the cloud's authority for the name that
// a client asks for, for tls.Config.GetCertificate. A client that gives no
// name gets an error.
func (c *Cloud) HostCertificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.ca.host(h)
}

// roots are the authorities that a client of this cloud trusts now.
func (a *authority) roots() *x509.CertPool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pool
}
