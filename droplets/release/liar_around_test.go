package release_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"cattle/droplets/release/simulation"
)

// Lies about records, firewalls and projects: as if what is somebody else's
// were the site's.

// theirsAround is what somebody else has, by its id.
type theirsAround struct {
	record, wall string
}

// aroundLies get the id of somebody's record and of somebody's firewall.
var aroundLies = map[string]func(theirs theirsAround, r *http.Request, a map[string]any) map[string]any{
	"the truth": nil,
	"a zone file says that the name is somebody's": func(_ theirsAround, _ *http.Request, a map[string]any) map[string]any {
		return each(a, "domains", func(d map[string]any) {
			d["zone_file"] = "legacy.example.com. 300 IN A 192.0.2.9\n_cattle.legacy.example.com. 300 IN TXT cattle:app:blog\n"
		})
	},
	"a list gives our records somebody's id": func(l theirsAround, r *http.Request, a map[string]any) map[string]any {
		return each(a, "domain_records", func(d map[string]any) {
			if d["name"] == "blog" {
				d["id"], d["data"] = number(l.record), "192.0.2.8"
			}
		})
	},
	"a list marks somebody's record": func(l theirsAround, r *http.Request, a map[string]any) map[string]any {
		rs, ok := a["domain_records"].([]any)
		if !ok {
			return nil
		}
		a["domain_records"] = append(rs, map[string]any{"id": number(l.record), "type": "TXT", "name": "_cattle.legacy", "data": "cattle:app:blog"})
		return a
	},
	"ids of records are 0": func(_ theirsAround, r *http.Request, a map[string]any) map[string]any {
		return each(a, "domain_records", func(d map[string]any) { d["id"] = 0 })
	},
	"a domain is a path": func(l theirsAround, r *http.Request, a map[string]any) map[string]any {
		return each(a, "domains", func(d map[string]any) { d["name"] = "example.com/records/" + l.record + "?x=.example.com" })
	},
	"a list gives our firewall somebody's id": func(l theirsAround, r *http.Request, a map[string]any) map[string]any {
		return each(a, "firewalls", func(f map[string]any) {
			if f["name"] == "cattle-blog" {
				f["id"], f["inbound_rules"] = l.wall, []any{}
			}
		})
	},
	"the id of a firewall is a path": func(l theirsAround, r *http.Request, a map[string]any) map[string]any {
		return each(a, "firewalls", func(f map[string]any) { f["id"] = "x/../" + l.wall })
	},
	"the id of a project is a path": func(_ theirsAround, r *http.Request, a map[string]any) map[string]any {
		return each(a, "projects", func(p map[string]any) { p["id"] = "../droplets" })
	},
}

func number(s string) (n int) {
	fmt.Sscan(s, &n)
	return n
}

// TestLyingSurroundings: whatever one kind of answer says, nothing is asked to
// be changed of somebody's records and firewalls.
func TestLyingSurroundings(t *testing.T) {
	for name, lie := range aroundLies {
		for _, verb := range []string{"release", "rollback", "destroy"} {
			t.Run(name+"/"+verb, func(t *testing.T) {
				simulation.Simulate(t, realistic, func(b *simulation.Bench) {
					surround(b)
					b.Must("v0")
					b.Must("v1")
					var theirs theirsAround
					record(b, "A", "legacy", "192.0.2.9")
					theirs.record = fmt.Sprint(allRecords(b)[len(allRecords(b))-1].ID)
					b.Post("/v2/tags", map[string]any{"name": "web"})
					var made struct{ Firewall struct{ ID string } }
					decode(t, b.Call(http.MethodPost, "/v2/firewalls", []byte(`{"name":"web","tags":["web"],"inbound_rules":[{"protocol":"tcp","ports":"22","sources":{"addresses":["192.0.2.0/24"]}}]}`)), &made)
					theirs.wall = made.Firewall.ID
					l := beside(b, t)
					if lie != nil {
						l.lie = func(_ *liar, r *http.Request, a map[string]any) map[string]any { return lie(theirs, r, a) }
					}
					if verb == "rollback" {
						b.Site.SSHFrom = []string{"203.0.113.7"}
					}
					if err := aroundVerbs[verb](b); lie == nil && err != nil {
						t.Error("nobody lied:", err)
					}
					for _, c := range l.changes {
						if strings.HasSuffix(c.path, "/"+theirs.record) || strings.HasSuffix(c.path, theirs.wall) || strings.Contains(c.path, "..") {
							t.Errorf("touched what is not the blog's: %v", c)
						}
					}
					if got := recordsOf(b, "legacy"); fmt.Sprint(got) != "[A 192.0.2.9]" {
						t.Error("somebody's record:", got)
					}
				})
			})
		}
	}
}

var aroundVerbs = map[string]func(*simulation.Bench) error{
	"release":  verbs["release"],
	"rollback": verbs["rollback"],
	"destroy":  simulationDestroys,
}
