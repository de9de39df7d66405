package release_test

import (
	"context"
	"errors"
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

// wildSite is a site whose profile has a wildcard, in an account that holds its domain.
func wildSite(b *simulation.Bench) {
	b.Site.Domains, b.Site.DNS = []string{"example.com", "*.example.com"}, true
	b.Post("/v2/domains", map[string]any{"name": "example.com"})
	record(b, "TXT", "_acme-challenge", "somebody-elses")
}

// challengesLeft are the records for challenges that are not somebody else's.
func challengesLeft(b *simulation.Bench) (out []string) {
	for _, r := range recordsOf(b, "_acme-challenge") {
		if r != "TXT somebody-elses" {
			out = append(out, r)
		}
	}
	if !slices.Contains(recordsOf(b, "_acme-challenge"), "TXT somebody-elses") {
		out = append(out, "somebody else's is gone")
	}
	return out
}

// releaseWild releases as the command does.
func releaseWild(b *simulation.Bench, version string) (*release.Report, error) {
	return simulation.ReleasesAsking(version)(b, b.T.Context(), b.Op)
}

func hasStep(r *release.Report, name string) bool {
	return slices.ContainsFunc(r.Steps, func(s release.StepTime) bool { return s.Name == name })
}

// TestWildcard is proved by records that end with it, before the first switch;
// the next release carries it on.
func TestWildcard(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		wildSite(b)
		r, err := releaseWild(b, "v1")
		if err != nil {
			t.Fatal(err, b.History())
		}
		issued := b.Cloud.Issued()
		if len(issued) != 1 || !slices.Equal(issued[0].Names, []string{"*.example.com", "example.com"}) || !issued[0].At.Before(moved(b)) || !r.HTTPS || len(r.Notices) > 0 {
			t.Errorf("%+v, switched %s, HTTPS %t, %v", issued, moved(b), r.HTTPS, r.Notices)
		}
		if left := challengesLeft(b); len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
		for name, want := range map[string][]string{"@": {"A " + r.IP}, "*": {"A " + r.IP},
			"_cattle": {"TXT cattle:app:blog"}, "_cattle._wildcard": {"TXT cattle:app:blog"}} {
			if got := slices.DeleteFunc(recordsOf(b, name), func(r string) bool { return strings.HasPrefix(r, "NS ") || strings.HasPrefix(r, "SOA ") }); !slices.Equal(got, want) {
				t.Errorf("%s: %v", name, got)
			}
		}
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		if astray := b.Op.Astray(b.T.Context(), b.Site, w.Live.Birth.Attempt); len(astray) > 0 {
			t.Errorf("astray: %v", astray)
		}
		if r, err = releaseWild(b, "v2"); err != nil || len(b.Cloud.Issued()) != 1 || hasStep(r, "certify") || hasStep(r, "dns") {
			t.Errorf("%v, %d certificates, %v", err, len(b.Cloud.Issued()), r.Steps)
		}
	})
}

// TestWildcardIsRenewed when less than 30 days are left, by whoever releases, and
// not before; a droplet does not do it by itself.
func TestWildcardIsRenewed(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		wildSite(b)
		if _, err := releaseWild(b, "v1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * 24 * time.Hour)
		if r, err := releaseWild(b, "v2"); err != nil || hasStep(r, "certify") || len(b.Cloud.Issued()) != 1 {
			t.Errorf("with a month left: %v, %v", err, b.Cloud.Issued())
		}
		time.Sleep(2 * 24 * time.Hour)
		if n := len(b.Cloud.Issued()); n != 1 {
			t.Fatalf("the droplet has renewed it: %d", n)
		}
		b.Cloud.Break("v3", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		if _, err := releaseWild(b, "v3"); err == nil || len(b.Cloud.Issued()) != 2 {
			t.Errorf("renewed: %v, %v", err, b.Cloud.Issued())
		}
		r, err := releaseWild(b, "v4")
		if err != nil || hasStep(r, "certify") || len(b.Cloud.Issued()) != 2 {
			t.Errorf("the refused release's is not kept: %v, %v, %v", err, r.Steps, b.Cloud.Issued())
		}
		if left := challengesLeft(b); len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
	})
}

// TestWildcardCannotBeHad refuses nothing, and leaves no record: it is asked for
// after the switch.
func TestWildcardCannotBeHad(t *testing.T) {
	const records = "/v2/domains/example.com/records"
	for name, tt := range map[string]struct {
		fault sandbox.Fault
		https bool // it is had after the switch
		want  string
	}{
		"the authority does not answer": {sandbox.Fault{Method: "SSH", Path: "/wildcard", Status: 1, Answer: "the authority does not answer"}, true, "the authority does not answer"},
		"never":                         {sandbox.Fault{Method: "SSH", Path: "/wildcard", Count: -1, Status: 1, Answer: "the authority does not answer"}, false, "the authority does not answer"},
		"hangs":                         {sandbox.Fault{Method: "SSH", Path: "/wildcard", Delay: time.Hour}, true, "longer than 2m"},
		"cut":                           {sandbox.Fault{Method: "SSH", Path: "/wildcard", Reset: true}, true, "have the droplet ask for a certificate"},
		"no record can be made":         {sandbox.Fault{Method: http.MethodPost, Path: records, Body: "_acme-challenge", Count: -1, Status: 403}, false, "lacks the scope domain:update"},
		"the second cannot":             {sandbox.Fault{Method: http.MethodPost, Path: records, Body: "_acme-challenge", Nth: 2, Status: 422}, true, "make the record"},
		"not made after all":            {sandbox.Fault{Method: http.MethodPost, Path: records, Body: "_acme-challenge", Reset: true}, true, "make the record"},
		"another one is asked for":      {sandbox.Fault{Method: "SSH", Path: "/wildcard", Answer: "0 other.com " + strings.Repeat("x", 43) + "\n"}, true, "belongs to no challenge"},
	} {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				wildSite(b)
				b.Cloud.Fault(tt.fault)
				r, err := releaseWild(b, "v1")
				var left *release.Incomplete
				if tt.https != (err == nil) || err != nil && (!errors.As(err, &left) || left.Leftovers[0].Command != "cattle rebuild") || r.HTTPS != tt.https {
					t.Fatalf("%v, HTTPS %t\n%s", err, r.HTTPS, b.History())
				}
				if len(r.Notices) != 1 || !strings.Contains(r.Notices[0], "no certificate for example.com, *.example.com before the switch: ") || !strings.Contains(r.Notices[0], tt.want) {
					t.Errorf("%v", r.Notices)
				}
				if left := challengesLeft(b); len(left) > 0 {
					t.Errorf("left over: %v", left)
				}
				b.Expect("v1", "v1")
			})
		})
	}
}

// TestChallengeWhoseAnswerIsLost is there all the same.
func TestChallengeWhoseAnswerIsLost(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		wildSite(b)
		b.Cloud.Fault(sandbox.Fault{Method: http.MethodPost, Path: "/v2/domains/example.com/records", Body: "_acme-challenge", After: true, Reset: true})
		if r, err := releaseWild(b, "v1"); err != nil || len(r.Notices) > 0 {
			t.Errorf("%v, %v", err, r.Notices)
		}
		if left := challengesLeft(b); len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
	})
}

// TestChallengesThatStay are told, with what ends them, whether the release
// serves or is refused.
func TestChallengesThatStay(t *testing.T) {
	for _, refused := range []bool{false, true} {
		simulation.Simulate(t, realistic, func(b *simulation.Bench) {
			wildSite(b)
			if refused {
				b.Cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
			}
			b.Cloud.Fault(sandbox.Fault{Method: http.MethodDelete, Path: "/v2/domains/example.com/records/*", Count: -1, Status: 500})
			_, err := releaseWild(b, "v1")
			var leftovers []release.Leftover
			var incomplete *release.Incomplete
			var no *release.Refused
			switch {
			case errors.As(err, &incomplete) && !refused:
				leftovers = incomplete.Leftovers
			case errors.As(err, &no) && refused:
				leftovers = no.Leftovers
			}
			if len(leftovers) != 1 || leftovers[0].What != "challenges in the domain example.com" || !strings.HasPrefix(leftovers[0].Command, "doctl compute domain records delete example.com ") {
				t.Errorf("%v: %+v", err, leftovers)
			}
		})
	}
}

// TestInterruptedWildcard takes the records away, and the droplet.
func TestInterruptedWildcard(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		wildSite(b)
		ctx, cancel := context.WithCancel(b.T.Context())
		b.Cloud.Fault(sandbox.Fault{Method: http.MethodPost, Path: "/v2/domains/example.com/records", Body: "_acme-challenge", Nth: 2, After: true, Strike: cancel})
		_, err := simulation.ReleasesAsking("v1")(b, ctx, b.Op)
		time.Sleep(time.Minute)
		var refused *release.Refused
		if !errors.As(err, &refused) || len(refused.Leftovers) > 0 || len(b.Running()) > 0 {
			t.Errorf("%v, running %v", err, b.Running())
		}
		if left := challengesLeft(b); len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
	})
}

// TestWildcardTakenOut of a profile: its record and mark end, and the certificate
// is had anew by HTTP-01, so that the droplet can renew it.
func TestWildcardTakenOut(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		wildSite(b)
		if _, err := releaseWild(b, "v1"); err != nil {
			t.Fatal(err)
		}
		b.Site.Domains = b.Site.Domains[:1]
		if r, err := releaseWild(b, "v2"); err != nil || !r.HTTPS {
			t.Fatal(err, b.History())
		}
		if got := append(recordsOf(b, "*"), recordsOf(b, "_cattle._wildcard")...); len(got) > 0 {
			t.Errorf("%v", got)
		}
		if all := b.Cloud.Issued(); !slices.Equal(all[len(all)-1].Names, []string{"example.com"}) {
			t.Errorf("%v", all)
		}
	})
}

// TestWildcardConflict: a wildcard record of somebody else's is not touched, and
// the hint hands it over.
func TestWildcardConflict(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		wildSite(b)
		record(b, "A", "*", "192.0.2.1")
		_, err := releaseWild(b, "v1")
		var refused *release.Preflight
		if !errors.As(err, &refused) || len(refused.Faults) != 1 || refused.Faults[0].Code != "dns-conflict" ||
			!strings.Contains(refused.Faults[0].Hint, "--record-name _cattle._wildcard --record-data cattle:app:blog") {
			t.Fatalf("%v", err)
		}
		record(b, "TXT", "_cattle._wildcard", "cattle:app:blog")
		r, err := releaseWild(b, "v1")
		if err != nil || !slices.Equal(recordsOf(b, "*"), []string{"A " + r.IP}) {
			t.Errorf("%v: %v", err, recordsOf(b, "*"))
		}
	})
}

// TestRollbackWithWildcard carries the newer certificate back.
func TestRollbackWithWildcard(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		wildSite(b)
		for _, v := range []string{"v1", "v2"} {
			if _, err := releaseWild(b, v); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := b.Rollback(b.T.Context(), ""); err != nil || !r.HTTPS || len(b.Cloud.Issued()) != 1 {
			t.Errorf("%v, %v", err, b.Cloud.Issued())
		}
	})
}

// TestDue is what a person is told of a wildcard's certificate.
func TestDue(t *testing.T) {
	now := time.Now()
	site := release.Site{Domains: []string{"example.com", "*.example.com"}}
	cert := func(days int, names ...string) *droplets.Certificate {
		return &droplets.Certificate{Names: names, NotAfter: now.Add(time.Duration(days) * 24 * time.Hour)}
	}
	for name, tt := range map[string]struct {
		c    *droplets.Certificate
		want string
	}{
		"none":   {nil, "there is no certificate for example.com, *.example.com"},
		"narrow": {cert(80, "example.com"), "does not cover *.example.com"},
		"low":    {cert(20, site.Domains...), "ends on "},
		"good":   {cert(22, site.Domains...), ""},
	} {
		if got := site.Due(tt.c, now); got == "" != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	site.Domains = site.Domains[:1]
	if got := site.Due(nil, now); got != "" {
		t.Errorf("without a wildcard the droplet sees to it: %q", got)
	}
}
