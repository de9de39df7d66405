package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"cattle/cloudinit"
	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/profiles"
)

// What a command is told of a site's data, and what of it droplets are brought.

// dataOptions are where a release's data comes from, and by which way.
type dataOptions struct {
	viaOperator, empty, noBackup bool
	restore                      string // "latest", or an id; "": from the live droplet
}

func viaOperatorFlag() cli.Flag {
	return &cli.BoolFlag{Name: "via-operator", Usage: "have the data go through this computer's connections, where the droplets do not reach each other"}
}

// dataFlags are those of commands that put data on a fresh droplet.
func dataFlags() []cli.Flag {
	return []cli.Flag{viaOperatorFlag(),
		bareFlag{&cli.GenericFlag{Name: "restore", Value: &orNewest{}, Usage: "begin with the newest backup, with --restore=ID that one; for when the live droplet is lost"}},
		&cli.BoolFlag{Name: "empty", Usage: "begin with empty volumes; for when the live droplet is lost, and any backup is not wanted"},
		noBackupFlag(),
	}
}

func noBackupFlag() cli.Flag {
	return &cli.BoolFlag{Name: "no-backup", Usage: "make no backup first"}
}

func dataOptionsOf(c *cli.Context) dataOptions {
	out := dataOptions{viaOperator: c.Bool("via-operator"), empty: c.Bool("empty"), noBackup: c.Bool("no-backup")}
	if v, ok := c.Generic("restore").(*orNewest); ok {
		out.restore = v.id
	}
	return out
}

// holds refuses what the profile has no use for: who types it thinks of another one.
func (d dataOptions) holds(p *profiles.Profile) error {
	switch {
	case d.restore != "" && d.empty:
		return &usageError{"--restore brings data, and --empty begins without any", "leave one of them out"}
	case d.restore != "" && p.Backup == nil:
		return &usageError{"--restore: the profile names no repository of backups", "backup: {repository: …} in the profile"}
	case d.empty && len(p.State) == 0:
		return &usageError{"--empty: the profile has no state, so every release begins empty", "leave it out"}
	}
	return nil
}

// apply gives the options to what a plan is made of.
func (d dataOptions) apply(o *release.Operator, c *release.Candidate) {
	o.ViaOperator = d.viaOperator
	c.Restore, c.Empty, c.NoBackup = d.restore, d.empty, d.noBackup
}

// newest is what a flag without a value stands for.
const newest = "latest"

// orNewest is the value of a flag that names a backup, or the newest one where
// it has no value.
type orNewest struct{ id string }

func (v *orNewest) String() string { return v.id }

// IsBoolFlag lets the flag go without a value, which is then "true".
func (v *orNewest) IsBoolFlag() bool { return true }

func (v *orNewest) Set(text string) error {
	switch {
	case text == "true":
		text = newest
	case !droplets.IsBackupID(text):
		return errors.New("that is no backup's id; cattle backups lists them")
	}
	v.id = text
	return nil
}

// bareFlag is a flag that may go without its value, and is shown so.
type bareFlag struct{ *cli.GenericFlag }

func (bareFlag) TakesValue() bool { return false }

// kitOf is what droplets are brought for their data to be moved; nil where
// there is none.
func kitOf(p *profiles.Profile, stack *profiles.Stack) (*droplets.StateKit, error) {
	spec, err := p.StateSpec(stack)
	if err != nil || spec == nil {
		return nil, err
	}
	return &droplets.StateKit{Engine: cloudinit.Engine(), Spec: spec}, nil
}

// rollbackData is what a rollback does with the data: as its flags say, or as
// the operator answers where he can be asked. Where nobody decided, the plan
// refuses if there is something to decide.
func rollbackData(ctx context.Context, std stdio, o *release.Operator, p *profiles.Profile, w *release.World, opts rollbackOptions) (release.Data, error) {
	data := release.Data{Choice: opts.choice, NoBackup: opts.noBackup}
	if len(p.State) == 0 {
		if opts.choice != "" {
			return data, &usageError{"--" + string(opts.choice) + "-data: the profile has no state", "cattle rollback"}
		}
		return data, nil
	}
	stack, err := p.Stack(ctx, orElse(w.Serving(), "rollback"), nil)
	if err == nil {
		data.Kit, err = kitOf(p, stack)
	}
	if err != nil || opts.choice != "" || o.Login == nil {
		return data, err
	}
	if written, err := o.Writes(ctx, w); err == nil { // else there may be any number
		data.Writes = &written
	}
	if undecided(data) && !opts.dryRun && std.inTTY {
		data.Choice, err = askChoice(ctx, std, data.Writes)
	}
	return data, err
}

// undecided tells that there is something to decide.
func undecided(d release.Data) bool {
	return d.Choice == "" && (d.Writes == nil || d.Writes.Total > 0)
}
