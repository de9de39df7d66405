package release_test

import (
	"testing"

	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

// TestTakenBackGivesItsMailBack: what visitors of a refused release had it send,
// and the relay has not taken, is sent by the droplet that serves on.
func TestTakenBackGivesItsMailBack(t *testing.T) {
	simulation.Simulate(t, sandbox.Latency{}, func(b *simulation.Bench) {
		b.Site.Mail = true
		b.Must("v1")
		b.Cloud.RelayAway(true)
		b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.FailsLive})
		b.Op.Emit = func(e release.Event) {
			if e.Step == "confirm" && e.State == release.StateRunning {
				b.SendMail()
			}
			b.Record(e)
		}
		if _, err := b.Release(b.T.Context(), "v2"); err == nil {
			t.Fatal("it was not taken back")
		}
		b.Expect("v1", "v1")
		if live := b.Holder(); len(live.Mails) != 2 {
			t.Errorf("%d mails wait on the droplet that serves on, want 2\n%s", len(live.Mails), b.History())
		}
	})
}
