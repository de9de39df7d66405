// Package cloudtest says what a DigitalOcean account must do for us: one suite
// over plain HTTP that runs on the sandbox and, behind the build tag live, on
// a real account; and one for the verbs of a machine. Where the two differ,
// the sandbox is wrong.
package cloudtest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// API is an account to try.
type API struct {
	BaseURL string // without /v2
	Token   string
	Client  *http.Client
	// Poll is the time between two looks in a wait, default 3 s; Patience is
	// how long a wait may take, default 5 minutes.
	Poll, Patience time.Duration
	// Region, Size and Image of the droplets that are made; the defaults
	// are nyc3, s-1vcpu-1gb and debian-13-x64.
	Region, Size, Image string
	// Domain is a zone that may be created and deleted; empty leaves domains out.
	Domain string
}

// Run checks everything that cattle relies on. It makes two droplets at a
// time, six in all, a reserved IP, a snapshot, a volume, a key, tags and a
// firewall, and takes all of them away again, whatever happens.
func Run(t *testing.T, api API) {
	s := &suite{api: api.withDefaults(), mark: "cloudtest-" + random()}
	t.Run("Unauthorized", s.unauthorized)
	t.Run("NotFound", s.notFound)
	t.Run("RateLimitHeaders", s.rateLimitHeaders)
	t.Run("Account", s.account)
	t.Run("Catalogue", s.catalogue)
	t.Run("Paging", s.paging)
	t.Run("Tags", s.tags)
	t.Run("Keys", s.keys)
	t.Run("Firewalls", s.firewalls)
	t.Run("Projects", s.projects)
	t.Run("Domains", s.domains)
	t.Run("DropletRefused", s.dropletRefused)
	t.Run("DropletsAndReservedIP", s.life)
	t.Run("Snapshots", s.snapshots)
	t.Run("Volumes", s.volumes)
}

func (a API) withDefaults() API {
	for _, d := range []struct {
		field *string
		value string
	}{{&a.Region, "nyc3"}, {&a.Size, "s-1vcpu-1gb"}, {&a.Image, "debian-13-x64"}} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if a.Poll == 0 {
		a.Poll = 3 * time.Second
	}
	if a.Patience == 0 {
		a.Patience = 5 * time.Minute
	}
	if a.Client == nil {
		a.Client = http.DefaultClient
	}
	return a
}

// suite is one run; mark is in the name of everything that it makes.
type suite struct {
	api  API
	mark string
}

func random() string {
	var b [4]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x", b)
}

// An answer is a response with its JSON decoded.
type answer struct {
	status int
	header http.Header
	body   any
}

func (s *suite) do(method, path string, body any) (answer, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, strings.TrimSuffix(s.api.BaseURL, "/")+path, in)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.api.Token)
	res, err := s.api.Client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	b, err := io.ReadAll(res.Body)
	if err == nil && len(b) > 0 {
		err = json.Unmarshal(b, &a.body)
	}
	return a, err
}

// want makes a call and fails the test unless it has the status.
func (s *suite) want(t *testing.T, status int, method, path string, body any) answer {
	t.Helper()
	a, err := s.do(method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status != status {
		t.Fatalf("%s %s: status %d, want %d: %v", method, path, a.status, status, a.body)
	}
	return a
}

// refused wants an error body: id and message, or error and root_causes.
func (s *suite) refused(t *testing.T, status int, method, path string, body any) {
	t.Helper()
	a := s.want(t, status, method, path, body)
	if (a.text("id") == "" || a.text("message") == "") && a.text("error") == "" {
		t.Errorf("%s %s: no error body: %v", method, path, a.body)
	}
}

// cleanup deletes something when the test ends, until it is really gone.
func (s *suite) cleanup(t *testing.T, path string) {
	t.Cleanup(func() {
		s.wait(t, "the deletion of "+path, func() bool {
			a, err := s.do("DELETE", path, nil)
			return err == nil && a.status == 404
		})
	})
}

// wait looks again and again, and says what it waited for when that does not come.
func (s *suite) wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(s.api.Patience); !done(); time.Sleep(s.api.Poll) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come within %s", what, s.api.Patience)
		}
	}
}

// at walks into JSON: names of objects and numbers of lists.
func (a answer) at(path ...any) any {
	v := a.body
	for _, p := range path {
		switch key := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[key]
		case int:
			l, _ := v.([]any)
			if key >= len(l) {
				return nil
			}
			v = l[key]
		}
	}
	return v
}

func (a answer) text(path ...any) string { s, _ := a.at(path...).(string); return s }
func (a answer) number(path ...any) int  { n, _ := a.at(path...).(float64); return int(n) }
func (a answer) list(path ...any) []any  { l, _ := a.at(path...).([]any); return l }
func (a answer) has(path ...any) bool    { return a.at(path...) != nil }
func fields(v any, names ...string) (missing []string) {
	m, _ := v.(map[string]any)
	for _, name := range names {
		if _, ok := m[name]; !ok {
			missing = append(missing, name)
		}
	}
	return missing
}
