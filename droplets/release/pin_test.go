package release_test

import (
	"errors"
	"strings"
	"testing"

	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

// pinTags are the pins that the account has, whatever carries them.
func pinTags(b *simulation.Bench) (names []string) {
	var list struct{ Tags []struct{ Name string } }
	decode(b.T, b.Call("GET", "/v2/tags?per_page=200", nil), &list)
	for _, t := range list.Tags {
		if strings.HasPrefix(t.Name, "cattle:pinned:") {
			names = append(names, t.Name)
		}
	}
	return names
}

func survey(b *simulation.Bench) *release.World {
	b.T.Helper()
	w, err := b.Op.Survey(b.T.Context(), b.Site)
	if err != nil {
		b.T.Fatal(err)
	}
	return w
}

// TestRollbackPins: what was gone back to is pinned, until it is released again
// or unpinned; the pin ends with its droplet.
func TestRollbackPins(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Must("v2")
		if f := survey(b).PinFault(); f != nil {
			b.T.Errorf("a release is pinned: %v", f)
		}
		if _, err := b.Rollback(b.T.Context(), ""); err != nil {
			b.T.Fatal(err)
		}
		w := survey(b)
		if f := w.PinFault(); f == nil || !strings.Contains(f.Hint, "cattle release v1") || len(pinTags(b)) != 1 {
			b.T.Errorf("a rollback does not pin: %v, %q", f, pinTags(b))
		}
		got, err := b.Op.Unpin(b.T.Context(), w)
		if err != nil || len(got) != 1 || got[0] != "v1" || survey(b).PinFault() != nil || len(pinTags(b)) != 0 {
			b.T.Errorf("unpinned %q: %v; left %q", got, err, pinTags(b))
		}
		if got, err = b.Op.Unpin(b.T.Context(), survey(b)); err != nil || len(got) != 0 {
			b.T.Errorf("unpinned %q once more: %v", got, err)
		}

		// Back to v2, which is pinned then; a release by hand is not.
		if _, err := b.Rollback(b.T.Context(), ""); err != nil {
			b.T.Fatal(err)
		}
		b.Must("v3")
		if survey(b).PinFault() != nil || len(pinTags(b)) != 1 {
			b.T.Errorf("after a release by hand: pins %q", pinTags(b))
		}
		b.Must("v4") // which destroys v2
		if left := pinTags(b); len(left) != 0 {
			b.T.Errorf("pins outlive their droplets: %q", left)
		}
	})
}

// TestPinFails: a rollback whose pin is refused serves, and says what is missing.
func TestPinFails(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Must("v2")
		b.Cloud.Fault(sandbox.Fault{Method: "POST", Path: "/v2/tags", Body: "cattle:pinned", Status: 403, Count: -1})
		_, err := b.Rollback(b.T.Context(), "")
		var left *release.Incomplete
		if !errors.As(err, &left) || len(left.Leftovers) != 1 || !strings.Contains(left.Leftovers[0].Command, "doctl compute droplet tag") {
			b.T.Errorf("got %v", err)
		}
		b.Expect("v1", "v1", "v2")
	})
}

// TestUnpinIsSeen: a tag that is deleted and still there is no success.
func TestUnpinIsSeen(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Must("v2")
		if _, err := b.Rollback(b.T.Context(), ""); err != nil {
			b.T.Fatal(err)
		}
		b.Cloud.Fault(sandbox.Fault{Method: "DELETE", Path: "/v2/tags/*", Status: 404, Answer: `{"id":"not_found","message":"no"}`, Count: -1})
		if _, err := b.Op.Unpin(b.T.Context(), survey(b)); err == nil || !strings.Contains(err.Error(), "the pin of droplet") {
			b.T.Errorf("got %v", err)
		}
	})
}
