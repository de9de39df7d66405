package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/profiles"
)

func rollbackCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "rollback", Usage: "check the standby and move the reserved IP back to it",
		Description: "Where the profile has state, and the live droplet has written some since it went live, it wants a decision.\n\n" +
			"    cattle rollback\n" +
			"    cattle rollback --dry-run\n" +
			"    cattle rollback v1.1.0  # to the standby of that release\n" +
			"    cattle rollback --carry-data\n" +
			"    cattle rollback --discard-data  # a backup of it first",
		ArgsUsage: "[VERSION]", OnUsageError: usage, Flags: append(executeFlags(), reportFlag(), viaOperatorFlag(), noBackupFlag(),
			&cli.BoolFlag{Name: "carry-data", Usage: "take what was written since along, back to the standby"},
			&cli.BoolFlag{Name: "discard-data", Usage: "leave what was written since behind; a backup is made first"}),
		Action: withPage(std, func(std stdio, c *cli.Context) error {
			if err := wantArgs(c, 0, 1); err != nil {
				return err
			}
			choice, err := choiceOf(c)
			if err != nil {
				return err
			}
			return rollback(c.Context, std, rollbackOptions{file: c.String("file"), version: c.Args().First(), json: c.Bool("json"),
				dryRun: c.Bool("dry-run"), viaOperator: c.Bool("via-operator"), noBackup: c.Bool("no-backup"), choice: choice})
		}),
	}
}

type rollbackOptions struct {
	file, version             string
	json, dryRun, viaOperator bool
	noBackup                  bool
	choice                    release.DataChoice // "": not decided
}

func choiceOf(c *cli.Context) (release.DataChoice, error) {
	carry, discard := c.Bool("carry-data"), c.Bool("discard-data")
	switch {
	case carry && discard:
		return "", &usageError{"--carry-data takes the data along, and --discard-data does not", "leave one of them out"}
	case carry:
		return release.Carry, nil
	case discard:
		return release.Discard, nil
	}
	return "", nil
}

func rollback(ctx context.Context, std stdio, opts rollbackOptions) error {
	if !opts.dryRun {
		std.crier.begins("rollback", opts.version)
	}
	p, err := loadQuietly(opts.file)
	if err != nil {
		return err
	}
	std.crier.reads(p)
	o, err := operator(std, !opts.dryRun)
	if err != nil {
		return err
	}
	site := siteOf(p, nil)
	w, err := o.SurveyAround(ctx, site)
	if err != nil {
		return err
	}
	if opts.dryRun && site.State {
		o.Login, _ = login(std) // without one nobody asks how much was written
	}
	defer o.Login.Close()
	data, err := rollbackData(ctx, std, o, p, w, opts)
	if err != nil {
		return err
	}
	if opts.dryRun && undecided(data) && site.State {
		return showBoth(ctx, std, o, site, w, data, opts)
	}
	return rollbackWith(ctx, std, o, p, site, w, data, opts)
}

func rollbackWith(ctx context.Context, std stdio, o *release.Operator, p *profiles.Profile, site release.Site, w *release.World, data release.Data, opts rollbackOptions) error {
	o.ViaOperator = opts.viaOperator
	if !opts.dryRun {
		o.By, o.RunHook = author(ctx, std, p.Dir), hooksIn(ctx, p.Dir)
	}
	plan, err := release.PlanRollback(site, w, opts.version, data)
	if err != nil {
		return err
	}
	return carryOut(ctx, std, o, plan, nil, plan.Notices(), opts.json, opts.dryRun)
}

// showBoth prints what either decision would do.
func showBoth(ctx context.Context, std stdio, o *release.Operator, site release.Site, w *release.World, data release.Data, opts rollbackOptions) error {
	for _, choice := range []release.DataChoice{release.Carry, release.Discard} {
		data.Choice = choice
		plan, err := release.PlanRollback(site, w, opts.version, data)
		var refused *release.Preflight
		if choice == release.Discard && errors.As(err, &refused) {
			return say(planWriter(std, opts.json), "--discard-data would be refused: "+refused.Error()+"\n")
		}
		if err != nil {
			return err
		}
		notices := append(plan.Notices(), "these are the steps of cattle rollback --"+string(choice)+"-data; "+writtenText(data.Writes))
		if err := carryOut(ctx, std, o, plan, nil, notices, opts.json, true); err != nil {
			return err
		}
	}
	return nil
}

// writtenText says how much the live droplet has written, and since when.
func writtenText(w *droplets.Writes) string {
	if w == nil {
		return "how much the live droplet has written since it went live is not known"
	}
	text := "the live droplet has accepted " + count(int(w.Total), "write")
	if since := w.SinceTime(); !since.IsZero() {
		text += " since " + since.Format(minutes)
	}
	return text
}

// askChoice asks for the decision. No answer, but a line, is the suggestion.
func askChoice(ctx context.Context, std stdio, w *droplets.Writes) (release.DataChoice, error) {
	fmt.Fprintf(std.err, "%s.\nType carry to take them back to the standby, or discard to leave them behind, with a backup first [carry]: ", writtenText(w))
	typed, err := typedLine(ctx, std)
	switch {
	case err != nil:
		return "", err
	case typed == "", typed == string(release.Carry):
		return release.Carry, nil
	case typed == string(release.Discard):
		return release.Discard, nil
	}
	return "", &usageError{"not decided; nothing was moved", "cattle rollback --carry-data, or cattle rollback --discard-data"}
}
