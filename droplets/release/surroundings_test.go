package release_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

// surround has the profile ask for records, firewall and project, in an
// account that has what they need.
func surround(b *simulation.Bench) {
	b.Site.DNS, b.Site.Firewall, b.Site.Project = true, true, "sites"
	b.Post("/v2/domains", map[string]any{"name": "example.com"})
	b.Post("/v2/projects", map[string]any{"name": "sites", "purpose": "Website or blog"})
}

type recordJSON struct {
	ID               int
	Type, Name, Data string
	TTL              int
}

// recordsOf are the records of example.com for one of its names, as words.
func recordsOf(b *simulation.Bench, name string) (out []string) {
	for _, r := range allRecords(b) {
		if r.Name == name {
			out = append(out, r.Type+" "+r.Data)
		}
	}
	slices.Sort(out)
	return out
}

func allRecords(b *simulation.Bench) []recordJSON {
	var in struct {
		Records []recordJSON `json:"domain_records"`
	}
	read(b, "/v2/domains/example.com/records?per_page=200", &in)
	return in.Records
}

func read(b *simulation.Bench, path string, into any) {
	b.T.Helper()
	if err := json.Unmarshal(b.Call(http.MethodGet, path, nil), into); err != nil {
		b.T.Fatal(err)
	}
}

func record(b *simulation.Bench, kind, name, data string) {
	b.Post("/v2/domains/example.com/records", map[string]any{"type": kind, "name": name, "data": data})
}

// wallRules are the ports that the site's firewall lets in, and from where; ""
// when there is no firewall.
func wallRules(b *simulation.Bench) string {
	var in struct {
		Firewalls []struct {
			Name    string
			Tags    []string
			Inbound []struct {
				Ports   string
				Sources struct{ Addresses []string }
			} `json:"inbound_rules"`
		}
	}
	read(b, "/v2/firewalls", &in)
	var out []string
	for _, f := range in.Firewalls {
		if f.Name == "cattle-blog" {
			for _, r := range f.Inbound {
				out = append(out, r.Ports+strings.Join(r.Sources.Addresses, "+"))
			}
		}
	}
	return strings.Join(out, " ")
}

// names of a plan's steps.
func stepsOf(t *testing.T, b *simulation.Bench, version string) (names []string) {
	t.Helper()
	w, err := b.Op.SurveyRelease(b.T.Context(), b.Site)
	if err != nil {
		t.Fatal(err)
	}
	p, err := release.PlanRelease("release", b.Site, w, b.Candidate(version))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		names = append(names, s.Name)
	}
	return names
}

// TestSurroundings: a first release makes all that the profile asks for, and
// has its certificate in the same run; the next one finds it in place.
func TestSurroundings(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		surround(b)
		first := b.Must("v1")
		if !first.HTTPS {
			t.Errorf("no certificate in the same run: %+v\n%s", first, b.History())
		}
		if got := recordsOf(b, "blog"); !slices.Equal(got, []string{"A " + first.IP}) {
			t.Error("records:", got)
		}
		if got := recordsOf(b, "_cattle.blog"); !slices.Equal(got, []string{"TXT cattle:app:blog"}) {
			t.Error("mark:", got)
		}
		if got, want := wallRules(b), "220.0.0.0/0+::/0 800.0.0.0/0+::/0 4430.0.0.0/0+::/0 00.0.0.0/0+::/0"; got != want {
			t.Errorf("firewall: %s, want %s", got, want)
		}
		if got := stepsOf(t, b, "v2"); slices.Contains(got, "dns") || slices.Contains(got, "firewall") || !slices.Contains(got, "project") {
			t.Error("with all of it in place:", got)
		}
		second := b.Must("v2")
		var in struct{ Resources []struct{ URN string } }
		for _, p := range projectsOf(b) {
			if p.Name == "sites" {
				read(b, "/v2/projects/"+p.ID+"/resources", &in)
			}
		}
		for _, want := range []string{fmt.Sprint("do:droplet:", first.Droplet), fmt.Sprint("do:droplet:", second.Droplet), "do:floatingip:" + first.IP} {
			if !strings.Contains(fmt.Sprint(in), want) {
				t.Errorf("%s is not in the project: %v", want, in)
			}
		}
	})
}

func projectsOf(b *simulation.Bench) []struct{ ID, Name string } {
	var in struct{ Projects []struct{ ID, Name string } }
	read(b, "/v2/projects", &in)
	return in.Projects
}

// TestSurroundingsCost: what is in place costs a request each, at the same
// time as the rest of the survey, and who does not ask pays nothing.
func TestSurroundingsCost(t *testing.T) {
	calls := func(site func(*simulation.Bench)) (n int, took time.Duration) {
		simulation.Simulate(t, realistic, func(b *simulation.Bench) {
			surround(b)
			b.Site.Project = "sandbox" // the default one: nothing to move
			site(b)
			if ip := b.Must("v1").IP; !b.Site.DNS {
				record(b, "A", "blog", ip)
			}
			time.Sleep(time.Minute)
			b.Cloud.ResetRequests()
			start := time.Now()
			b.Must("v2")
			n, took = len(b.Cloud.Requests()), time.Since(start)
		})
		return n, took
	}
	plain, quick := calls(func(b *simulation.Bench) { b.Site.DNS, b.Site.Firewall, b.Site.Project = false, false, "" })
	full, slow := calls(func(*simulation.Bench) {})
	t.Logf("%d calls in %s; with all of it %d in %s", plain, quick, full, slow)
	if plain > 24 || full > plain+3 || slow-quick > 100*time.Millisecond {
		t.Errorf("%d calls in %s; with all of it %d in %s", plain, quick, full, slow)
	}
}

// TestNameConflicts: what is somebody else's stops a release before anything is
// made, and is told with what to type.
func TestNameConflicts(t *testing.T) {
	for _, c := range []struct{ kind, name, data, msg, hint string }{
		{"A", "blog", "192.0.2.1", "the record A blog.example.com 192.0.2.1 leads elsewhere", "--record-name _cattle.blog --record-data cattle:app:blog"},
		{"AAAA", "blog", "2001:db8::1", "visitors with IPv6 would miss the site", "doctl compute domain records delete example.com "},
		{"CNAME", "blog", "elsewhere.example.net.", "CNAME blog.example.com elsewhere.example.net leads elsewhere", "doctl compute domain records delete example.com "},
		{"TXT", "_cattle.blog", "cattle:app:shop", "another site of cattle's has the name", "take the name out of one of the two profiles"},
	} {
		t.Run(c.kind, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				surround(b)
				record(b, c.kind, c.name, c.data)
				before := fmt.Sprint(allRecords(b))
				_, err := b.Release(b.T.Context(), "v1")
				var faults *release.Preflight
				if !errors.As(err, &faults) || len(faults.Faults) != 1 || !strings.Contains(faults.Faults[0].Msg, c.msg) || !strings.Contains(faults.Faults[0].Hint, c.hint) {
					t.Fatalf("%v", err)
				}
				if id := fmt.Sprint(allRecords(b)[len(allRecords(b))-1].ID); c.kind != "A" && !strings.Contains(faults.Faults[0].Hint, id) {
					t.Errorf("the hint %q does not name record %s", faults.Faults[0].Hint, id)
				}
				if s := b.Cloud.Snapshot(); len(s.Droplets)+len(s.ReservedIPs) > 0 || fmt.Sprint(allRecords(b)) != before {
					t.Error("something was made:", s, allRecords(b))
				}
			})
		})
	}
}

// TestNameHandedOver: with the mark that a hint tells to make, a name that led
// elsewhere leads to the site once this is confirmed, and not before.
func TestNameHandedOver(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		surround(b)
		record(b, "A", "blog", "192.0.2.1")
		record(b, "TXT", "_cattle.blog", "cattle:app:blog")
		b.Cloud.Break("v0", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		if _, err := b.Release(b.T.Context(), "v0"); err == nil {
			t.Fatal("v0 is released")
		}
		if got := recordsOf(b, "blog"); !slices.Equal(got, []string{"A 192.0.2.1"}) {
			t.Error("after a release that was refused:", got)
		}
		r := b.Must("v1")
		if got := recordsOf(b, "blog"); !slices.Equal(got, []string{"A " + r.IP}) || !r.HTTPS {
			t.Error("after the release:", got, r.HTTPS)
		}
	})
}

// TestRecordsOfOldNames: a name that left the profile ends with the next release.
func TestRecordsOfOldNames(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		surround(b)
		b.Site.Domains = []string{"blog.example.com", "old.example.com"}
		b.Must("v1")
		b.Site.Domains = b.Site.Domains[:1]
		b.Must("v2")
		if got := append(recordsOf(b, "old"), recordsOf(b, "_cattle.old")...); len(got) > 0 {
			t.Error("left:", got)
		}
		if got := recordsOf(b, "blog"); len(got) != 1 {
			t.Error("the name that stays:", got)
		}
		// A certificate with the old name too could never be renewed.
		issued := b.Cloud.Snapshot().Issued
		if last := issued[len(issued)-1]; len(issued) != 2 || !slices.Equal(last.Names, []string{"blog.example.com"}) {
			t.Error("certificates:", issued)
		}
		if _, err := b.Rollback(b.T.Context(), ""); err != nil {
			t.Error(err)
		}
	})
}

// TestDestroySurroundings: nothing of the site's is left, and all of the others'.
func TestDestroySurroundings(t *testing.T) {
	for _, withIP := range []bool{true, false} {
		simulation.Simulate(t, realistic, func(b *simulation.Bench) {
			surround(b)
			record(b, "A", "shop", "192.0.2.1")
			record(b, "TXT", "_cattle.shop", "cattle:app:shop")
			before := fmt.Sprint(allRecords(b))
			b.Must("v1")
			w, err := b.Op.SurveyAround(b.T.Context(), b.Site)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Op.Destroy(b.T.Context(), b.Site, release.PlanDestroy(b.Site, w, withIP)); err != nil {
				t.Fatal(err)
			}
			if wallRules(b) != "" {
				t.Error("the firewall is left")
			}
			if got := fmt.Sprint(allRecords(b)); (got == before) != withIP {
				t.Errorf("with the IP %v: %s, before there was %s", withIP, got, before)
			}
		})
	}
}

// TestDestroyLeavesRecordsOfElsewhere: a name that was moved away by hand goes
// on leading there.
func TestDestroyLeavesRecordsOfElsewhere(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		surround(b)
		b.Must("v1")
		for _, r := range allRecords(b) {
			if r.Type == "A" {
				b.Call(http.MethodPatch, fmt.Sprintf("/v2/domains/example.com/records/%d", r.ID), []byte(`{"type":"A","data":"192.0.2.1"}`))
			}
		}
		if err := simulationDestroys(b); err != nil {
			t.Fatal(err)
		}
		if got := append(recordsOf(b, "blog"), recordsOf(b, "_cattle.blog")...); !slices.Equal(got, []string{"A 192.0.2.1"}) {
			t.Error(got)
		}
	})
}

func simulationDestroys(b *simulation.Bench) error {
	_, err := simulation.Destroys(b, b.T.Context(), b.Op)
	return err
}

// TestWallComesFirst: no droplet of the site is ever there without its firewall.
func TestWallComesFirst(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		surround(b)
		b.Must("v1")
		for _, r := range b.Cloud.Requests() {
			if r.Method == http.MethodPost && r.Path == "/v2/firewalls" {
				return
			}
			if r.Method == http.MethodPost && r.Path == "/v2/droplets" {
				t.Fatal("the droplet was ordered before the firewall")
			}
		}
		t.Error("there is no firewall")
	})
}

// TestWallIsPutBack: rules that shut the operator out do not outlive the
// release that was refused over them.
func TestWallIsPutBack(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		surround(b)
		b.Must("v1")
		before := wallRules(b)
		b.Site.SSHFrom = []string{"203.0.113.7"}
		b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		if _, err := b.Release(b.T.Context(), "v2"); err == nil {
			t.Fatal("v2 is released")
		}
		if got := wallRules(b); got != before {
			t.Errorf("after the refusal: %s, want %s", got, before)
		}
		b.Must("v3")
		if got := wallRules(b); !strings.HasPrefix(got, "22203.0.113.7 ") {
			t.Errorf("after the release: %s", got)
		}
	})
}

// TestForeignWall: a firewall of the site's name that holds for others is left alone.
func TestForeignWall(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		surround(b)
		b.Post("/v2/tags", map[string]any{"name": "web"})
		b.Post("/v2/firewalls", map[string]any{"name": "cattle-blog", "tags": []string{"web"}, "inbound_rules": []any{
			map[string]any{"protocol": "tcp", "ports": "22", "sources": map[string]any{"addresses": []string{"192.0.2.1"}}}}})
		before := wallRules(b)
		_, err := b.Release(b.T.Context(), "v1")
		var faults *release.Preflight
		if !errors.As(err, &faults) || !strings.Contains(err.Error(), "the firewall cattle-blog is not cattle's: it holds for web") || !strings.Contains(faults.Faults[0].Hint, "doctl compute firewall delete ") {
			t.Error(err)
		}
		if got := wallRules(b); got != before {
			t.Error(got)
		}
	})
}

// TestGroups: projects and VPCs that are not there are told before anything is made.
func TestGroups(t *testing.T) {
	const nobodys = "5a4981aa-9653-4bd1-bef5-d6bff52042e4"
	for name, c := range map[string]struct {
		site      func(*simulation.Bench)
		msg, hint string
	}{
		"project":        {func(b *simulation.Bench) { b.Site.Project = "shops" }, "the account has no project shops", "it has sandbox, sites"},
		"no such VPC":    {func(b *simulation.Bench) { b.Site.VPC = nobodys }, "no such VPC: " + nobodys, "doctl vpcs list"},
		"VPC in ams3":    {func(b *simulation.Bench) { b.Site.VPC = vpcIn(b, "ams3") }, "is in region ams3, the profile's droplets in fra1", "droplet: {region: ams3}"},
		"VPC in its own": {func(b *simulation.Bench) { b.Site.VPC = strings.ToUpper(vpcIn(b, "fra1")) }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				surround(b)
				c.site(b)
				_, err := b.Release(b.T.Context(), "v1")
				var faults *release.Preflight
				switch {
				case c.msg == "" && err == nil:
				case !errors.As(err, &faults) || !strings.Contains(err.Error(), c.msg) || !strings.Contains(faults.Faults[0].Hint, c.hint) || !faults.Input():
					t.Error(err)
				}
			})
		})
	}
}

func vpcIn(b *simulation.Bench, region string) string {
	var in struct{ VPCs []struct{ ID, Region string } }
	read(b, "/v2/vpcs?per_page=200", &in)
	for _, v := range in.VPCs {
		if v.Region == region {
			return v.ID
		}
	}
	return ""
}

// TestRollbackIsNotHeldUp: whatever is wrong beside the standby, one can go
// back to it; and what can be put right, is.
func TestRollbackIsNotHeldUp(t *testing.T) {
	for name, c := range map[string]struct {
		wrong  func(*simulation.Bench)
		notice string // what is said, before or after
	}{
		"conflict":         {func(b *simulation.Bench) { record(b, "AAAA", "blog", "2001:db8::1") }, "left as it is: the record AAAA blog.example.com"},
		"domains closed":   {func(b *simulation.Bench) { forbid(b, "GET", "/v2/domains") }, "the token lacks the scope domain:read, which dns: digitalocean in the profile asks for"},
		"firewalls closed": {func(b *simulation.Bench) { forbid(b, "GET", "/v2/firewalls") }, "the token lacks the scope firewall:read, which firewall.cloud in the profile asks for"},
	} {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				surround(b)
				b.Must("v1")
				b.Must("v2")
				c.wrong(b)
				w, err := b.Op.SurveyAround(b.T.Context(), b.Site)
				if err != nil {
					t.Fatal(err)
				}
				p, err := release.PlanRollback(b.Site, w, "", release.Data{})
				if err != nil {
					t.Fatal(err)
				}
				said := strings.Join(p.Notices(), "; ")
				_, err = b.Op.Execute(b.T.Context(), p)
				if w.Around.Err == nil && err != nil || w.Around.Err != nil && !errors.As(err, new(*release.Incomplete)) {
					t.Error(err)
				} else if err != nil {
					said += err.Error()
				}
				if !strings.Contains(said, c.notice) {
					t.Errorf("it says: %s", said)
				}
				b.Expect("v1", "v1", "v2")
			})
		})
	}
}

// forbid is a token without a scope.
func forbid(b *simulation.Bench, method, path string) {
	b.Cloud.Fault(sandbox.Fault{Method: method, Path: path, Count: -1, Status: http.StatusForbidden})
}

// TestScopesAreNamed: each call that only some profiles need tells, when it is
// forbidden, which scope it lacks and which key asks for it; after the confirm
// the release serves all the same, and the command that does it is named.
func TestScopesAreNamed(t *testing.T) {
	for _, c := range []struct {
		method, path, scope, key string
		command                  string // of what is left over; "" for a release that does not begin
	}{
		{"GET", "/v2/domains", "domain:read", "dns: digitalocean", ""},
		{"GET", "/v2/firewalls", "firewall:read", "firewall.cloud", ""},
		{"GET", "/v2/projects", "project:read", "project", ""},
		{"POST", "/v2/tags", "firewall:create or tag:create", "firewall.cloud", ""},
		{"POST", "/v2/firewalls", "firewall:create or tag:create", "firewall.cloud", ""},
		{"POST", "/v2/domains/*/records", "domain:update", "dns: digitalocean", "doctl compute domain records create example.com --record-type TXT --record-name _cattle.blog"},
		{"POST", "/v2/projects/*/resources", "project:assign_resource", "project", "doctl projects resources assign 00000000-"},
	} {
		t.Run(c.scope, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				surround(b)
				forbid(b, c.method, c.path)
				_, err := b.Release(b.T.Context(), "v1")
				want := "the token lacks the scope " + c.scope + ", which " + c.key + " in the profile asks for"
				var incomplete *release.Incomplete
				if errors.As(err, &incomplete) != (c.command != "") {
					t.Fatal(err)
				}
				said := fmt.Sprint(err)
				if incomplete != nil {
					said = incomplete.Leftovers[0].String()
					if got := incomplete.Leftovers[0].Command; !strings.HasPrefix(got, c.command) {
						t.Errorf("to type: %s", got)
					}
				} else if n := len(b.Cloud.Snapshot().Droplets); n > 0 {
					t.Errorf("%d droplets were made", n)
				}
				if !strings.Contains(said, want) {
					t.Errorf("%s\nwant %s", said, want)
				}
			})
		})
	}
}

// TestOrdersWithoutAnswer: an order whose outcome is open is looked for before
// it is given again: there is one record, one mark, one firewall.
func TestOrdersWithoutAnswer(t *testing.T) {
	for _, path := range []string{"/v2/domains/*/records", "/v2/firewalls", "/v2/projects/*/resources"} {
		t.Run(path, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				surround(b)
				b.Cloud.Fault(sandbox.Fault{Method: http.MethodPost, Path: path, Status: 502, After: true})
				r := b.Must("v1")
				if got := append(recordsOf(b, "blog"), recordsOf(b, "_cattle.blog")...); !slices.Equal(got, []string{"A " + r.IP, "TXT cattle:app:blog"}) {
					t.Error(got)
				}
			})
		})
	}
}

// TestSecondMakerOfTheWall: of two releases that make the firewall at once the
// one that comes late takes the other's.
func TestSecondMakerOfTheWall(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		surround(b)
		w, err := b.Op.SurveyRelease(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		p, err := release.PlanRelease("release", b.Site, w, b.Candidate("v1"))
		if err != nil {
			t.Fatal(err)
		}
		b.Post("/v2/tags", map[string]any{"name": droplets.AppTag("blog")})
		anyone := map[string]any{"addresses": []string{"0.0.0.0/0", "::/0"}}
		rule := func(side, protocol, ports string) map[string]any {
			return map[string]any{"protocol": protocol, "ports": ports, side: anyone}
		}
		b.Post("/v2/firewalls", map[string]any{"name": "cattle-blog", "tags": []string{droplets.AppTag("blog")},
			"inbound_rules":  []any{rule("sources", "tcp", "22"), rule("sources", "tcp", "80"), rule("sources", "tcp", "443"), rule("sources", "icmp", "0")},
			"outbound_rules": []any{rule("destinations", "tcp", "0"), rule("destinations", "udp", "0"), rule("destinations", "icmp", "0")}})
		if _, err := b.Op.Execute(b.T.Context(), p); err != nil {
			t.Error(err)
		}
	})
}

// forgetful is the way of an operator whose resolver remembers that there was
// no record.
type forgetful struct{ droplets.Dialer }

func (f forgetful) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if strings.HasPrefix(address, "blog.example.com:") {
		return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
	}
	return f.Dialer.DialContext(ctx, network, address)
}

// TestCertificateDoesNotWaitForAResolver: names whose records are right get
// their certificate in the same run, whatever the resolver here remembers.
// Where somebody else keeps them, they are asked for as visitors ask.
func TestCertificateDoesNotWaitForAResolver(t *testing.T) {
	for _, kept := range []bool{true, false} {
		simulation.Simulate(t, realistic, func(b *simulation.Bench) {
			surround(b)
			b.Site.DNS = kept
			b.Op.Dialer = forgetful{b.Op.Dialer}
			start := time.Now()
			r := b.Must("v1")
			if took := time.Since(start); r.HTTPS != kept || took > 3*time.Minute {
				t.Errorf("records kept %v: HTTPS %v after %s, %v", kept, r.HTTPS, took, r.Notices)
			}
		})
	}
}

// TestDestroyWithoutAddress: records of a site whose address somebody gave back
// are told, with what deletes them: nobody knows whether they are its own yet.
func TestDestroyWithoutAddress(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		surround(b)
		ip := b.Must("v1").IP
		b.Call(http.MethodDelete, "/v2/reserved_ips/"+ip, nil)
		err := simulationDestroys(b)
		var incomplete *release.Incomplete
		if !errors.As(err, &incomplete) || !strings.HasPrefix(incomplete.Leftovers[0].Command, "doctl compute domain records delete example.com 3") {
			t.Errorf("%+v", err)
		}
		if got := recordsOf(b, "blog"); len(got) != 1 {
			t.Error(got)
		}
		b.Expect("")
	})
}
