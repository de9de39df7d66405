package release_test

import (
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

// realistic are the latencies that the issue of an API-call budget was
// measured with: active after 30 s, an assign of 5 s, 100 ms a call.
var realistic = sandbox.Latency{Call: 100 * time.Millisecond, Active: 30 * time.Second, Assign: 5 * time.Second, Delete: 2 * time.Second}

// callBudget is how many API calls a release may take: the second one, no
// retries, on the realistic cloud.
const callBudget = 30

// floor is what that cloud's own latencies set for a release, whoever makes
// it: order (one call), active, the boot of a machine that has nothing to
// install, the gate's health checks in a row, assign (one call).
func floor(b *simulation.Bench, l sandbox.Latency) time.Duration {
	gate := time.Duration(b.Site.Health.Successes-1) * b.Site.Health.Interval
	return l.Call + l.Active + l.Boot + gate + l.Call + l.Assign
}

// secondRelease measures the second release of a site that has a certificate.
func secondRelease(b *simulation.Bench, l sandbox.Latency) (calls int, took, least time.Duration) {
	ip := b.Must("v1").IP
	b.Post("/v2/domains", map[string]string{"name": "blog.example.com", "ip_address": ip})
	time.Sleep(time.Minute)
	b.Cloud.ResetRequests()
	start := time.Now()
	b.Must("v2")
	return len(b.Cloud.Requests()), time.Since(start), floor(b, l)
}

func TestReleaseStaysInItsBudget(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		calls, took, least := secondRelease(b, realistic)
		ratio := float64(took) / float64(least)
		b.T.Logf("%d API calls; %s, %.3f of the floor of %s", calls, took, ratio, least)
		for _, r := range b.Cloud.Requests() {
			b.T.Logf("%s %d %s %s?%s", r.At.Format("04:05.000"), r.Status, r.Method, r.Path, r.Query)
		}
		if calls > callBudget {
			t.Errorf("%d API calls, the budget is %d", calls, callBudget)
		}
		if ratio > 1.05 {
			t.Errorf("%.3f of the floor, the budget is 1.05\n%s", ratio, b.History())
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
			key := simulation.NewKey(b)
			var calls int
			var took, least time.Duration
			for b.Loop() {
				// synctest wants a T; the bubble is what makes the time simulated.
				ok := testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "release", F: func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						simulation.WithBench(t, key, l, func(s *simulation.Bench) { calls, took, least = secondRelease(s, l) })
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
