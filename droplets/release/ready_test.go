package release_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/sandbox"
)

func (b *bench) check() (release.Verdict, []release.Readiness) {
	return b.op.Check(b.t.Context(), b.site, b.survey())
}

// TestStandbyIsChecked: what a rollback would find is told beforehand, for each
// standby, and costs no request to the API and no more than ten seconds.
func TestStandbyIsChecked(t *testing.T) {
	tests := map[string]struct {
		do   func(*bench, release.Member)
		want string // "": ready
	}{
		"sound":     {func(*bench, release.Member) {}, ""},
		"unhealthy": {func(b *bench, _ release.Member) { b.cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.NeverHealthy}) }, "answered 503"},
		"service": {func(b *bench, _ release.Member) {
			b.cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.ExitsLater, After: 1})
		}, "service web exited with status 1"},
		"slow": {func(b *bench, _ release.Member) { b.cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.Slow}) }, "did not answer within 5s"},
		"somebody else": {func(b *bench, m release.Member) {
			b.cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.WrongVersion})
		}, "answers, not"},
		"off": {func(b *bench, m release.Member) {
			b.post(fmt.Sprintf("/v2/droplets/%d/actions", m.ID), map[string]string{"type": "power_off"})
			time.Sleep(time.Minute)
		}, "it is off"},
		"hangs": {func(b *bench, _ release.Member) {
			own := &lines{Dialer: b.op.Dialer}
			b.op.Dialer = own
			own.cut(time.Hour)
		}, "log in"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			simulate(t, realistic, func(b *bench) {
				b.must("v1")
				b.must("v2")
				tt.do(b, b.survey().Standbys[0])
				w := b.survey()
				calls, start := len(b.cloud.Requests()), time.Now()
				v, all := b.op.Check(b.t.Context(), b.site, w)
				if took, n := time.Since(start), len(b.cloud.Requests())-calls; took > 11*time.Second || n > 0 {
					b.t.Errorf("it took %s and %d requests", took, n)
				}
				if !v.Serving || len(all) != 1 || all[0].Unchecked != "" {
					b.t.Fatalf("%+v, %+v", v, all)
				}
				if got := fmt.Sprint(all[0].Problem); tt.want == "" && all[0].Problem != nil || !strings.Contains(got, tt.want) {
					b.t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestStandbyWithoutCertificate is ready as long as the site has none either.
func TestStandbyWithoutCertificate(t *testing.T) {
	simulate(t, realistic, func(b *bench) {
		ip := b.must("v1").IP
		b.must("v2")
		if _, all := b.check(); all[0].Problem != nil {
			b.t.Error(all[0].Problem)
		}
		b.post("/v2/domains", map[string]string{"name": "blog.example.com", "ip_address": ip})
		time.Sleep(5 * time.Minute)
		v, all := b.check()
		if !v.HTTPS || all[0].Problem == nil || !strings.Contains(all[0].Problem.Error(), "no certificate") {
			b.t.Errorf("%+v, %v", v, all[0].Problem)
		}
		b.must("v3")
		if v, all = b.check(); !v.HTTPS || !all[0].HTTPS || all[0].Problem != nil {
			b.t.Errorf("%+v, %+v", v, all)
		}
	})
}

// TestStandbyWithoutKey: less is looked at, and it is said so.
func TestStandbyWithoutKey(t *testing.T) {
	simulate(t, realistic, func(b *bench) {
		b.must("v1")
		b.must("v2")
		b.op.Login = nil
		if _, all := b.check(); all[0].Problem != nil || !strings.Contains(all[0].Unchecked, "without an SSH key") {
			b.t.Errorf("%+v", all)
		}
		b.cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		if _, all := b.check(); all[0].Problem == nil {
			b.t.Error("what can be seen from outside was not")
		}
	})
}
