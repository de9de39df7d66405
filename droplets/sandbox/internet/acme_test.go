package internet

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
)

// applicant is an ACME client on a droplet: x/crypto/acme with a web server.
type applicant struct {
	*acme.Client
	token, answer atomic.Value
	asked         atomic.Int64
}

func newApplicant(t *testing.T, w *testWorld) *applicant {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &applicant{Client: &acme.Client{Key: key, HTTPClient: w.client, DirectoryURL: "https://acme-v02.api.letsencrypt.org/directory",
		RetryBackoff: func(int, *http.Request, *http.Response) time.Duration { return 10 * time.Millisecond }}}
	if _, err := a.Register(t.Context(), new(acme.Account), acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *applicant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.asked.Add(1)
	if strings.Contains(r.Host, ":") || r.URL.Path != a.token.Load() {
		http.NotFound(w, r)
		return
	}
	w.Write([]byte(a.answer.Load().(string) + "\n"))
}

// obtain goes through all of http-01.
func (a *applicant) obtain(ctx context.Context, names ...string) ([]*x509.Certificate, error) {
	order, err := a.AuthorizeOrder(ctx, acme.DomainIDs(names...))
	if err != nil {
		return nil, err
	}
	for _, url := range order.AuthzURLs {
		if err := a.prove(ctx, url); err != nil {
			return nil, err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	if err != nil {
		return nil, err
	}
	chain, _, err := a.CreateOrderCert(ctx, order.FinalizeURL, csr, true)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for _, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

func (a *applicant) prove(ctx context.Context, url string) error {
	authz, err := a.GetAuthorization(ctx, url)
	if err != nil || authz.Status == acme.StatusValid {
		return err
	}
	n := slices.IndexFunc(authz.Challenges, func(c *acme.Challenge) bool { return c.Type == "http-01" })
	answer, err := a.HTTP01ChallengeResponse(authz.Challenges[n].Token)
	if err != nil {
		return err
	}
	a.token.Store(a.HTTP01ChallengePath(authz.Challenges[n].Token))
	a.answer.Store(answer)
	if _, err := a.Accept(ctx, authz.Challenges[n]); err != nil {
		return err
	}
	_, err = a.WaitAuthorization(ctx, url)
	return err
}

func TestIssue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.names("blog.example", "www.blog.example")
	a := newApplicant(t, w)
	w.serve(t, 80, &http.Server{Handler: a})
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(w.Roots()) {
		t.Fatal("no root")
	}
	for n := 1; n <= 2; n++ {
		before := a.asked.Load()
		chain, err := a.obtain(t.Context(), "blog.example", "www.blog.example")
		if err != nil {
			t.Fatal(err)
		}
		checkChain(t, chain, roots)
		// A renewal is validated like the first one, from three places each.
		if asked := a.asked.Load() - before; asked != 6 {
			t.Errorf("certificate %d: the droplet was asked %d times", n, asked)
		}
		issued := w.ACME.Issued()
		if len(issued) != n || !slices.Equal(issued[n-1].Names, []string{"blog.example", "www.blog.example"}) || time.Since(issued[n-1].At) > time.Minute {
			t.Errorf("issued: %v", issued)
		}
	}
}

func checkChain(t *testing.T, chain []*x509.Certificate, roots *x509.CertPool) {
	t.Helper()
	if len(chain) != 2 {
		t.Fatalf("%d certificates", len(chain))
	}
	leaf, between := chain[0], x509.NewCertPool()
	between.AddCert(chain[1])
	for _, name := range []string{"blog.example", "www.blog.example"} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between}); err != nil {
			t.Error(err)
		}
	}
	if days := leaf.NotAfter.Sub(leaf.NotBefore).Hours() / 24; days < 89.9 || days > 90 {
		t.Errorf("good for %f days", days)
	}
	if leaf.Subject.CommonName != "blog.example" {
		t.Errorf("subject %s", leaf.Subject)
	}
}

// A site that already redirects everything to HTTPS, without a certificate
// that anybody trusts, is validated all the same.
func TestIssueThroughRedirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.names("blog.example")
	a := newApplicant(t, w)
	w.serve(t, 80, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
	})})
	other := new(testWorld) // whose CA nobody knows
	other.trusted = x509.NewCertPool()
	other.makeAuthority(t)
	w.serve(t, 443, &http.Server{Handler: a, TLSConfig: &tls.Config{GetCertificate: other.certificate}})
	if _, err := a.obtain(t.Context(), "blog.example"); err != nil {
		t.Fatal(err)
	}
}

func TestRefusedToIssue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.names("down.example", "wrong.example", "elsewhere.example", "loop.example")
	w.account["gone.example"] = nil
	a := newApplicant(t, w)
	refused := func(name, why string) {
		t.Helper()
		_, err := a.obtain(t.Context(), name)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", name, err, why)
		}
	}
	refused("down.example", "connection refused")
	refused("gone.example", "could not resolve")
	refused("not-the-accounts.example", "404")
	var loops atomic.Int64
	w.serve(t, 80, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Host {
		case "elsewhere.example":
			http.Redirect(w, r, "http://elsewhere.example:8080/", http.StatusFound)
		case "loop.example":
			loops.Add(1)
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		default:
			w.Write([]byte("hello"))
		}
	})})
	refused("wrong.example", "did not match")
	refused("elsewhere.example", "only 80 and 443")
	refused("loop.example", "too many redirects")
	if n := loops.Load(); n > 3*(1+maxRedirects) {
		t.Errorf("%d requests", n)
	}
	if issued := w.ACME.Issued(); len(issued) != 0 {
		t.Errorf("issued: %v", issued)
	}
}
