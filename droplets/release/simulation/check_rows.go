package simulation

import (
	"slices"
	"strings"
	"time"

	"cattle/droplets/sandbox"
)

// The rules of a site's rows: what was acknowledged stays, and writes come back
// whatever becomes of the verbs.

// backWithin is how long writes may be away after the last command.
const backWithin = 15 * time.Minute

// opensAgain wants a row to be taken in time, and has the writer rest then.
func (b *Bench) opensAgain() {
	if b.writer == nil {
		return
	}
	b.writer.pause(false)
	if b.Holder() != nil && !b.writer.comesBack(backWithin) {
		if phase := phaseOf(b.Holder()); phase != "open" || b.Serving() != "" {
			b.violate(opensUp, "no row was taken for %s; the live droplet is %s", backWithin, phase)
		}
	}
	b.writer.pause(true)
}

func phaseOf(d *sandbox.Machine) string {
	if d == nil {
		return "nowhere"
	}
	return d.Phase
}

// judgeRows wants every row that was acknowledged to be on the live droplet,
// once and in order; or, if a rollback gave it up, to be kept.
func (b *Bench) judgeRows(what traits) {
	if b.writer == nil || what.hand {
		return // a hand takes droplets away, with what is on them
	}
	live := b.Holder()
	if live == nil {
		if len(b.writer.rows()) > 0 && !b.ends {
			b.violate(keepsRows, "%d rows were acknowledged, and nothing is live", len(b.writer.rows()))
		}
		return
	}
	at := map[string]int{}
	rows := live.Rows
	if what.stuck && b.strayed() { // nobody can bring it back: what is on it is there
		rows = b.Cloud.Snapshot().Volumes[0].Rows
	}
	for i, row := range rows {
		if _, twice := at[row]; twice {
			b.violate(keepsRows, "%s is on droplet %d twice", row, live.ID)
		}
		at[row] = i
	}
	given := b.givenUp()
	last, lost := -1, []string{}
	for _, row := range append(slices.Clone(b.acked), b.writer.rows()...) {
		i, there := at[row.row]
		switch {
		case there && i < last:
			b.violate(keepsRows, "%s is on droplet %d before a row that was acknowledged earlier", row.row, live.ID)
		case there:
			last = i
		case row.acked.Before(given.until) && given.rows[row.row]:
		default:
			lost = append(lost, row.row+", acknowledged at "+row.acked.UTC().Format(time.TimeOnly))
		}
	}
	if len(lost) > 0 {
		b.violate(keepsRows, "%d rows that were acknowledged are not on droplet %d (%s): %s", len(lost), live.ID, live.Release, strings.Join(lost[:min(3, len(lost))], "; "))
	}
}

// wrongAt tells a schedule in which something goes wrong with a verb over SSH.
func (s *schedule) wrongAt(route string) bool {
	return slices.ContainsFunc(s.wrong, func(w wrong) bool { return w.at.Route == route })
}

// A gift is what rollbacks gave up: rows that were kept elsewhere, and until when.
type gift struct {
	rows  map[string]bool
	until time.Time
}

// givenUp are the rows that are in a backup of a rollback that discarded, or
// were on a droplet when it was done.
func (b *Bench) givenUp() gift {
	g := gift{rows: map[string]bool{}}
	for _, r := range b.runs {
		if r.discards && r.plan != nil {
			g.until = r.ended
			g.keeps(r.after.Droplets) // for as long as any standby is
		}
	}
	now := b.Cloud.Snapshot()
	for _, k := range now.Backups {
		for _, row := range k.Rows {
			g.rows[row] = g.rows[row] || k.Reason == "discard"
		}
	}
	g.keeps(now.Droplets)
	return g
}

func (g gift) keeps(droplets []sandbox.Machine) {
	for _, d := range droplets {
		for _, row := range d.Rows {
			g.rows[row] = true
		}
	}
}

// judgeLent wants no key to open a droplet any more that a done verb had lent,
// unless the droplet said nonsense of it.
func (b *Bench) judgeLent(r *run, s *schedule) {
	if b.writer == nil || r.err != nil || r.plan == nil || len(s.parts) > 1 || s.wrongAt("/state-return") {
		return
	}
	for _, d := range r.after.Droplets {
		if d.Lent {
			b.violate(accounted, "%s: a key still opens droplet %d", r.verb, d.ID)
		}
	}
}
