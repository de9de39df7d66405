package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"cattle/droplets/release"
)

func rollbackCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "rollback", Usage: "check the standby and move the reserved IP back to it",
		Description: "    cattle rollback\n" +
			"    cattle rollback --dry-run\n" +
			"    cattle rollback v1.1.0  # to the standby of that release",
		ArgsUsage: "[VERSION]", OnUsageError: usage, Flags: append(executeFlags(), reportFlag()),
		Action: withPage(std, func(std stdio, c *cli.Context) error {
			if err := wantArgs(c, 0, 1); err != nil {
				return err
			}
			return rollback(c.Context, std, c.String("file"), c.Args().First(), c.Bool("json"), c.Bool("dry-run"))
		}),
	}
}

func rollback(ctx context.Context, std stdio, file, version string, asJSON, dryRun bool) error {
	if !dryRun {
		std.crier.begins("rollback", version)
	}
	p, err := loadQuietly(file)
	if err != nil {
		return err
	}
	std.crier.reads(p)
	o, err := operator(std, !dryRun)
	if err != nil {
		return err
	}
	defer o.Login.Close()
	site := siteOf(p, nil)
	w, err := o.SurveyAround(ctx, site)
	if err != nil {
		return err
	}
	if !dryRun {
		o.By, o.RunHook = author(ctx, std, p.Dir), hooksIn(ctx, p.Dir)
	}
	plan, err := release.PlanRollback(site, w, version, release.Data{})
	if err != nil {
		return err
	}
	return carryOut(ctx, std, o, plan, nil, plan.Notices(), asJSON, dryRun)
}
