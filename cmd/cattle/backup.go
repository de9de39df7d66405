package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
)

func backupCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "backup", Usage: "make a backup of what is live now, or see whether the newest could be restored", OnUsageError: usage,
		Description: "The live droplet makes one by itself at the times of the profile, and cattle release before it copies anything. With\n" +
			"--verify none is made: the newest is restored into a folder of the live droplet, looked at, and removed.\n\n" +
			"    cattle backup\n" +
			"    cattle backup --verify",
		Flags: []cli.Flag{fileFlag(), jsonFlag(), &cli.BoolFlag{Name: "verify", Usage: "restore the newest backup into a scratch place and check it"}},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			if c.Bool("verify") {
				return verifyBackup(c.Context, std, c.String("file"), c.Bool("json"))
			}
			return backup(c.Context, std, c.String("file"), c.Bool("json"))
		},
	}
}

func backupsCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "backups", Usage: "list the backups, the newest first", OnUsageError: usage,
		Description: "    cattle backups\n" +
			"    cattle backups --json",
		Flags: []cli.Flag{fileFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			return backups(c.Context, std, c.String("file"), c.Bool("json"))
		},
	}
}

// reachKept logs in to the live droplet of a site that has backups, with all
// there that they need.
func reachKept(ctx context.Context, std stdio, file string) (*target, error) {
	p, err := loadQuietly(file)
	if err != nil {
		return nil, err
	}
	if p.Backup == nil {
		return nil, &usageError{"the profile has no backup", "name a repository in it, backup: {repository: s3:…, password: ${RESTIC_PASSWORD}}, and cattle release VERSION"}
	}
	t, err := reach(ctx, std, file, "live")
	if err != nil {
		return nil, err
	}
	stack, err := p.Stack(ctx, orElse(t.world.Serving(), "backup"), nil)
	if err == nil {
		err = equip(ctx, t, func() (*droplets.StateKit, error) { return kitOf(p, stack) })
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// equip brings the live droplet the program of this version.
func equip(ctx context.Context, t *target, kit func() (*droplets.StateKit, error)) error {
	made, err := kit()
	if err != nil {
		return err
	}
	if err := t.machine.Equip(ctx, *made); err != nil {
		return err
	}
	_, err = t.machine.PrepareState(ctx, false)
	return err
}

// backupJSON is a backup for programs.
type backupJSON struct {
	Type    string    `json:"message_type"`
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Release string    `json:"release,omitempty"` // of which it is
	Reason  string    `json:"reason,omitempty"`  // scheduled, release, discard or asked
	Bytes   int64     `json:"bytes"`
	Files   int64     `json:"files,omitempty"` // of a backup that was just made
	Empty   []string  `json:"empty,omitempty"` // entries of which there was nothing yet
}

func backupToJSON(b droplets.Backup) backupJSON {
	return backupJSON{"backup", b.ID, b.Time(), b.Release, b.Reason, b.Bytes, b.Files, b.Empty}
}

func backup(ctx context.Context, std stdio, file string, asJSON bool) error {
	t, err := reachKept(ctx, std, file)
	if err != nil {
		return err
	}
	defer t.close()
	b, err := t.machine.Backup(ctx, droplets.BackupAsked)
	if err != nil {
		return fmt.Errorf("no backup was made: %w", err)
	}
	if asJSON {
		return writeJSON(std.out, backupToJSON(b))
	}
	text := fmt.Sprintf("backup %s: %s in %s\n", b.ID, size(b.Bytes), count(int(b.Files), "file"))
	if len(b.Empty) > 0 {
		text += "there is nothing yet of " + strings.Join(b.Empty, ", ") + "\n"
	}
	return say(std.out, text)
}

type verifiedJSON struct {
	Type    string   `json:"message_type"`
	ID      string   `json:"id"`
	Checked []string `json:"checked"` // entries of the profile's state
}

func verifyBackup(ctx context.Context, std stdio, file string, asJSON bool) error {
	t, err := reachKept(ctx, std, file)
	if err != nil {
		return err
	}
	defer t.close()
	v, err := t.machine.VerifyBackup(ctx)
	if err == nil && !v.OK {
		err = fmt.Errorf("backup %s is not whole", v.ID)
	}
	if err != nil {
		return fmt.Errorf("the newest backup could not be restored: %w", err)
	}
	if asJSON {
		return writeJSON(std.out, verifiedJSON{"verified", v.ID, v.Checked})
	}
	return say(std.out, fmt.Sprintf("backup %s was restored beside what is live, and is whole: %s\n", v.ID, strings.Join(v.Checked, ", ")))
}

func backups(ctx context.Context, std stdio, file string, asJSON bool) error {
	t, err := reachKept(ctx, std, file)
	if err != nil {
		return err
	}
	defer t.close()
	all, err := t.machine.Backups(ctx)
	if err != nil {
		return err
	}
	if !asJSON {
		return say(std.out, backupsText(t.site.App, all))
	}
	for _, b := range all {
		if err := writeJSON(std.out, backupToJSON(b)); err != nil {
			return err
		}
	}
	return nil
}

func backupsText(app string, all []droplets.Backup) string {
	if len(all) == 0 {
		return app + " has no backup yet; to make one: cattle backup\n"
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tFROM\tRELEASE\tREASON\tSIZE")
	for _, one := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", one.ID, one.Time().Format(minutes), orElse(one.Release, "-"), orElse(one.Reason, "-"), size(one.Bytes))
	}
	table.Flush()
	return b.String()
}
