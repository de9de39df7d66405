package release_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

func check(b *simulation.Bench) (release.Verdict, []release.Readiness) {
	return b.Op.Check(b.T.Context(), b.Site, survey(b))
}

// TestStandbyIsChecked: what a rollback would find is told beforehand, for each
// standby, and costs no request to the API and no more than ten seconds.
func TestStandbyIsChecked(t *testing.T) {
	tests := map[string]struct {
		do   func(*simulation.Bench, release.Member)
		want string // "": ready
	}{
		"sound": {func(*simulation.Bench, release.Member) {}, ""},
		"unhealthy": {func(b *simulation.Bench, _ release.Member) {
			b.Cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		}, "answered 503"},
		"service": {func(b *simulation.Bench, _ release.Member) {
			b.Cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.ExitsLater, After: 1})
		}, "service web exited with status 1"},
		"slow": {func(b *simulation.Bench, _ release.Member) {
			b.Cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.Slow})
		}, "did not answer within 5s"},
		"somebody else": {func(b *simulation.Bench, m release.Member) {
			b.Cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.WrongVersion})
		}, "answers, not"},
		"off": {func(b *simulation.Bench, m release.Member) {
			b.Post(fmt.Sprintf("/v2/droplets/%d/actions", m.ID), map[string]string{"type": "power_off"})
			time.Sleep(time.Minute)
		}, "it is off"},
		"hangs": {func(b *simulation.Bench, _ release.Member) {
			own := &lines{Dialer: b.Op.Dialer}
			b.Op.Dialer = own
			own.cut(time.Hour)
		}, "log in"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				b.Must("v1")
				b.Must("v2")
				tt.do(b, survey(b).Standbys[0])
				w := survey(b)
				calls, start := len(b.Cloud.Requests()), time.Now()
				v, all := b.Op.Check(b.T.Context(), b.Site, w)
				if took, n := time.Since(start), len(b.Cloud.Requests())-calls; took > 11*time.Second || n > 0 {
					b.T.Errorf("it took %s and %d requests", took, n)
				}
				if !v.Serving || len(all) != 1 || all[0].Unchecked != "" {
					b.T.Fatalf("%+v, %+v", v, all)
				}
				if got := fmt.Sprint(all[0].Problem); tt.want == "" && all[0].Problem != nil || !strings.Contains(got, tt.want) {
					b.T.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestStandbyWithoutCertificate is ready as long as the site has none either.
func TestStandbyWithoutCertificate(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		ip := b.Must("v1").IP
		b.Must("v2")
		if _, all := check(b); all[0].Problem != nil {
			b.T.Error(all[0].Problem)
		}
		b.Post("/v2/domains", map[string]string{"name": "blog.example.com", "ip_address": ip})
		time.Sleep(5 * time.Minute)
		v, all := check(b)
		if !v.HTTPS || all[0].Problem == nil || !strings.Contains(all[0].Problem.Error(), "no certificate") {
			b.T.Errorf("%+v, %v", v, all[0].Problem)
		}
		b.Must("v3")
		if v, all = check(b); !v.HTTPS || !all[0].HTTPS || all[0].Problem != nil {
			b.T.Errorf("%+v, %+v", v, all)
		}
		b.Site.Domains = append(b.Site.Domains, "www.example.com")
		if _, all = check(b); all[0].Problem == nil || !strings.Contains(all[0].Problem.Error(), "does not cover www.example.com") {
			b.T.Errorf("a name that its certificate lacks: %v", all[0].Problem)
		}
	})
}

// TestStandbyWithoutKey: less is looked at, and it is said so.
func TestStandbyWithoutKey(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Must("v2")
		b.Op.Login = nil
		if _, all := check(b); all[0].Problem != nil || !strings.Contains(all[0].Unchecked, "without an SSH key") {
			b.T.Errorf("%+v", all)
		}
		b.Cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		if _, all := check(b); all[0].Problem == nil {
			b.T.Error("what can be seen from outside was not")
		}
	})
}

// TestStandbyHangs: wherever in the conversation it stops answering, nobody
// waits longer than the bound.
func TestStandbyHangs(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Must("v2")
		plain, late := b.Op.Dialer, 0
		for after := int64(2); after < 80; after += 2 {
			var n atomic.Int64
			b.Op.Dialer = hanging{plain, func(string) bool { return n.Add(1) > after }}
			start := time.Now()
			_, all := check(b)
			if took := time.Since(start); took > 12*time.Second {
				b.T.Errorf("after %d reads and writes: %s", after, took)
			}
			if all[0].Problem != nil {
				late++
			}
		}
		if late == 0 {
			b.T.Error("it never hung")
		}
	})
}
