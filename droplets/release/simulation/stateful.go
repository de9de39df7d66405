package simulation

import (
	"context"
	"fmt"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/sandbox"
)

// repository is where the site's backups are: it outlives all droplets.
const repository = "s3:https://example.com/blog"

// kit is what a droplet needs to have its rows moved. A stub runs none of it.
func (b *Bench) kit() *droplets.StateKit {
	if !b.Site.State {
		return nil
	}
	entry := `{"name":"db","kind":"sqlite","volume":"blog_data","path":"blog.db"}`
	if b.Site.VolumesAlone {
		entry = fmt.Sprintf(`{"name":"db","kind":"volume","volume":%q,"path":"/mnt/db","services":["web"]}`, b.Site.Volumes[0].Name)
	}
	spec := `{"version":1,"app":"blog","entries":[` + entry + `],"services":["web"]`
	if b.Site.Migrates {
		spec += `,"migrate":{"service":"web","command":["bin/migrate","up"]}`
	}
	if b.Site.Backups {
		spec += fmt.Sprintf(`,"backup":{"repository":%q,"password":"RESTIC_PASSWORD"}`, repository)
	}
	return &droplets.StateKit{Engine: []byte("program"), Spec: []byte(spec + "}")}
}

// stateful is a site whose rows move with it.
func stateful(b *Bench) { b.Site.State, b.Site.MaxFreeze = true, 30*time.Second }

// backedUp has a backup made before each release, and a migration run in it.
func backedUp(b *Bench) {
	stateful(b)
	b.Site.Backups, b.Site.Migrates = true, true
}

func both(fs ...func(*Bench)) func(*Bench) {
	return func(b *Bench) {
		for _, f := range fs {
			f(b)
		}
	}
}

// lately declares state once the site is up: what serves knows nothing of it.
func lately(b *Bench) {
	if b.begun {
		stateful(b)
	}
}

// statefulScenes are those of a site whose rows move with it; somebody writes
// all the time.
func statefulScenes() []*scene {
	two := []string{"v1", "v2"}
	fullDisk := func(b *Bench) {
		b.Cloud.Fault(sandbox.EngineFails("pull-delta", "disk-full", "new", "no space left on device"))
	}
	list := []*scene{
		{name: "release with state", before: two, keep: 1, verb: Releases("v3"), site: backedUp},
		{name: "release with state, taken back", before: two, keep: 1, break_: "v3", fails: true, verb: Releases("v3"), site: stateful},
		{name: "rollback, data carried", before: two, keep: 1, verb: RollsBack, site: backedUp},
		{name: "rollback, data discarded", before: two, keep: 1, verb: Discards, site: backedUp},
		{name: "release with state, refused in delta", before: two, keep: 1, fails: true, verb: Releases("v3"), site: stateful, trips: fullDisk, variant: true},
		{name: "release with state, keep 0", before: two, keep: 0, verb: Releases("v3"), site: stateful, variant: true},
		{name: "release with state, guarded", before: two, keep: 1, break_: "v3", fails: true, verb: Releases("v3"), site: both(stateful, guarded), variant: true},
		{name: "release with state, watched, gets worse", before: two, keep: 1, break_: "v3", kind: sandbox.FailsLater, fails: true, verb: Releases("v3"), site: both(stateful, watched), variant: true},
		{name: "release with state for the first time", before: two, keep: 1, verb: Releases("v3"), site: lately, variant: true},
		{name: "rebuild with state", before: two, keep: 1, verb: Rebuilds, site: backedUp, variant: true},
		{name: "first release with state", keep: 1, verb: Releases("v3"), site: backedUp, variant: true},
		{name: "release from a backup", before: []string{"v1"}, keep: 1, verb: Releases("v3"), site: backedUp, more: lostLive, variant: true},
	}
	list = append(list, diskedScenes()...)
	for _, s := range list {
		s.written = true
	}
	return list
}

// Discards is the verb rollback, with --discard-data.
func Discards(b *Bench, ctx context.Context, o *release.Operator) (*release.Report, error) {
	if r := b.runOf(o); r != nil {
		r.discards = true
	}
	return b.rollback(ctx, o, "", release.Discard)
}

// dataFor is what a rollback is told about data.
func (b *Bench) dataFor(ctx context.Context, o *release.Operator, w *release.World, choice release.DataChoice) release.Data {
	if !b.Site.State {
		return release.Data{}
	}
	data := release.Data{Choice: choice, Kit: b.kit()}
	return data
}

// lostLive has the live droplet make a backup, and be lost.
func lostLive(b *Bench) {
	w, m := b.LoginToLive()
	defer m.Close()
	if _, err := m.Backup(b.T.Context(), droplets.BackupScheduled); err != nil {
		b.T.Fatal(err)
	}
	b.delete(w.Live.ID)
	time.Sleep(time.Minute)
}

// takesRows lets a site that is being put up take a few rows, by which its
// droplets can be told apart.
func (b *Bench) takesRows(version string) {
	b.startWriter(version)
	if b.writer == nil {
		return
	}
	time.Sleep(2 * time.Second)
	b.writer.end()
	b.writer = nil
}

// rowsBefore are what a schedule begins with: the rows of the live droplet, or
// where that is lost those of the newest backup.
func (b *Bench) rowsBefore() (rows []ackedRow) {
	if !b.Site.State {
		return nil
	}
	var are []string
	for _, k := range b.Before.Backups {
		are = k.Rows
	}
	if live := b.holder(b.Before); live != nil {
		are = live.Rows
	}
	for _, row := range are {
		rows = append(rows, ackedRow{row: row})
	}
	return rows
}
