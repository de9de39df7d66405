package simulation

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"cattle/droplets"
	"cattle/droplets/sandbox"
)

// What a site has beside its droplets: records, a Cloud Firewall, a project;
// and, in the same zone and the same account, what is somebody else's.

const (
	zone    = "example.com"
	project = "sites"
	// putUp counts what surrounded puts there for somebody else: five records
	// beside the zone's three of its own, and a firewall.
	putUp = 9
)

// surrounded has the profile ask for all of it. The account is furnished the
// first time; afterwards these calls are refused.
func surrounded(b *Bench) {
	b.Site.DNS, b.Site.Firewall, b.Site.Project = true, true, project
	post := func(path string, body map[string]any) int {
		b.T.Helper()
		raw, _ := json.Marshal(body)
		status, _ := b.try(http.MethodPost, path, raw)
		return status
	}
	if post("/v2/domains", map[string]any{"name": zone, "ip_address": "192.0.2.1"}) != http.StatusCreated {
		return
	}
	for _, r := range [][3]string{{"A", foreignName, "192.0.2.2"}, {"A", "old-blog", "192.0.2.3"}, {"A", "shop", "192.0.2.4"}, {"TXT", "_cattle.shop", "cattle:app:shop"}} {
		post("/v2/domains/"+zone+"/records", map[string]any{"type": r[0], "name": r[1], "data": r[2]})
	}
	post("/v2/tags", map[string]any{"name": foreignTag})
	post("/v2/firewalls", map[string]any{"name": foreignName, "tags": []string{foreignTag}, "inbound_rules": []any{
		map[string]any{"protocol": "tcp", "ports": "22", "sources": map[string]any{"addresses": []string{"192.0.2.0/24"}}}}})
	for _, name := range []string{foreignName, project} {
		post("/v2/projects", map[string]any{"name": name, "purpose": "Website or blog"})
	}
}

// differs has somebody give the site's record another address, and the
// firewall another rule.
func differs(b *Bench) {
	for _, r := range b.records() {
		if r.Type == "A" && r.Name == "blog" {
			b.Call(http.MethodPatch, fmt.Sprintf("/v2/domains/%s/records/%d", zone, r.ID), []byte(`{"type":"A","data":"192.0.2.99"}`))
		}
	}
	rules := `{"name":%q,"tags":[%q],"inbound_rules":[{"protocol":"tcp","ports":"22","sources":{"addresses":["0.0.0.0/0"]}},
		{"protocol":"tcp","ports":"80","sources":{"addresses":["0.0.0.0/0"]}},{"protocol":"tcp","ports":"443","sources":{"addresses":["0.0.0.0/0"]}}],
		"outbound_rules":[{"protocol":"tcp","ports":"0","destinations":{"addresses":["0.0.0.0/0"]}}]}`
	for _, f := range b.firewalls() {
		if f.Name == "cattle-blog" {
			b.Call(http.MethodPut, "/v2/firewalls/"+f.ID, fmt.Appendf(nil, rules, f.Name, f.Tags[0]))
		}
	}
}

// A zoneRecord is one as the API has it, with the name without the zone.
type zoneRecord struct {
	ID               int
	Type, Name, Data string
}

func (b *Bench) list(path string, into any) {
	b.T.Helper()
	if status, answer := b.try(http.MethodGet, path+"?per_page=200", nil); status == http.StatusOK {
		if err := json.Unmarshal(answer, into); err != nil {
			b.T.Fatal(err)
		}
	}
}

func (b *Bench) records() []zoneRecord {
	var in struct {
		Records []zoneRecord `json:"domain_records"`
	}
	b.list("/v2/domains/"+zone+"/records", &in)
	return in.Records
}

type wall struct {
	ID, Name string
	Tags     []string
	Inbound  []struct{ Ports string } `json:"inbound_rules"`
	Outbound []struct{ Ports string } `json:"outbound_rules"`
}

func (b *Bench) firewalls() []wall {
	var in struct{ Firewalls []wall }
	b.list("/v2/firewalls", &in)
	return in.Firewalls
}

// things are the URNs of what is in each project, by the project's name.
func (b *Bench) things() map[string][]string {
	var in struct{ Projects []struct{ ID, Name string } }
	b.list("/v2/projects", &in)
	out := map[string][]string{}
	for _, p := range in.Projects {
		var has struct{ Resources []struct{ URN string } }
		b.list("/v2/projects/"+p.ID+"/resources", &has)
		for _, r := range has.Resources {
			out[p.Name] = append(out[p.Name], r.URN)
		}
	}
	return out
}

// surroundings is what is wrong with the site's, as its profile has them.
func (b *Bench) surroundings() (wrong []string) {
	if !b.Site.DNS {
		return nil
	}
	live := b.holder(b.Cloud.Snapshot())
	for _, ip := range b.addresses(b.Cloud.Snapshot()) {
		want := []string{"A " + ip.IP, "TXT cattle:app:blog"}
		var got []string
		for _, r := range b.records() {
			if r.Name == "blog" || r.Name == "_cattle.blog" {
				got = append(got, r.Type+" "+r.Data)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			wrong = append(wrong, fmt.Sprintf("the records are %q, not %q", got, want))
		}
		if in := b.things()[project]; live != nil && (!slices.Contains(in, fmt.Sprint("do:droplet:", live.ID)) || !slices.Contains(in, "do:floatingip:"+ip.IP)) {
			wrong = append(wrong, fmt.Sprintf("the project has %q", in))
		}
	}
	if !slices.ContainsFunc(b.firewalls(), func(f wall) bool {
		return f.Name == "cattle-blog" && slices.Equal(f.Tags, []string{droplets.AppTag("blog")}) && len(f.Inbound) == 4 && len(f.Outbound) == 3
	}) {
		wrong = append(wrong, fmt.Sprintf("the firewalls are %+v", b.firewalls()))
	}
	return wrong
}

// judgeAround wants whoever says that it is done to be right about all of it.
func (b *Bench) judgeAround(r *run) {
	verb, _, _ := strings.Cut(r.verb, ",")
	if r.err == nil && r.report != nil && len(r.around) > 0 && slices.Contains([]string{"release", "first release", "rollback"}, verb) {
		b.violate(truthful, "%s: done; but %s", r.verb, strings.Join(r.around, "; "))
	}
}

// judgeGone wants nothing of the site's to be left beside droplets and address.
func (b *Bench) judgeGone() {
	if !b.Site.DNS {
		return
	}
	for _, r := range b.records() {
		if r.ours() && r.Name != challenges {
			b.violate(accounted, "after destroy there is the record %s %s %s", r.Type, r.Name, r.Data)
		}
	}
	for _, f := range b.firewalls() {
		if f.Name == "cattle-blog" {
			b.violate(accounted, "after destroy there is the firewall %s", f.Name)
		}
	}
}

// ours tells what a surrounded site may have for its own.
func (r zoneRecord) ours() bool {
	return slices.Contains([]string{"blog", "_cattle.blog", "*.blog", "_cattle._wildcard.blog", challenges}, r.Name)
}

// judgeForeignAround wants nobody to change what is beside the site's own.
func (b *Bench) judgeForeignAround(requests []sandbox.Request) {
	if !b.Site.DNS {
		return
	}
	var theirs []string
	for _, r := range b.records() {
		if !r.ours() {
			theirs = append(theirs, fmt.Sprint("/records/", r.ID))
		}
	}
	for _, f := range b.firewalls() {
		if f.Name != "cattle-blog" {
			theirs = append(theirs, f.ID)
		}
	}
	for _, r := range requests {
		touches := func(name string) bool { return strings.HasSuffix(r.Path, name) }
		if r.Method != http.MethodGet && r.Agent != hand && (slices.ContainsFunc(theirs, touches) || r.Method == http.MethodDelete && strings.Count(r.Path, "/") < 5 && strings.HasPrefix(r.Path, "/v2/domains")) {
			b.violate(onlyOurs, "%s %s %s", r.Agent, r.Method, r.Path)
		}
	}
	if len(theirs) != putUp {
		b.violate(onlyOurs, "%d things of somebody else's were put up, %d are there", putUp, len(theirs))
	}
	if got, want := b.foreignAround(), b.beside; !maps.Equal(got, want) {
		b.violate(onlyOurs, "beside the site there is\n%v, and was\n%v", got, want)
	}
}

// foreignAround is all that is somebody else's beside the site, in words.
func (b *Bench) foreignAround() map[string]string {
	if !b.Site.DNS {
		return nil
	}
	out := map[string]string{}
	for _, r := range b.records() {
		if !r.ours() {
			out[fmt.Sprint("record ", r.ID)] = fmt.Sprint(r)
		}
	}
	for _, f := range b.firewalls() {
		if f.Name != "cattle-blog" {
			out["firewall "+f.ID] = fmt.Sprint(f)
		}
	}
	out["project"] = fmt.Sprint(b.things()[foreignName])
	return out
}
