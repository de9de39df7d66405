package release_test

import (
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"
)

// callBudget is how many API calls a release may take: the second one, no
// retries, on the realistic cloud.
const callBudget = 30

// floor is what that cloud's own latencies set for a release, whoever makes
// it: order (one call), active, the boot of a machine that has nothing to
// install, the gate's health checks in a row, assign (one call).
func floor(b *bench, l sandbox.Latency) time.Duration {
	gate := time.Duration(b.site.Health.Successes-1) * b.site.Health.Interval
	return l.Call + l.Active + l.Boot + gate + l.Call + l.Assign
}

// secondRelease measures the second release of a site that has a certificate.
func secondRelease(b *bench, l sandbox.Latency) (calls int, took, least time.Duration) {
	ip := b.must("v1").IP
	b.post("/v2/domains", map[string]string{"name": "blog.example.com", "ip_address": ip})
	time.Sleep(time.Minute)
	b.cloud.ResetRequests()
	start := time.Now()
	b.must("v2")
	return len(b.cloud.Requests()), time.Since(start), floor(b, l)
}

func TestReleaseStaysInItsBudget(t *testing.T) {
	simulate(t, realistic, func(b *bench) {
		calls, took, least := secondRelease(b, realistic)
		ratio := float64(took) / float64(least)
		b.t.Logf("%d API calls; %s, %.3f of the floor of %s", calls, took, ratio, least)
		for _, r := range b.cloud.Requests() {
			b.t.Logf("%s %d %s %s?%s", r.At.Format("04:05.000"), r.Status, r.Method, r.Path, r.Query)
		}
		if calls > callBudget {
			t.Errorf("%d API calls, the budget is %d", calls, callBudget)
		}
		if ratio > 1.05 {
			t.Errorf("%.3f of the floor, the budget is 1.05\n%s", ratio, b.history())
		}
	})
}

// BenchmarkRelease reports the second release's API calls and its simulated
// time over the floor.
func BenchmarkRelease(b *testing.B) {
	for name, l := range map[string]sandbox.Latency{
		"active=30s": realistic,
		"active=60s": {Call: 100 * time.Millisecond, Active: time.Minute, Assign: 5 * time.Second},
	} {
		b.Run(name, func(b *testing.B) {
			keyFile, public := operatorKey(b)
			var calls int
			var took, least time.Duration
			for b.Loop() {
				// synctest wants a T; the bubble is what makes the time simulated.
				ok := testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "release", F: func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						withBench(t, keyFile, public, l, func(s *bench) { calls, took, least = secondRelease(s, l) })
					})
				}}})
				if !ok {
					b.Fatal("the release failed")
				}
			}
			b.ReportMetric(float64(calls), "API-calls")
			b.ReportMetric(took.Seconds(), "simulated-s")
			b.ReportMetric(float64(took)/float64(least), "of-floor")
		})
	}
}
