// Package probe asks a site as a visitor does: by name, on a fresh connection,
// the certificate verified; once, or at a fixed rate through a switch.
package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxBody is how much of an answer is looked at, in bytes.
const maxBody = 1 << 20

// maxHeader is the largest header of an answer, in bytes: ten times what
// browsers and proxies take.
const maxHeader = 80 << 10

// Health is one health check and how it is repeated.
type Health struct {
	Path      string
	Status    int
	Body      string // a substring, or "" for anything
	Interval  time.Duration
	Timeout   time.Duration // of one check
	Successes int           // in a row
	Deadline  time.Duration // for all of them
}

// IdentityPath is where a droplet's nginx serves the id of its attempt, so
// that the old droplet's answer can never be taken for the new one's.
const IdentityPath = "/.well-known/cattle/attempt"

// A Door is one way to a site: an address, and the name that it is asked for.
type Door struct {
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	HTTPS   bool
	Address string // of a droplet or a reserved IP; or the name itself
	Host    string
	// Untrusted is set for certificates of a test authority: names and dates are
	// verified then, the issuer is not.
	Untrusted bool
	Roots     *x509.CertPool // nil: the system's
	// Agent is the User-Agent, Checker where it is empty.
	Agent string
}

// Checker is who asks for cattle. A droplet does not count his requests among
// its visitors'.
const Checker = "cattle"

// Client asks at the door: every request on a connection of its own (an open
// one would stay with the old droplet through a switch), SNI and Host as a
// visitor sends them, the certificate verified.
func (d Door) Client() *http.Client {
	tlsConfig := &tls.Config{ServerName: d.Host, MinVersion: tls.VersionTLS12, RootCAs: d.Roots}
	if d.Untrusted {
		// The issuer is a test authority: everything but the chain is verified.
		tlsConfig.InsecureSkipVerify = true
		tlsConfig.VerifyConnection = func(s tls.ConnectionState) error { return verifyLeaf(s, d.Host) }
	}
	rt := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return d.Dial(ctx, network, net.JoinHostPort(d.Address, port))
		},
		TLSClientConfig:        tlsConfig,
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: maxHeader,
	}
	return &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func verifyLeaf(s tls.ConnectionState, host string) error {
	leaf := s.PeerCertificates[0]
	if now := time.Now(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return x509.CertificateInvalidError{Cert: leaf, Reason: x509.Expired}
	}
	return leaf.VerifyHostname(host)
}

func (d Door) url(path string) string {
	scheme := "http"
	if d.HTTPS {
		scheme = "https"
	}
	return scheme + "://" + d.Host + path
}

// Get asks once and returns the status and the body's first MiB.
func (d Door) Get(ctx context.Context, client *http.Client, path string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url(path), nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("User-Agent", cmp.Or(d.Agent, Checker))
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", &askError{err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return resp.StatusCode, string(body), err
}

// maxError is the longest that an askError says, in bytes.
const maxError = 500

// An askError is a request that got no answer. net/http quotes what it could
// not read, which is as long as whoever answers likes.
type askError struct{ err error }

func (e *askError) Error() string {
	s := e.err.Error()
	if len(s) > maxError {
		s = strings.ToValidUTF8(s[:maxError], "") + "…"
	}
	return s
}

func (e *askError) Unwrap() error { return e.err }

// Identity asks which attempt answers at the door.
func (d Door) Identity(ctx context.Context, client *http.Client) (string, error) {
	status, body, err := d.Get(ctx, client, IdentityPath)
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("%s answered %d", d.url(IdentityPath), status)
	}
	if body = strings.TrimSpace(body); len(body) > aWord {
		return "", fmt.Errorf("%s answered %d bytes: that is no attempt's id", d.url(IdentityPath), len(body))
	}
	return body, nil
}

// Late means that a health check was not answered in its time.
type Late struct {
	URL    string
	Within time.Duration
}

func (e *Late) Error() string { return fmt.Sprintf("%s did not answer within %s", e.URL, e.Within) }

// Healthy makes one health check.
func (d Door) Healthy(ctx context.Context, client *http.Client, h Health) error {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	status, body, err := d.Get(ctx, client, h.Path)
	switch {
	case err != nil && ctx.Err() != nil:
		return &Late{d.url(h.Path), h.Timeout}
	case err != nil:
		return err
	case status != h.Status:
		return fmt.Errorf("%s answered %d, not %d", d.url(h.Path), status, h.Status)
	case !strings.Contains(body, h.Body):
		return fmt.Errorf("%s answered without %q in its body", d.url(h.Path), h.Body)
	}
	return nil
}
