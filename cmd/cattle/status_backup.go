package main

import (
	"context"
	"errors"
	"time"

	"cattle/droplets"
)

// What status and doctor say of the backups that the live droplet makes.

// keptJSON is how they do.
type keptJSON struct {
	Last    time.Time `json:"last,omitzero"` // of when the newest is
	ID      string    `json:"id,omitempty"`  // its
	Failed  string    `json:"failed,omitempty"`
	Overdue bool      `json:"overdue,omitempty"`
}

func keptToJSON(b *droplets.BackupBrief) *keptJSON {
	if b == nil {
		return nil
	}
	return &keptJSON{b.Time(), b.LastID, b.Failed, b.Overdue}
}

// keptFailures are what is wrong with the backups of a site that serves.
func keptFailures(s *droplets.StateBrief) []failure {
	if s == nil || s.Backup == nil {
		return nil
	}
	switch b := s.Backup; {
	case b.Failed != "":
		return []failure{{Code: "backup-failed", Msg: "the last backup failed: " + b.Failed, Hint: "to try again: cattle backup"}}
	case b.Overdue:
		return []failure{{Code: "backup-overdue", Msg: "a backup is overdue: " + newestText(b), Hint: "to make one: cattle backup"}}
	}
	return nil
}

func newestText(b *droplets.BackupBrief) string {
	if b.Time().IsZero() {
		return "there is none yet"
	}
	return "the newest is " + b.LastID + " from " + b.Time().Format(minutes)
}

// backupLine is what status prints of them.
func (s statusJSON) backupLine() string {
	if s.State == nil || s.State.Backup == nil || s.State.Backup.Last.IsZero() {
		return ""
	}
	return "newest backup: " + s.State.Backup.ID + " from " + s.State.Backup.Last.Format(minutes) + "\n"
}

// backups is what doctor finds of them.
func (p *patient) backups(context.Context) []finding {
	d, err := p.live()
	if err != nil || p.profile.Backup == nil {
		return nil // of which droplet tells
	}
	s := d.status.State
	if s == nil || s.Backup == nil {
		return []finding{needs("backup", "the live droplet makes none: it was released before the profile had a backup", "cattle rebuild")}
	}
	if wrong := keptFailures(s); len(wrong) > 0 {
		return []finding{needs("backup", wrong[0].Msg, "cattle backup")}
	}
	return []finding{fine("backup", "%s", newestText(s.Backup))}
}

// cureOfState is of what the droplet says of a backup that was asked for.
func cureOfState(err error) cure {
	var said *droplets.StateError
	if !errors.As(err, &said) {
		return cure{}
	}
	switch said.Code {
	case droplets.StateNoBackup:
		return cure{"no-backup", "cattle backups lists what there is; to make one: cattle backup"}
	case droplets.StateRepository, droplets.StateWrongPassword:
		return cure{"state-repository", "compare backup: of the profile, and its secrets, with what the repository's provider says; then cattle release"}
	case droplets.StateDiskFull:
		return cure{"state-disk-full", "cattle doctor shows what is full; more room: droplet: {size: …} in the profile"}
	case droplets.StateEntryMissing, droplets.StateNotEqual:
		return cure{"state-" + said.Code, "cattle logs shows what the services say"}
	case droplets.StateBusy:
		return cure{"state-engine", "another backup is being made or removed; try again in some minutes"}
	}
	return cure{"state-engine", "cattle logs system, on the live droplet"}
}
