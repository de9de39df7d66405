package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/droplets/sandbox"
	"cattle/droplets/sandbox/nspawn"
)

// sandboxCleanCommand takes away what a sandbox that was killed left over.
func sandboxCleanCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "clean", Usage: "take away what killed sandboxes with booted machines left over; running ones are left alone", OnUsageError: usage,
		Description: "    cattle sandbox clean",
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			return sandboxClean(c.Context, func(what string) { fmt.Fprintln(std.out, what) })
		},
	}
}

func sandboxClean(ctx context.Context, say func(string)) error {
	machines, err := nspawn.Clean(ctx, say)
	folders, ferr := cleanRehearsals(say)
	err = errors.Join(err, ferr)
	if err == nil && machines+folders == 0 {
		say("nothing is left over")
	}
	return err
}

// rehearsalFolder is what the folders of rehearsals are called.
const rehearsalFolder = "cattle-rehearsal-*"

// settled is how old a folder without a lock has to be: one that is being made
// gets its lock within a second or two.
const settled = time.Minute

// cleanRehearsals removes the folders of rehearsals that were killed: there are
// logins in them.
func cleanRehearsals(say func(string)) (removed int, err error) {
	folders, err := filepath.Glob(filepath.Join(rehearsalsIn(), rehearsalFolder))
	for _, dir := range folders {
		left, lerr := leftOver(dir)
		if err = errors.Join(err, lerr); !left {
			continue
		}
		say("taking away " + dir)
		err = errors.Join(err, os.RemoveAll(dir))
		removed++
	}
	return removed, err
}

func leftOver(dir string) (bool, error) {
	used, locked, err := sandbox.InUse(dir)
	if err != nil || locked {
		return !used && err == nil, err
	}
	info, err := os.Stat(dir)
	return err == nil && time.Since(info.ModTime()) > settled, err
}

// rehearsalsIn is where rehearsals have their folders, and machines their
// disks: TMPDIR where it is set, and not /tmp, which is in memory on some
// systems.
func rehearsalsIn() string {
	const disk = "/var/tmp"
	if _, err := os.Stat(disk); os.Getenv("TMPDIR") != "" || err != nil {
		return os.TempDir()
	}
	return disk
}
