package release_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

const newName = "www.example.com"

// certifiedSite serves one name over HTTPS; the profile has another one from now on.
func certifiedSite(b *simulation.Bench) (ip string) {
	b.T.Helper()
	ip = b.Must("v1").IP
	b.Post("/v2/domains", map[string]string{"name": "example.com"})
	record(b, "A", "blog", ip)
	time.Sleep(10 * time.Minute)
	if n := len(b.Cloud.Issued()); n != 1 {
		b.T.Fatalf("%d certificates", n)
	}
	b.Site.Domains = append(b.Site.Domains, newName)
	return ip
}

// releaseAsking releases as the command does, which asks the live droplet first.
func releaseAsking(b *simulation.Bench, version string) (*release.Report, error) {
	b.T.Helper()
	w, err := b.Op.SurveyRelease(b.T.Context(), b.Site)
	if err != nil {
		b.T.Fatal(err)
	}
	told, err := b.Op.AskLive(b.T.Context(), w)
	if err != nil || told.Status == nil {
		b.T.Fatal("the live droplet does not tell:", err)
	}
	c := b.Candidate(version)
	c.Live = told.Status
	p, err := release.PlanRelease("release", b.Site, w, c)
	if err != nil {
		b.T.Fatal(err)
	}
	return b.Op.Execute(b.T.Context(), p)
}

// moved is when the reserved IP last was.
func moved(b *simulation.Bench) (at time.Time) {
	for _, c := range b.Cloud.Changes() {
		if c.What == sandbox.Moved {
			at = c.At
		}
	}
	return at
}

func passing(b *simulation.Bench) bool {
	return slices.ContainsFunc(b.Cloud.Snapshot().Droplets, func(m sandbox.Machine) bool { return m.Passes != "" })
}

// TestNewNameIsCertifiedBeforeTheSwitch: the droplet that serves passes the
// challenges on, and then no more.
func TestNewNameIsCertifiedBeforeTheSwitch(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		ip := certifiedSite(b)
		record(b, "A", "www", ip)
		r, err := releaseAsking(b, "v2")
		if err != nil {
			t.Fatal(err, b.History())
		}
		issued := b.Cloud.Issued()
		if len(issued) != 2 || !slices.Equal(issued[1].Names, b.Site.Domains) || issued[1].Droplet != r.Droplet || !issued[1].At.Before(moved(b)) {
			t.Errorf("%+v, switched %s", issued, moved(b))
		}
		if !r.HTTPS || len(r.Notices) > 0 || passing(b) {
			t.Errorf("HTTPS %t, %v, passing %t", r.HTTPS, r.Notices, passing(b))
		}
		r, err = releaseAsking(b, "v3")
		if err != nil || len(b.Cloud.Issued()) != 2 || slices.ContainsFunc(r.Steps, func(s release.StepTime) bool { return s.Name == "certify" }) {
			t.Errorf("%v, %d certificates, %v", err, len(b.Cloud.Issued()), r.Steps)
		}
	})
}

// TestNewNameThatLeadsNowhere refuses nothing: the site serves its other name.
func TestNewNameThatLeadsNowhere(t *testing.T) {
	for name, b4 := range map[string]func(b *simulation.Bench, ip string){
		"no record": func(*simulation.Bench, string) {},
		"not passed on": func(b *simulation.Bench, ip string) {
			record(b, "A", "www", ip)
			b.Cloud.Fault(sandbox.Fault{Method: "SSH", Path: "/challenge", Count: -1, Status: 1, Answer: "nginx: configuration file test failed"})
		},
		"a record that is changed later": func(b *simulation.Bench, ip string) {
			b.Site.DNS = true
			record(b, "A", "www", "192.0.2.9")
			record(b, "TXT", "_cattle.www", "cattle:app:blog")
		},
		"refused": func(b *simulation.Bench, ip string) {
			record(b, "A", "www", ip)
			b.Cloud.Fault(sandbox.Fault{Method: "SSH", Path: "/certify", Status: 1, Answer: "the authority does not answer"})
		},
		"hangs": func(b *simulation.Bench, ip string) {
			record(b, "A", "www", ip)
			b.Cloud.Fault(sandbox.Fault{Method: "SSH", Path: "/certify", Delay: time.Hour})
		},
	} {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				b4(b, certifiedSite(b))
				r, err := releaseAsking(b, "v2")
				if err != nil {
					t.Fatal(err, b.History())
				}
				if len(r.Notices) == 0 || !strings.Contains(r.Notices[0], "no certificate for www.example.com before the switch: ") {
					t.Errorf("%v", r.Notices)
				}
				if passing(b) {
					t.Error("challenges are passed on still")
				}
				if r.HTTPS != (name != "no record") {
					t.Errorf("HTTPS %t\n%s", r.HTTPS, b.History())
				}
				b.Expect("v2", "v1", "v2")
			})
		})
	}
}

// TestRefusedReleaseKeepsItsCertificate: the next try finds it, and asks for none.
func TestRefusedReleaseKeepsItsCertificate(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		record(b, "A", "www", certifiedSite(b))
		b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		_, err := releaseAsking(b, "v2")
		var refused *release.Refused
		if !errors.As(err, &refused) || len(refused.Leftovers) > 0 || passing(b) {
			t.Fatalf("%v, passing %t", err, passing(b))
		}
		b.Expect("v1", "v1")
		if _, err := releaseAsking(b, "v3"); err != nil || len(b.Cloud.Issued()) != 2 {
			t.Errorf("%v, %d certificates\n%s", err, len(b.Cloud.Issued()), b.History())
		}
	})
}

// TestNewNameWithRecordsOfOurs: they are made ahead, and taken away again where
// the release is refused.
func TestNewNameWithRecordsOfOurs(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		ip := certifiedSite(b)
		b.Site.DNS = true
		b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		if _, err := releaseAsking(b, "v2"); err == nil {
			t.Fatal("it was not refused")
		}
		if got := append(recordsOf(b, "www"), recordsOf(b, "_cattle.www")...); len(got) > 0 {
			t.Errorf("of a refused release: %v", got)
		}
		if got := recordsOf(b, "blog"); !slices.Equal(got, []string{"A " + ip}) {
			t.Errorf("what was there: %v", got)
		}
		b.Site.Domains = []string{"blog.example.com", "shop.example.com"}
		r, err := releaseAsking(b, "v3")
		if err != nil {
			t.Fatal(err, b.History())
		}
		issued := b.Cloud.Issued()
		if last := issued[len(issued)-1]; !slices.Equal(last.Names, b.Site.Domains) || !last.At.Before(moved(b)) || !r.HTTPS {
			t.Errorf("%+v, switched %s", issued, moved(b))
		}
		if got := append(recordsOf(b, "shop"), recordsOf(b, "_cattle.shop")...); !slices.Equal(got, []string{"A " + ip, "TXT cattle:app:blog"}) {
			t.Errorf("%v", got)
		}
	})
}
