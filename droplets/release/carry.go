package release

import (
	"fmt"
	"strings"
	"time"

	"cattle/droplets"
)

// What a site has written goes with it from droplet to droplet. While the old
// droplet serves, all of it is copied (the bulk); then its writes are held (the
// freeze), what has changed since is fetched (the delta), and the new one is
// started with its own writes held. Only after the confirm it is opened: no row
// is ever acknowledged by two droplets, and what fails before is undone by
// letting the old one's writes go.

const (
	// copyWithin bounds the bulk, with all that has to be ready for it.
	copyWithin = 30 * time.Minute
	// backupWithin bounds a backup that a plan waits for.
	backupWithin = 10 * time.Minute
	// freezeMargin is how much longer than the plan a droplet holds its writes:
	// the plan gives up first.
	freezeMargin = 10 * time.Second
	// commitFor is how long after the commit the old droplet holds its writes
	// even though it is the live one: an assign takes two minutes at most.
	commitFor = 4 * time.Minute
	// openBy is when the new droplet, if it is live then, lets its writes go by
	// itself: its operator is gone, and no guard can take the address back any more.
	openBy = guardFor + guardPersists
)

// moves tells whether data goes from the live droplet to the plan's.
func (p *Plan) moves() bool {
	switch {
	case !p.Site.State || !p.leaves():
		return false
	case p.target != nil:
		return p.data.Choice == Carry
	}
	c := p.candidate
	return c.State != nil && !c.NoHandoff && c.Restore == "" && !c.Empty
}

// leaves tells whether there is a live droplet of the app's that is left.
func (p *Plan) leaves() bool { return p.World.Live != nil && p.World.Live.Born }

// discards tells whether what the live droplet wrote is given up by a rollback.
func (p *Plan) discards() bool {
	return p.Site.State && p.target != nil && p.leaves() && p.data.Choice == Discard
}

// begins tells whether the candidate's app is started without anything that is
// carried over: with a backup's data, or with none.
func (p *Plan) begins() bool {
	return p.Site.State && p.target == nil && p.candidate.State != nil && !p.moves()
}

// opens tells whether writes are held on the plan's droplet when it is switched
// to. What was carried there waits, and so does a first release, whose address
// may still be given back with all that was written; a standby has held them
// since it was left.
func (p *Plan) opens() bool {
	return p.moves() || p.begins() || p.Site.State && p.target != nil
}

// backsUp tells whether a release makes a backup of the live droplet first.
func (p *Plan) backsUp() bool {
	c := p.candidate
	return p.Site.Backups && c != nil && c.State != nil && p.leaves() && !c.NoHandoff && !c.NoBackup
}

// kit is what the droplets are given.
func (p *Plan) kit() *droplets.StateKit {
	if p.candidate != nil {
		return p.candidate.State
	}
	return p.data.Kit
}

// freezeFor is how long writes may be held until the switch is ordered. A
// backup of what is given up is made in that time, too.
func (p *Plan) freezeFor() time.Duration {
	if p.discards() && p.Site.Backups && !p.data.NoBackup {
		return p.Site.MaxFreeze + backupWithin
	}
	if p.begins() && p.closes() { // a backup is restored in that time
		return p.Site.MaxFreeze + copyWithin
	}
	return p.Site.MaxFreeze
}

// dataSteps are those before the gate: the app runs on its data then.
func (p *Plan) dataSteps() []Step {
	var steps []Step
	add := func(s Step) { steps = append(steps, s) }
	if p.moves() {
		add(Step{Name: "copy", Title: p.copyTitle(), run: (*run).copyOver})
	}
	if p.backsUp() {
		add(Step{Name: backupStep, Title: fmt.Sprintf("have %s make a backup", p.World.Live.Name), run: (*run).backUp})
	}
	if p.moves() {
		if p.guards() {
			add(p.guardStep())
		}
		add(Step{Name: freezeStep, Title: fmt.Sprintf("hold the writes of %s, for %s at most; readers notice nothing", p.World.Live.Name, brief(p.freezeFor())), run: (*run).freeze, held: true})
		add(Step{Name: "delta", Title: "fetch what has changed since, and compare both sides", run: (*run).delta, held: true})
	}
	if p.discards() {
		if p.takes() {
			return append(steps, p.giveUp()...)
		}
		add(Step{Name: "own", Title: fmt.Sprintf("have %s run on the data that it was left with", p.target.Name), run: (*run).own})
		return steps
	}
	steps = append(steps, p.volumeSteps()...)
	if p.begins() && (!p.Site.VolumesAlone || p.Site.Backups) {
		add(Step{Name: "restore", Title: p.restoreTitle(), run: (*run).restore})
	}
	if p.Site.Migrates && p.target == nil && (p.moves() || p.begins()) {
		add(Step{Name: "migrate", Title: "run release.migrate of the new image", run: (*run).migrate, held: p.moves()})
	}
	switch {
	case p.moves():
		add(Step{Name: startStep, Title: "start the app; its writes wait until it is live", run: (*run).startHeld, held: true})
	case p.begins():
		add(Step{Name: startStep, Title: "start the app; its writes wait until it is live", run: (*run).begin})
	case p.takes():
		add(Step{Name: startStep, Title: "start the app of " + p.target.Name + "; its writes wait until it is live", run: (*run).startHeld})
	}
	return steps
}

// The names of steps that other code looks for.
const (
	backupStep = "backup"
	freezeStep = "freeze"
	startStep  = "start"
	openStep   = "open"
)

// giveUp are the steps by which a rollback gives up what the live droplet wrote:
// it writes no more, and a backup has it.
func (p *Plan) giveUp() []Step {
	if !p.discards() {
		return nil
	}
	live := p.World.Live.Name
	steps := []Step{{Name: freezeStep, Title: fmt.Sprintf("hold the writes of %s, if it still answers", live), run: (*run).freezeIfReachable, held: true}}
	if p.Site.Backups && !p.data.NoBackup {
		steps = append(steps, Step{Name: backupStep, Title: fmt.Sprintf("have %s make a backup of what is given up", live), run: (*run).backUpDiscarded, held: true})
	}
	steps = append(steps, p.volumeSteps()...)
	// The standby was left with its writes held until it is live again. They shall
	// go when that is confirmed, and not before.
	return append(steps, Step{Name: startStep, Title: "have the writes of " + p.target.Name + " wait until it is live and confirmed", run: (*run).startHeld, held: true})
}

// opening is the step in which writes go again, and backups begin.
func (p *Plan) opening() []Step {
	var steps []Step
	if p.opens() {
		steps = append(steps, Step{Name: openStep, Title: "let the writes go", run: (*run).open, after: true})
	}
	if p.Site.Backups && p.kit() != nil {
		steps = append(steps, Step{Name: "schedule", Title: "have it make backups by itself while it is live", run: (*run).scheduleBackups, after: true})
	}
	return steps
}

func (p *Plan) copyTitle() string {
	to := "it"
	if p.target != nil {
		to = p.target.Name
	}
	return fmt.Sprintf("copy the data from %s to %s while it serves; space, versions and time are checked", p.World.Live.Name, to)
}

func (p *Plan) restoreTitle() string {
	c := p.candidate
	switch {
	case c.Empty:
		return "begin without data"
	case c.Restore == latest:
		return "restore the newest backup"
	case c.Restore != "":
		return "restore the backup " + c.Restore
	case p.Site.Backups:
		return "restore the newest backup, if there is one"
	}
	return "begin without data: nothing is live that has any"
}

// latest is the newest backup.
const latest = "latest"

// dataChange tells a plan's reader of data that does not simply go along.
func (p *Plan) dataChange() []Change {
	switch {
	case p.Site.VolumesAlone:
	case p.discards():
		return []Change{{"data", "as " + p.World.Serving() + " has it", "as " + p.Release + " was left with"}}
	case p.begins() && p.World.Live != nil:
		return []Change{{"data", "as " + p.World.Serving() + " has it", strings.TrimPrefix(p.restoreTitle(), "restore ")}}
	}
	return nil
}

// stateFaults refuse a release by which data would be lost without a word.
func (w *World) stateFaults(site Site, c *Candidate) []Fault {
	if !site.State || c.State == nil || site.VolumesAlone && c.Restore == "" && !c.Empty {
		return nil // a volume goes along, whatever becomes of the droplet that has it
	}
	said := c.Restore != "" || c.Empty
	const hint = "say where the data comes from: --no-handoff with --restore (the newest backup) or --restore=ID, or with --empty for none"
	fault := func(format string, args ...any) []Fault {
		return []Fault{{Code: "state-needs-handoff", Input: true, Msg: fmt.Sprintf(format, args...), Hint: hint}}
	}
	switch live := w.Live; {
	case live == nil && !said && !site.Backups && len(w.Standbys) > 0:
		return []Fault{{Code: "state-needs-handoff", Input: true, Msg: fmt.Sprintf("nothing is live, and the standby %s has data: a new droplet would begin without any", w.Standbys[0].Name),
			Hint: "cattle rollback, and then release; or begin without data: --empty"}}
	case live == nil:
		return nil
	case !live.Born && !said:
		return fault("the data of %s (droplet %d) cannot be carried over: its tags were edited", live.Name, live.ID)
	case live.Born && c.NoHandoff && !said:
		return fault("with --no-handoff the data of %s would not be carried over", live.Name)
	case live.Born && !c.NoHandoff && said:
		return fault("the data of %s would be given up: that takes --no-handoff", live.Name)
	}
	return nil
}

// decide says what becomes of the data that the live droplet of a rollback
// wrote. Nobody but a person decides that rows are given up, or who waits for
// them to be carried.
func (w *World) decide(site Site, target Member, d Data) (Data, []Fault) {
	if !site.State || w.Live == nil || !w.Live.Born {
		d.Choice = ""
		return d, nil
	}
	if d.Choice == "" && (site.VolumesAlone || d.Writes != nil && d.Writes.Total == 0) {
		d.Choice = Carry
	}
	switch {
	case d.Choice == Carry:
		return d, nil
	case d.Choice == Discard && !site.VolumesAlone && site.Keep < 1 && (!site.Backups || d.NoBackup):
		return d, []Fault{{Code: "data-decision", Input: true, Msg: "the rows would be lost: there is no backup of them, and keep: 0 destroys the droplet that has them",
			Hint: "cattle rollback --carry-data; or have backups (backup: in the profile), or a standby kept (keep: 1)"}}
	case d.Choice == Discard:
		return d, nil
	}
	return d, []Fault{{Code: "data-decision", Input: true, Msg: w.written(d.Writes),
		Hint: fmt.Sprintf("cattle rollback --carry-data takes that back to %s; cattle rollback --discard-data gives it up, and keeps %s", target.Birth.Release, kept(site, d))}}
}

func kept(site Site, d Data) string {
	if site.Backups && !d.NoBackup {
		return "a backup of it"
	}
	return "the droplet that has it"
}

// written says what the live droplet has accepted.
func (w *World) written(n *droplets.Writes) string {
	name := w.Live.Birth.Release
	if n == nil {
		return fmt.Sprintf("%s is live, and how much it has written since it went live is not known", name)
	}
	var parts []string
	for _, e := range n.Entries {
		if e.Count > 0 {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s: %d %s", e.Name, e.Count, e.Unit)))
		}
	}
	text := fmt.Sprintf("%s has accepted %s", name, counted(n.Total, "write"))
	if since := n.SinceTime(); !since.IsZero() {
		text += " since " + since.Format(time.RFC3339)
	}
	if len(parts) > 0 {
		text += " (" + strings.Join(parts, ", ") + ")"
	}
	return text
}

// counted is a number of things.
func counted(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
