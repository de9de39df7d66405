package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
)

func restoreCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "restore", Usage: "bring a backup back, into a folder or in the place of what is live", ArgsUsage: "[ID]", OnUsageError: usage,
		Description: "Without an ID the newest, but for those of what somebody gave up. --to wants a folder on the live droplet that is not\n" +
			"there yet; cattle cp brings it here. --live makes a backup of what is live first, and puts that back where it fails.\n\n" +
			"    cattle restore --to /root/restored\n" +
			"    cattle restore --live 1f2e3d4c\n" +
			"    cattle restore --live --yes",
		Flags: []cli.Flag{fileFlag(), jsonFlag(),
			&cli.StringFlag{Name: "to", Usage: "a new `FOLDER` of the live droplet"},
			&cli.BoolFlag{Name: "live", Usage: "replace what is live; the app is down meanwhile"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"}},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 1); err != nil {
				return err
			}
			o := restoreOptions{file: c.String("file"), id: orElse(c.Args().First(), newest), to: c.String("to"), live: c.Bool("live"), yes: c.Bool("yes"), json: c.Bool("json")}
			if err := o.check(c.Args().First()); err != nil {
				return err
			}
			return restore(c.Context, std, o)
		},
	}
}

type restoreOptions struct {
	file, id, to    string
	live, yes, json bool
}

func (o *restoreOptions) check(id string) error {
	both := strings.TrimSpace("cattle restore --to /root/restored "+id) + " only brings it to the live droplet; " +
		strings.TrimSpace("cattle restore --live "+id) + " replaces what is live"
	switch {
	case !droplets.IsBackupID(o.id):
		return &usageError{fmt.Sprintf("%q is no backup's id", id), "cattle backups lists them"}
	case o.to == "" && !o.live:
		return &usageError{"restore where to? Nothing was done", both}
	case o.to != "" && o.live:
		return &usageError{"--to and --live are two ways to restore", both}
	case o.to != "" && !path.IsAbs(o.to):
		return &usageError{"--to wants the whole path of a folder on the droplet", "cattle restore --to /root/" + path.Base(o.to)}
	}
	return nil
}

func restore(ctx context.Context, std stdio, o restoreOptions) error {
	t, err := reachKept(ctx, std, o.file)
	if err != nil {
		return err
	}
	defer t.close()
	mode := droplets.RestoreTo
	if o.live {
		mode = droplets.RestoreLive
		if err := agreed(ctx, std, t, o); err != nil {
			return err
		}
	}
	b, err := t.machine.Restore(ctx, o.id, mode, o.to)
	if err != nil {
		return fmt.Errorf("not restored: %w", err)
	}
	if o.json {
		return writeJSON(std.out, restoredJSON{"restored", b.ID, b.Time(), o.to, b.Before, b.Missing})
	}
	return say(std.out, restoredText(b, o))
}

// agreed asks, where it is not said already, whether what is live shall go.
func agreed(ctx context.Context, std stdio, t *target, o restoreOptions) error {
	all, err := t.machine.Backups(ctx)
	if err != nil || o.yes {
		return err
	}
	for _, b := range all {
		if strings.HasPrefix(o.id, b.ID) || strings.HasPrefix(b.ID, o.id) || o.id == newest && b.Reason != droplets.BackupDiscard {
			what := fmt.Sprintf("this replaces the data of %s by the backup %s from %s; a backup of what is live is made first", t.site.App, b.ID, b.Time().Format(minutes))
			return confirmed(ctx, std, false, t.site.App, what)
		}
	}
	return kind("no-backup", errors.New("there is no backup "+o.id))
}

type restoredJSON struct {
	Type    string    `json:"message_type"`
	ID      string    `json:"id"`
	At      time.Time `json:"at"`                // of when the data is
	To      string    `json:"to,omitempty"`      // the folder; none: it is live
	Before  string    `json:"before,omitempty"`  // the backup of what was live
	Missing []string  `json:"missing,omitempty"` // entries of which the backup has nothing
}

func restoredText(b droplets.Backup, o restoreOptions) string {
	text := fmt.Sprintf("backup %s, from %s, is live", b.ID, b.Time().Format(minutes))
	if o.to != "" {
		text = fmt.Sprintf("backup %s, from %s, is in %s of the live droplet; to get it here: cattle cp live:%[3]s .", b.ID, b.Time().Format(minutes), o.to)
	}
	if b.Before != "" {
		text += "; what was live is in the backup " + b.Before
	}
	if len(b.Missing) > 0 {
		text += "\nit has nothing of " + strings.Join(b.Missing, ", ") + ", which stayed as it was"
	}
	return text + "\n"
}
