package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cattle/droplets"
)

const (
	// openWithin is how long it is tried to let the writes go; the droplet does
	// so by itself later.
	openWithin = time.Minute
	openTry    = 10 * time.Second
	// scheduleWithin bounds the writing of a few units.
	scheduleWithin = time.Minute
)

// open lets the writes of the new droplet go: it is live, and confirmed.
func (r *run) open(ctx context.Context) error {
	err := r.onNew(ctx, "let its writes go", openWithin, openTry, func(ctx context.Context, m *droplets.Machine) error { return m.Thaw(ctx) })
	if noEngine(err) {
		err = nil // a standby that never held any
	}
	if err != nil {
		r.spare = true
		return &byHand{fmt.Errorf("writes wait, until the droplet opens by itself: by %s: %w", clock(r.Cloud.Now().Add(r.openBy())), err), "cattle status"}
	}
	if d := r.dataReport(); !r.frozen.IsZero() {
		d.Freeze = time.Since(r.frozen)
	}
	if r.plan.moves() {
		if err := r.returnLent(ctx); err != nil {
			r.notice("%s was not told to take the one-time key back (%v): it ends by itself within %s", r.giver.Name, err, brief(lendFor))
		}
	}
	return nil
}

// noEngine tells a droplet that has no engine: a shell did not find it.
func noEngine(err error) bool {
	var failed *droplets.VerbError
	return errors.As(err, &failed) && failed.Exit == notThereYet
}

// scheduleBackups has the new droplet make backups by itself.
func (r *run) scheduleBackups(ctx context.Context) error {
	if err := r.equip(ctx); err != nil {
		return &byHand{err, "cattle backup"}
	}
	err := r.onNew(ctx, "make backups by itself", scheduleWithin, scheduleWithin/2, func(ctx context.Context, m *droplets.Machine) error { return m.ScheduleBackups(ctx) })
	if err != nil {
		return &byHand{err, "cattle backup"}
	}
	return nil
}

// restore gives the candidate what a backup has, where there is nothing live to
// take it from.
func (r *run) restore(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, copyWithin, fmt.Errorf("the backup was not restored within %s", brief(copyWithin)))
	defer cancel()
	if err := r.equip(ctx); err != nil {
		return orBudget(ctx, err)
	}
	c := r.plan.candidate
	id := c.Restore
	if id == "" && r.site.Backups {
		id = latest
	}
	if id == "" || c.Empty {
		return nil
	}
	var b droplets.Backup
	err := r.onNew(ctx, "restore the backup", copyWithin, copyWithin, func(ctx context.Context, m *droplets.Machine) (err error) {
		b, err = m.Restore(ctx, id, droplets.RestoreFresh, "")
		return err
	})
	var said *droplets.StateError
	if errors.As(err, &said) && said.Code == droplets.StateNoBackup && c.Restore == "" {
		return &skipped{"there is no backup yet: the app begins without data"}
	}
	if err != nil {
		return orBudget(ctx, err)
	}
	d := r.dataReport()
	d.From, d.Restored = b.Time(), b.ID
	r.notice("the data is of %s (backup %s): what was written later is not in it", d.From.Format(time.RFC3339), b.ID)
	return nil
}

// begin starts the app of a droplet that nothing was carried to. Its writes are
// held all the same: until the confirm, it may be destroyed.
func (r *run) begin(ctx context.Context) error {
	return r.onNew(ctx, "start its app", r.site.BootWithin, r.site.BootWithin, func(ctx context.Context, m *droplets.Machine) error {
		return m.StartState(ctx, r.openBy()+r.site.Health.Deadline+r.site.Hooks.Deadline)
	})
}

// backUp has the live droplet make a backup before it is left.
func (r *run) backUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, backupWithin, fmt.Errorf("the backup was not made within %s", brief(backupWithin)))
	defer cancel()
	if err := r.equipOld(ctx); err != nil {
		return orBudget(ctx, err)
	}
	return r.makeBackup(ctx, droplets.BackupRelease)
}

func (r *run) makeBackup(ctx context.Context, reason string) error {
	return orBudget(ctx, r.onOld(ctx, "make a backup", backupWithin, backupWithin, func(ctx context.Context, m *droplets.Machine) error {
		b, err := m.Backup(ctx, reason)
		if err == nil {
			r.dataReport().Backup = b.ID
		}
		return err
	}))
}

// backUpDiscarded has what is given up in a backup, while nothing is added to it.
func (r *run) backUpDiscarded(ctx context.Context) error {
	if r.spare {
		return &skipped{r.giver.Name + " is kept in place of a backup"}
	}
	if err := r.makeBackup(ctx, droplets.BackupDiscard); err != nil {
		return err
	}
	r.notice("what is given up is in the backup %s: cattle restore %[1]s", r.report.Data.Backup)
	return nil
}
