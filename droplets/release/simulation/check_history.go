package simulation

import (
	"encoding/json"
	"slices"
	"strings"

	"cattle/droplets"
)

// judgeHistory wants what a run has done to be in the history of its droplet,
// behind all that the droplet before knew.
func (b *Bench) judgeHistory(r *run, s *schedule) {
	is, was := b.holder(r.after), b.holder(r.before)
	if r.err != nil || r.plan == nil || r.report == nil || r.verb == "bake" || is == nil || is.ID != r.report.Droplet {
		return
	}
	if !slices.ContainsFunc(is.History, func(line string) bool {
		var e droplets.Entry
		return json.Unmarshal([]byte(line), &e) == nil && e.Attempt == r.report.Attempt && e.Verb == r.plan.Verb && e.Outcome == droplets.Released &&
			(was == nil || !slices.Contains(was.History, line))
	}) {
		b.violate(remembered, "%s: droplet %d does not know of it: %q", r.verb, is.ID, is.History)
	}
	// What somebody else wrote down on the droplet before, behind the handoff of a
	// third one, is lost: nobody waits for a history.
	if was == nil || len(s.parts) > 1 || s.traits().hand || s.mutes() || r.gaveUp() {
		return
	}
	for _, line := range was.History {
		if !slices.Contains(is.History, line) {
			b.violate(remembered, "%s: droplet %d has lost %s", r.verb, is.ID, line)
		}
	}
}

// mutes tells a schedule in which a droplet says that it did what it did not:
// nobody could know.
func (s *schedule) mutes() bool {
	return slices.ContainsFunc(s.wrong, func(w wrong) bool { return w.name == "verb says nonsense" && w.at.Route == "/install-certificates" })
}

// gaveUp tells a rollback that was told that the droplet which it leaves could
// not be asked: it has what the standby knew.
func (r *run) gaveUp() bool {
	return r.report != nil && slices.ContainsFunc(r.report.Notices, func(n string) bool { return strings.Contains(n, "were not carried back") })
}
