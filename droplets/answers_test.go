package droplets_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"cattle/droplets"
)

// everyCall asks the API for everything once, with values that are in order.
// What a call returned is written down for whoever looks for what may not be
// in it.
func everyCall(ctx context.Context, c droplets.Cloud) []call {
	const ip, tag, uuid = "198.19.0.1", "cattle:app:blog", "4de7ac8b-495b-4884-9a69-1050c6793cd6"
	return []call{
		ask("account", func() (any, error) { return c.Account(ctx) }),
		ask("count", func() (any, error) { return c.CountDroplets(ctx) }),
		ask("droplets", func() (any, error) { return c.Droplets(ctx, tag) }),
		ask("droplet", func() (any, error) { return c.Droplet(ctx, 7) }),
		ask("create", func() (any, error) { return c.Create(ctx, droplets.Spec{Name: "blog-v1-4f1c0a9b"}) }),
		ask("destroy", func() (any, error) { return nil, c.Destroy(ctx, 7) }),
		ask("shutdown", func() (any, error) { return nil, c.Shutdown(ctx, 7) }),
		ask("power off", func() (any, error) { return nil, c.PowerOff(ctx, 7) }),
		ask("take snapshot", func() (any, error) { return nil, c.TakeSnapshot(ctx, 7, "s") }),
		ask("actions", func() (any, error) { return c.Actions(ctx, 7) }),
		ask("reserved ips", func() (any, error) { return c.ReservedIPs(ctx) }),
		ask("reserved ip", func() (any, error) { return c.ReservedIP(ctx, ip) }),
		ask("reserve", func() (any, error) { return c.ReserveIP(ctx, 7) }),
		ask("assign", func() (any, error) { return nil, c.Assign(ctx, ip, 7) }),
		ask("release", func() (any, error) { return nil, c.ReleaseIP(ctx, ip) }),
		ask("tag", func() (any, error) { return nil, c.TagDroplets(ctx, tag, 7) }),
		ask("delete tag", func() (any, error) { return nil, c.DeleteTag(ctx, tag) }),
		ask("snapshots", func() (any, error) { return c.Snapshots(ctx, tag) }),
		ask("snapshot", func() (any, error) { return c.Snapshot(ctx, 7) }),
		ask("tag snapshot", func() (any, error) { return nil, c.TagSnapshot(ctx, tag, 7) }),
		ask("delete snapshot", func() (any, error) { return nil, c.DeleteSnapshot(ctx, 7) }),
		ask("keys", func() (any, error) { return c.SSHKeys(ctx) }),
		ask("sizes", func() (any, error) { return c.Sizes(ctx) }),
		ask("zones", func() (any, error) { return c.Zones(ctx) }),
		ask("records", func() (any, error) { return c.Records(ctx, "example.com") }),
		ask("record", func() (any, error) { return c.Record(ctx, "example.com", 7) }),
		ask("firewall", func() (any, error) { return c.Firewall(ctx, uuid) }),
		ask("make record", func() (any, error) {
			return nil, c.MakeRecord(ctx, "example.com", droplets.Record{Type: "A", Name: "example.com", Data: ip})
		}),
		ask("change record", func() (any, error) {
			return nil, c.ChangeRecord(ctx, "example.com", droplets.Record{ID: 7, Type: "A", Name: "example.com", Data: ip})
		}),
		ask("delete record", func() (any, error) { return nil, c.DeleteRecord(ctx, "example.com", 7) }),
		ask("firewalls", func() (any, error) { return c.Firewalls(ctx) }),
		ask("make firewall", func() (any, error) {
			return nil, c.MakeFirewall(ctx, droplets.Firewall{Name: "wall", Tags: []string{tag}})
		}),
		ask("change firewall", func() (any, error) { return nil, c.ChangeFirewall(ctx, droplets.Firewall{ID: uuid, Name: "wall"}) }),
		ask("delete firewall", func() (any, error) { return nil, c.DeleteFirewall(ctx, uuid) }),
		ask("projects", func() (any, error) { return c.Projects(ctx) }),
		ask("put into", func() (any, error) { return nil, c.PutInto(ctx, uuid, 7, ip) }),
		ask("vpc", func() (any, error) { return c.VPC(ctx, uuid) }),
		ask("volumes", func() (any, error) { return c.Volumes(ctx, "fra1", "blog-media") }),
		ask("volume", func() (any, error) { return c.Volume(ctx, uuid) }),
		ask("create volume", func() (any, error) {
			return c.CreateVolume(ctx, droplets.VolumeSpec{Name: "blog-media", Region: "fra1", SizeGiB: 10})
		}),
		ask("attach", func() (any, error) { return nil, c.AttachVolume(ctx, uuid, 7) }),
		ask("detach", func() (any, error) { return nil, c.DetachVolume(ctx, uuid, 7) }),
		ask("volume's actions", func() (any, error) { return c.VolumeActions(ctx, uuid) }),
		ask("image", func() (any, error) { return c.Image(ctx, "debian-13-x64") }),
	}
}

type call struct {
	name string
	got  any
	err  error
}

func ask(name string, do func() (any, error)) call {
	got, err := do()
	return call{name, got, err}
}

// open is the API behind a RoundTripper.
func open(t testing.TB, rt http.RoundTripper) droplets.Cloud {
	t.Helper()
	c, err := droplets.Open(droplets.Config{Token: "t", HTTP: &http.Client{Transport: rt}, URL: "http://api.test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// always gives every request one answer. It is no failure that the client
// would ask again after.
type always struct {
	status int
	header http.Header
	body   func() io.Reader
}

func (a always) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body.Close()
	}
	return &http.Response{StatusCode: a.status, Header: a.header.Clone(), Body: io.NopCloser(a.body()), ContentLength: -1, Request: r}, nil
}

// shows fails the test when something from outside could move a cursor or pass
// for a line of ours.
func shows(t *testing.T, what string) {
	t.Helper()
	if i := strings.IndexFunc(what, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("%q has what is not printable", what[:min(i+20, len(what))])
	}
}

// FuzzAnswers: whatever the API answers, no call panics, takes a fact from an
// answer about something else, or returns text that a terminal would obey.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `{"droplet":null}`, `{"droplet":{"id":7,"name":"\u001b[2J\u202e\u009b","tags":["cattle:app:blog"],"networks":{"v4":[{"type":"public","ip_address":"x"}]}}}`,
		`{"droplets":[{"id":0,"tags":["cattle:app:blog"]},{"id":-1,"tags":null}],"links":{"pages":{"next":"http://api.test/?page=2","last":"x"}},"meta":{"total":-1}}`,
		`{"reserved_ips":[{"ip":"../droplets/7"}]}`, `{"reserved_ip":{"ip":"198.19.0.1","droplet":{"id":7},"region":null}}`,
		`{"domains":[{"name":"example.com","zone_file":"example.com. 1800 IN SOA x\nexample.com. 300 IN A 1.2.3.4\n\u001b[2J. 1 IN TXT x"},{"name":"../droplets/7"}],"domain_records":[{"id":7,"type":"TXT","name":"\u202e@","data":"\u0007"}]}`,
		`{"firewalls":[{"id":"../droplets/7","name":"x"},null],"projects":[{"id":"4de7ac8b-495b-4884-9a69-1050c6793cd6","name":"\u001b[2J"}],"vpc":{"id":"x"},"resources":[{"urn":"do:droplet:7","status":"not_found"}]}`,
		`{"volumes":[{"id":"../droplets/7","name":"blog-media"},null],"volume":{"id":"4de7ac8b-495b-4884-9a69-1050c6793cd6","name":"blog-media","filesystem_type":"\u001b[2J","droplet_ids":[-1],"region":{"slug":"\u202e"}}}`,
		`{"account":{"email":"a\u0007","droplet_limit":-5,"status":"x\ncattle: error: forged"}}`, `{"actions":[{"status":"in-progress","started_at":"x"}]}`,
		`{"id":"x","message":"\u001b]0;t\u0007\ncattle: hint: rm -rf","request_id":"\u009b2J"}`, `{"images":[{"id":1,"type":"snapshot","tags":["cattle:app:blog"]}],"image":{"id":7},"sizes":[{"regions":[null]}]}`,
		"\x1f\x8b\x08", `{"droplets":[` + strings.Repeat(`{},`, 100), "\x1b[2J\u202e",
	} {
		f.Add(200, seed)
		f.Add(422, seed)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 499 || status == http.StatusTooManyRequests {
			return // nothing a server sends, or something that is asked for again
		}
		api := open(t, always{status, nil, func() io.Reader { return strings.NewReader(body) }})
		for _, c := range everyCall(t.Context(), api) {
			var answer *droplets.APIError
			switch {
			case errors.As(c.err, &answer):
				shows(t, answer.Error())
			case c.err == nil && status >= 300 && !(status == 404 && c.got == nil):
				t.Errorf("%s: %d is taken for a success", c.name, status)
			}
			facts(t, c)
		}
	})
}

// facts holds what a call returned to what can be.
func facts(t *testing.T, c call) {
	t.Helper()
	switch got := c.got.(type) {
	case droplets.Droplet:
		sane(t, got)
		if c.err == nil && c.name == "droplet" && got.ID != 7 {
			t.Errorf("droplet 7 is %d", got.ID)
		}
	case []droplets.Droplet:
		for _, d := range got {
			sane(t, d)
			if d.ID < 1 || !d.Has("cattle:app:blog") {
				t.Errorf("taken for the blog's: %+v", d)
			}
		}
	case droplets.ReservedIP:
		if c.err == nil && c.name == "reserved ip" && got.IP != "198.19.0.1" {
			t.Errorf("the reserved IP is %s", got.IP)
		}
		sane(t, got.Droplet)
	case droplets.Volume:
		shows(t, got.ID+got.Name+got.Region+got.Filesystem+strings.Join(got.Tags, ""))
		if c.err == nil && c.name == "create volume" && got.Name != "blog-media" {
			t.Errorf("the volume blog-media is %s", got.Name)
		}
	case []droplets.Volume:
		for _, v := range got {
			shows(t, v.ID+v.Filesystem+strings.Join(v.Tags, ""))
			if v.Name != "blog-media" || v.Region != "fra1" {
				t.Errorf("taken for blog-media in fra1: %+v", v)
			}
		}
	case droplets.Account:
		shows(t, got.Email+got.Status)
	case droplets.Image:
		shows(t, fmt.Sprint(got))
	default:
		shows(t, strings.ReplaceAll(fmt.Sprint(got), "\n", ""))
	}
}

func sane(t *testing.T, d droplets.Droplet) {
	t.Helper()
	shows(t, d.Name+d.Status+d.Region+d.Size+d.Image+d.Private+strings.Join(d.Tags, "")+strings.Join(d.Public, ""))
	for _, own := range d.OwnTags() {
		if strings.ContainsAny(own, "/?#.%") {
			t.Errorf("%q would be a path", own)
		}
	}
}

// endless repeats text for ever after a beginning.
type endless struct {
	begin, repeat string
	n             int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		if e.n < len(e.begin) {
			p[i] = e.begin[e.n]
		} else {
			p[i] = e.repeat[(e.n-len(e.begin))%len(e.repeat)]
		}
		e.n++
	}
	return len(p), nil
}

// most is the memory that an answer may take, in bytes.
const most = 256 << 20

// inMemory runs f and fails the test when the heap grows beyond most meanwhile.
func inMemory(t *testing.T, f func()) {
	t.Helper()
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	for tick := time.Tick(10 * time.Millisecond); ; {
		select {
		case <-done:
			return
		case <-tick:
			if runtime.ReadMemStats(&now); now.HeapAlloc > before.HeapAlloc+most {
				t.Fatalf("it takes %d MiB", (now.HeapAlloc-before.HeapAlloc)>>20)
			}
		}
	}
}

// TestEndlessAnswers: an answer without an end is an error, in little memory, however much there is in each of its bytes.
func TestEndlessAnswers(t *testing.T) {
	kinds := []endless{
		{"", " ", 0},
		{`{"droplets":[{}`, `,{}`, 0},
		{`{"account":{"email":"`, "x", 0},
		{`{"droplets":[{"id":1,"tags":[""`, `,""`, 0},
		{`{"droplets":`, `[`, 0},
	}
	for _, status := range []int{200, 422} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			// In turn: each answer is read for megabytes.
			n := 0
			api := open(t, always{status, nil, func() io.Reader { n++; fresh := kinds[n%len(kinds)]; return &fresh }})
			inMemory(t, func() {
				for _, c := range everyCall(t.Context(), api) {
					if c.err == nil && c.got != nil {
						t.Errorf("%s: no error", c.name)
					}
				}
			})
		})
	}
}

// TestCompressedBomb: what counts is the size after the compression was undone.
func TestCompressedBomb(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for part := bytes.Repeat([]byte(" "), 1<<20); ; {
			if _, err := z.Write(part); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	api, err := droplets.Open(droplets.Config{Token: "t", URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	inMemory(t, func() {
		if _, err := api.Account(t.Context()); err == nil || !strings.Contains(err.Error(), "too large") {
			t.Errorf("got %v", err)
		}
	})
}

// TestPagesEnd: a list whose every page names a next one ends, and so does one
// whose pages take their time.
func TestPagesEnd(t *testing.T) {
	const page = `{"ssh_keys":[{"id":1}],"links":{"pages":{"next":"http://api.test/v2/account/keys?page=2","last":"http://api.test/v2/account/keys?page=99999999"}}}`
	for pace, most := range map[time.Duration]int{0: 50, 80 * time.Second: 3} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			began := time.Now()
			_, err := open(t, roundTrip(func(r *http.Request) (*http.Response, error) {
				asked++
				select {
				case <-time.After(pace):
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
				return always{200, nil, func() io.Reader { return strings.NewReader(page) }}.RoundTrip(r)
			})).SSHKeys(t.Context())
			if took := time.Since(began); err == nil || asked > most || took > 3*time.Minute {
				t.Errorf("%d pages in %s: %v", asked, took, err)
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRedirectsAreNotFollowed: neither a request nor the token goes elsewhere,
// and whether an order was carried out is open.
func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		api := open(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host != "api.test" {
				t.Errorf("%d: %s %s with %q", status, r.Method, r.URL, r.Header.Get("Authorization"))
			}
			return always{status, http.Header{"Location": {"http://elsewhere.test/v2/droplets/8"}}, func() io.Reader { return http.NoBody }}.RoundTrip(r)
		}))
		for _, c := range everyCall(t.Context(), api) {
			if !droplets.Uncertain(c.err) {
				t.Errorf("%s after %d: %v", c.name, status, c.err)
			}
		}
	}
}

// TestNoAnswerIsAPath: an address or a tag is a part of a request's path, and
// an odd one is not sent.
func TestNoAnswerIsAPath(t *testing.T) {
	ctx := t.Context()
	api := open(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		t.Errorf("sent: %s %s", r.Method, r.URL)
		return nil, errors.New("no")
	}))
	for _, odd := range []string{"../droplets/7", "", "198.19.0.1/../../droplets/7", "::1", "198.19.0.1?", "x\ny"} {
		_, err := api.ReservedIP(ctx, odd)
		for _, err := range []error{err, api.Assign(ctx, odd, 7), api.ReleaseIP(ctx, odd), api.DeleteTag(ctx, odd+"/"), api.TagDroplets(ctx, odd+"/", 7), api.TagSnapshot(ctx, odd+" ", 7),
			api.DeleteRecord(ctx, odd+"/", 7), api.MakeRecord(ctx, odd+"/", droplets.Record{Type: "A", Name: odd + "/"}), api.DeleteFirewall(ctx, odd), api.PutInto(ctx, odd, 7, ""),
			api.AttachVolume(ctx, odd, 7), api.DetachVolume(ctx, odd, 7)} {
			if err == nil {
				t.Errorf("%q is taken", odd)
			}
		}
	}
}

// TestTwoApps: a droplet with the tags of two apps is nobody's, and has no birth.
func TestTwoApps(t *testing.T) {
	d := droplets.Droplet{ID: 7, Tags: []string{"cattle:app:blog", birth("v1").Tag()}}
	if _, ok := d.Birth(); !ok || d.App() != "blog" {
		t.Fatalf("%+v is of %q", d, d.App())
	}
	d.Tags = append(d.Tags, "CATTLE:APP:BLOG")
	if d.App() != "blog" {
		t.Errorf("the same tag twice is of %q", d.App())
	}
	d.Tags = append(d.Tags, "Cattle:app:shop")
	if _, ok := d.Birth(); ok || d.App() != "" {
		t.Errorf("of two apps: %q, born %v", d.App(), ok)
	}
}

// TestOwnTags: a tag is deleted from all that carry it, so one that names
// another droplet, or that cattle did not write, is not this one's to delete.
func TestOwnTags(t *testing.T) {
	own := []string{birth("v1").Tag(), droplets.ExpiresTag(time.Unix(1795000000, 0), 7)}
	d := droplets.Droplet{ID: 7, Tags: append([]string{"cattle:app:blog", droplets.ExpiresTag(time.Unix(1795000000, 0), 17), "cattle:expires:x:7",
		"cattle:release:x/../../droplets/8", "cattle:expires:/../../droplets/8?:7", "cattle:bake:"}, own...)}
	if got := d.OwnTags(); fmt.Sprint(got) != fmt.Sprint(own) {
		t.Errorf("got %q", got)
	}
}
