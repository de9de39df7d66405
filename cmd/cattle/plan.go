package main

import (
	"github.com/urfave/cli/v2"
)

func planCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "plan", Usage: "print what a release would do, change and cost",
		Description: "    cattle plan v1.2.0\n" +
			"    cattle plan --json v1.2.0\n" +
			"    cattle plan --out v1.2.0.plan v1.2.0  # for cattle release --plan v1.2.0.plan",
		ArgsUsage: "VERSION", OnUsageError: usage, Flags: append(dataFlags(), fileFlag(), jsonFlag(), noHandoffFlag(), spendFlag(), noSnapshotFlag(), buildFlag(),
			&cli.StringFlag{Name: "out", Usage: "keep the plan in this `FILE`, for cattle release --plan FILE"}),
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1); err != nil {
				return err
			}
			return releaseVersion(c.Context, std, releaseOptions{
				verb: "release", file: c.String("file"), version: c.Args().First(), pins: noPins,
				json: c.Bool("json"), dryRun: true, noHandoff: c.Bool("no-handoff"),
				noSnapshot: c.Bool("no-snapshot"), build: c.Bool("build"), spend: c.Bool("spend-certificate"), out: c.String("out"), data: dataOptionsOf(c),
			})
		},
	}
}
