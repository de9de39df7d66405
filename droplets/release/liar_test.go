package release_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
)

// A lie changes what the API says, on the way to cattle. It gets the request
// and the answer's JSON, and returns what cattle reads.
type lie func(l *liar, r *http.Request, answer map[string]any) map[string]any

// A liar stands between cattle and the sandbox, which knows the truth. It
// remembers all that cattle asked to be changed.
type liar struct {
	t    *testing.T
	base http.RoundTripper
	lie  lie

	mu      sync.Mutex
	changes []change

	neighbour, shop, image int
	free                   string // a reserved IP that points at nothing
	theirs                 string // one that points at the neighbour
}

type change struct{ method, path, query, body string }

func (l *liar) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		body := []byte{}
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		l.mu.Lock()
		l.changes = append(l.changes, change{r.Method, r.URL.Path, r.URL.RawQuery, string(body)})
		l.mu.Unlock()
	}
	resp, err := l.base.RoundTrip(r)
	if err != nil || l.lie == nil || resp.StatusCode == http.StatusNoContent {
		return resp, err
	}
	raw, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	var answer map[string]any
	if json.Unmarshal(raw, &answer) == nil {
		if told := l.lie(l, r, answer); told != nil {
			resp.StatusCode = http.StatusOK
			raw, _ = json.Marshal(told)
		}
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	return resp, nil
}

// touched are the changes that were asked of what is not the blog's.
func (l *liar) touched() (out []change) {
	strangers := []string{strconv.Itoa(l.neighbour), strconv.Itoa(l.shop), strconv.Itoa(l.image), l.free, l.theirs, "cattle:app:shop"}
	for _, c := range l.changes {
		named := func(s string) bool {
			return slices.Contains(strings.Split(c.path, "/"), s) || strings.Contains(c.body, `"`+s+`"`) || strings.Contains(c.body, ":"+s+",") || strings.Contains(c.body, ":"+s+"}")
		}
		wild := c.method == http.MethodDelete && (c.query != "" || path.Dir(c.path) == "/v2" || strings.Contains(c.path, ".."))
		if wild || slices.ContainsFunc(strangers, named) {
			out = append(out, c)
		}
	}
	return out
}

// list finds the droplets of an answer, in whatever it has them.
func listed(answer map[string]any) []any {
	ds, _ := answer["droplets"].([]any)
	return ds
}

func isGet(r *http.Request, pattern string) bool {
	ok, _ := path.Match(pattern, r.URL.Path)
	return ok && r.Method == http.MethodGet
}

func isPost(r *http.Request, pattern string) bool {
	ok, _ := path.Match(pattern, r.URL.Path)
	return ok && r.Method == http.MethodPost
}

// each changes every object under one of the keys.
func each(answer map[string]any, key string, do func(map[string]any)) map[string]any {
	switch v := answer[key].(type) {
	case map[string]any:
		do(v)
	case []any:
		for _, one := range v {
			do(one.(map[string]any))
		}
	default:
		return nil
	}
	return answer
}

// lies are what a cloud may say. Each leaves the truth as it is.
var lies = map[string]lie{
	"the truth": nil,
	"a list has the droplets of others": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if !isGet(r, "/v2/droplets") {
			return nil
		}
		a["droplets"] = append(listed(a), droplet(l.neighbour, "web"), droplet(l.shop, "shop", "cattle:app:shop"), droplet(l.shop, "shop", "cattle:served"))
		return a
	},
	"a droplet is of two apps": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		both := droplet(l.shop, "shop", "cattle:app:blog", "CATTLE:APP:SHOP", stale.Tag())
		switch {
		case isGet(r, "/v2/droplets"):
			a["droplets"] = append(listed(a), both)
		case isGet(r, fmt.Sprintf("/v2/droplets/%d", l.shop)):
			a["droplet"] = both
		}
		return a
	},
	"a list forges the tag, a look does not": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if !isGet(r, "/v2/droplets") {
			return nil
		}
		a["droplets"] = append(listed(a), droplet(l.neighbour, "web", "cattle:app:blog", stale.Tag()))
		return a
	},
	"each droplet of a list comes twice": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if !isGet(r, "/v2/droplets") {
			return nil
		}
		a["droplets"] = append(listed(a), listed(a)...)
		return a
	},
	"ids of a list are 0, negative, huge": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if !isGet(r, "/v2/droplets") {
			return nil
		}
		for _, id := range []int{0, -1, 1 << 62} {
			a["droplets"] = append(listed(a), droplet(id, "odd", "cattle:app:blog", stale.Tag()))
		}
		return a
	},
	"a look at one droplet answers another": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if !isGet(r, "/v2/droplets/*") {
			return nil
		}
		return each(a, "droplet", func(d map[string]any) { d["id"], d["locked"] = l.neighbour, false })
	},
	"a look at a droplet has no tag of the app": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if !isGet(r, "/v2/droplets/*") {
			return nil
		}
		return each(a, "droplet", func(d map[string]any) { d["tags"] = []string{"cattle:app:shop"} })
	},
	"a look at anything has nothing in it": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if !isGet(r, "/v2/*/*") {
			return nil
		}
		return map[string]any{}
	},
	"creating answers somebody's droplet": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if !isPost(r, "/v2/droplets") {
			return nil
		}
		return map[string]any{"droplet": droplet(l.neighbour, "web")}
	},
	"creating answers somebody's id under our name": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if !isPost(r, "/v2/droplets") {
			return nil
		}
		return each(a, "droplet", func(d map[string]any) { d["id"] = l.neighbour })
	},
	"creating answers the id 0": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if !isPost(r, "/v2/droplets") {
			return nil
		}
		return each(a, "droplet", func(d map[string]any) { d["id"] = 0 })
	},
	"a reserved IP is a path": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		return each(a, "reserved_ips", func(ip map[string]any) { ip["ip"] = fmt.Sprintf("../droplets/%d?", l.neighbour) })
	},
	"a reserved IP that was made is a path": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if !isPost(r, "/v2/reserved_ips") {
			return nil
		}
		return each(a, "reserved_ip", func(ip map[string]any) { ip["ip"] = fmt.Sprintf("../droplets/%d?", l.neighbour) })
	},
	"a reserved IP that was made is another's": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if !isPost(r, "/v2/reserved_ips") {
			return nil
		}
		return each(a, "reserved_ip", func(ip map[string]any) { ip["ip"] = l.free })
	},
	"a look at a reserved IP answers another": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if !isGet(r, "/v2/reserved_ips/*") {
			return nil
		}
		return each(a, "reserved_ip", func(ip map[string]any) { ip["ip"] = l.free })
	},
	"the reserved IP points at somebody's droplet": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		lie := func(ip map[string]any) {
			if ip["ip"] != l.free {
				ip["droplet"] = droplet(l.neighbour, "web")
			}
		}
		if each(a, "reserved_ips", lie) != nil {
			return a
		}
		return each(a, "reserved_ip", lie)
	},
	"tags are paths": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		lie := func(d map[string]any) {
			if tags, ok := d["tags"].([]any); ok {
				d["tags"] = append(tags, fmt.Sprintf("cattle:release:x/../../droplets/%d", l.neighbour), fmt.Sprintf("cattle:expires:/../../droplets/%d?:%v", l.neighbour, d["id"]))
			}
		}
		if each(a, "droplets", lie) != nil {
			return a
		}
		return each(a, "droplet", lie)
	},
	"a droplet has somebody's snapshot": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		lie := func(d map[string]any) { d["snapshot_ids"] = []int{l.image} }
		if each(a, "droplets", lie) != nil {
			return a
		}
		return each(a, "droplet", lie)
	},
	"a list of snapshots has somebody's": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if r.URL.Query().Get("tag_name") == "" {
			return nil
		}
		if images, ok := a["images"].([]any); ok {
			a["images"] = append(images, map[string]any{"id": l.image, "name": "theirs", "type": "snapshot", "tags": []string{"cattle:app:blog", droplets.BakedTag(strings.Repeat("e", 32), time.Now())}})
		}
		return a
	},
	"pages never end": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if a["links"] == nil {
			return nil
		}
		if isGet(r, "/v2/droplets") {
			a["droplets"] = append(listed(a), droplet(l.neighbour, "web"))
		}
		a["links"] = map[string]any{"pages": map[string]any{"next": "http://api.test/v2/droplets?page=2", "last": "http://api.test/v2/droplets?page=1000000000"}}
		return a
	},
	"the next page is another list": func(l *liar, r *http.Request, a map[string]any) map[string]any {
		if a["links"] == nil {
			return nil
		}
		a["links"] = map[string]any{"pages": map[string]any{"next": "http://elsewhere.test/v2/droplets?page=9", "last": "\x1b[2J"}}
		return a
	},
}

// stale is the birth of an orphan: what gc would destroy.
var stale = droplets.Birth{Release: "v0", Attempt: strings.Repeat("f", 16), Lease: time.Unix(1, 0), Digest: strings.Repeat("d", 32), HostKey: strings.Repeat("9", 64)}

func droplet(id int, name string, tags ...string) map[string]any {
	return map[string]any{"id": id, "name": name, "status": "active", "tags": append([]string{}, tags...), "region": map[string]any{"slug": "fra1"},
		"size_slug": "s-1vcpu-1gb", "networks": map[string]any{"v4": []any{map[string]any{"type": "public", "ip_address": "198.18.0.250"}}}}
}

const first, status = "first release", "status"

// verbs are what an operator may do while he is lied to.
var verbs = map[string]func(*simulation.Bench) error{
	"release":  func(b *simulation.Bench) error { _, err := b.Release(b.T.Context(), "v2"); return err },
	first:      func(b *simulation.Bench) error { _, err := b.Release(b.T.Context(), "v1"); return err },
	"rollback": func(b *simulation.Bench) error { _, err := b.Rollback(b.T.Context(), ""); return err },
	"bake":     func(b *simulation.Bench) error { _, err := b.BakeBy(b.T.Context(), b.Op, "v1"); return err },
	"gc": func(b *simulation.Bench) error {
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			return err
		}
		g := release.PlanGC(b.Site, w, release.GCOptions{Standbys: true})
		if g.Unmarked != nil {
			if _, err := b.Op.Adopt(b.T.Context(), g); err != nil {
				return err
			}
		}
		return b.Op.Collect(b.T.Context(), g)
	},
	status: func(b *simulation.Bench) error {
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			return err
		}
		return b.Op.Verify(b.T.Context(), b.Site, w).Err
	},
	"destroy": func(b *simulation.Bench) error {
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			return err
		}
		return b.Op.Destroy(b.T.Context(), b.Site, release.PlanDestroy(b.Site, w, true))
	},
}

// TestLyingCloud: whatever one kind of answer says, nothing is asked to be
// changed of what is not the app's, and every verb comes to an end.
func TestLyingCloud(t *testing.T) {
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			for verb, do := range verbs {
				t.Run(verb, func(t *testing.T) {
					simulation.Simulate(t, realistic, func(b *simulation.Bench) {
						if verb != first {
							b.Must("v0")
							b.Must("v1")
						}
						l := beside(b, t)
						l.lie = lie
						began := time.Now()
						err := do(b)
						t.Logf("after %s: %v", time.Since(began), err)
						if lie == nil && err != nil {
							t.Error("nobody lied:", err)
						}
						if out := l.touched(); len(out) > 0 {
							t.Errorf("touched what is not the blog's: %v", out)
						}
						if took := time.Since(began); took > 2*time.Hour {
							t.Errorf("it took %s", took)
						}
						if verb == status && len(l.changes) > 0 {
							t.Errorf("a look changed something: %v", l.changes)
						}
						l.unharmed(b)
					})
				})
			}
		})
	}
}

// beside puts what others have beside the blog, and a liar between cattle and
// all of it.
func beside(b *simulation.Bench, t *testing.T) *liar {
	l := &liar{t: t, base: b.Cloud.Client().Transport}
	made := func(body map[string]any) int {
		var out struct{ Droplet struct{ ID int } }
		raw, _ := json.Marshal(body)
		decode(t, b.Call(http.MethodPost, "/v2/droplets", raw), &out)
		return out.Droplet.ID
	}
	order := func(name string, tags ...string) map[string]any {
		return map[string]any{"name": name, "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64", "tags": tags}
	}
	l.neighbour, l.shop = made(order("web")), made(order("shop", "cattle:app:shop", droplets.ServedTag))
	time.Sleep(time.Minute)
	b.Post(fmt.Sprintf("/v2/droplets/%d/actions", l.neighbour), map[string]any{"type": "snapshot", "name": "theirs"})
	time.Sleep(10 * time.Minute)
	l.theirs, l.free = reserve(b, map[string]any{"droplet_id": l.neighbour}), reserve(b, map[string]any{"region": "fra1"})
	time.Sleep(time.Minute)
	for _, d := range b.Cloud.Snapshot().Droplets {
		if d.ID == l.neighbour {
			var out struct{ Droplet struct{ Snapshot_IDs []int } }
			decode(t, b.Call(http.MethodGet, fmt.Sprintf("/v2/droplets/%d", d.ID), nil), &out)
			l.image = out.Droplet.Snapshot_IDs[0]
		}
	}
	api, err := droplets.Open(droplets.Config{Token: "t", HTTP: &http.Client{Transport: l}, URL: "http://api.test"})
	if err != nil {
		t.Fatal(err)
	}
	b.Op.Cloud = api
	return l
}

func reserve(b *simulation.Bench, body map[string]any) string {
	var out struct {
		Reserved_IP struct{ IP string }
	}
	raw, _ := json.Marshal(body)
	decode(b.T, b.Call(http.MethodPost, "/v2/reserved_ips", raw), &out)
	return out.Reserved_IP.IP
}

// unharmed looks at what others have, in the sandbox itself.
func (l *liar) unharmed(b *simulation.Bench) {
	l.t.Helper()
	for _, p := range []string{fmt.Sprintf("/v2/droplets/%d", l.neighbour), fmt.Sprintf("/v2/droplets/%d", l.shop), fmt.Sprintf("/v2/images/%d", l.image), "/v2/reserved_ips/" + l.free, "/v2/tags/cattle:app:shop"} {
		b.Call(http.MethodGet, p, nil) // fails the test when it is gone
	}
	var out struct {
		Reserved_IP struct{ Droplet struct{ ID int } }
	}
	if decode(l.t, b.Call(http.MethodGet, "/v2/reserved_ips/"+l.theirs, nil), &out); out.Reserved_IP.Droplet.ID != l.neighbour {
		l.t.Errorf("the neighbour's address points at %d", out.Reserved_IP.Droplet.ID)
	}
}

func decode(t testing.TB, answer []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(answer, into); err != nil {
		t.Fatal(err)
	}
}
