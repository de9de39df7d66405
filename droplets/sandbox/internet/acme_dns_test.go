package internet

import (
	"context"
	"slices"
	"sync"
	"testing"

	"golang.org/x/crypto/acme"
)

// zone is DNS that a test writes texts into.
type zone struct {
	mu    sync.Mutex
	texts map[string][]string
}

func (z *zone) of(name string) []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return slices.Clone(z.texts[name])
}

func (z *zone) add(name, text string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.texts[name] = append(z.texts[name], text)
}

// proveByDNS goes through dns-01, with a text that answer makes of the right one.
func (a *applicant) proveByDNS(ctx context.Context, z *zone, url string, answer func(string) string) (kinds []string, err error) {
	authz, err := a.GetAuthorization(ctx, url)
	if err != nil {
		return nil, err
	}
	for _, c := range authz.Challenges {
		kinds = append(kinds, c.Type)
	}
	c := authz.Challenges[slices.Index(kinds, "dns-01")]
	text, err := a.DNS01ChallengeRecord(c.Token)
	if err == nil {
		z.add("_acme-challenge."+authz.Identifier.Value, answer(text))
		_, err = a.Accept(ctx, c)
	}
	if err == nil {
		_, err = a.WaitAuthorization(ctx, url)
	}
	return kinds, err
}

// TestIssueByDNS: a wildcard and its apex are two challenges at one name, and the
// authority looks for both in the world's DNS. HTTP-01 proves no wildcard.
func TestIssueByDNS(t *testing.T) {
	t.Parallel()
	z := &zone{texts: map[string][]string{}}
	w := newWorld(t, Options{Texts: z.of})
	a := newApplicant(t, w)
	for _, wrong := range []bool{true, false} {
		order, err := a.AuthorizeOrder(t.Context(), acme.DomainIDs("blog.example", "*.blog.example"))
		if err != nil {
			t.Fatal(err)
		}
		for _, url := range order.AuthzURLs {
			kinds, err := a.proveByDNS(t.Context(), z, url, func(text string) string {
				if wrong {
					return "wrong"
				}
				return text
			})
			if (err != nil) != wrong {
				t.Errorf("wrong text %t: %v", wrong, err)
			}
			if authz, err := a.GetAuthorization(t.Context(), url); err != nil || authz.Wildcard && slices.Contains(kinds, "http-01") {
				t.Errorf("%v, a wildcard may be proved by %v", err, kinds)
			}
		}
	}
	if texts, err := w.resolver().LookupTXT(t.Context(), "_acme-challenge.blog.example"); err != nil || len(texts) != 4 {
		t.Errorf("droplets see %v, %v", texts, err)
	}
}
