package main

import (
	"context"
	"errors"
	"io"

	"github.com/urfave/cli/v2"

	"cattle/droplets/release"
	"cattle/profiles"
)

func executeFlags() []cli.Flag {
	return []cli.Flag{fileFlag(), jsonFlag(), &cli.BoolFlag{Name: "dry-run", Usage: "print the plan and do nothing"}}
}

func keepFailedFlag() cli.Flag {
	return &cli.BoolFlag{Name: "keep-failed", Usage: "leave a refused droplet running, to look at it"}
}

func noHandoffFlag() cli.Flag {
	return &cli.BoolFlag{Name: "no-handoff", Usage: "ask for new certificates; for when the live droplet cannot be reached"}
}

func spendFlag() cli.Flag {
	return &cli.BoolFlag{Name: "spend-certificate", Usage: "ask for a certificate though five of a week were issued for the same names"}
}

func noSnapshotFlag() cli.Flag {
	return &cli.BoolFlag{Name: "no-snapshot", Usage: "install everything anew, though a snapshot of cattle bake would fit"}
}

func releaseCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "release", Usage: "put a version on a fresh droplet and move the reserved IP to it",
		Description: "    cattle release v1.2.0\n" +
			"    cattle release --build v1.2.0      # the images first\n" +
			"    cattle release --report v1.2.0.html v1.2.0\n" +
			"    cattle release --plan v1.2.0.plan  # what was planned, or nothing\n" +
			"    cattle release --restore v1.2.0    # the live droplet is lost: with the data of the newest backup",
		ArgsUsage: "VERSION", OnUsageError: usage, Flags: append(append(executeFlags(), dataFlags()...), reportFlag(), keepFailedFlag(), noHandoffFlag(), spendFlag(), noSnapshotFlag(), buildFlag(),
			&cli.StringFlag{Name: "plan", Usage: "carry out the plan in this `FILE` of cattle plan --out, or refuse where it does not hold any more"}),
		Action: withPage(std, func(std stdio, c *cli.Context) error {
			opts := releaseOptions{
				verb: "release", file: c.String("file"), version: c.Args().First(), pins: noPins,
				json: c.Bool("json"), dryRun: c.Bool("dry-run"), keepFailed: c.Bool("keep-failed"), noHandoff: c.Bool("no-handoff"),
				noSnapshot: c.Bool("no-snapshot"), build: c.Bool("build"), spend: c.Bool("spend-certificate"), planPath: c.String("plan"), data: dataOptionsOf(c),
			}
			if opts.planPath != "" {
				return releasePlan(c, std, opts)
			}
			if err := wantArgs(c, 1, 1); err != nil {
				return err
			}
			return releaseVersion(c.Context, std, opts)
		}),
	}
}

type releaseOptions struct {
	verb, file, version                 string
	json, dryRun, keepFailed, noHandoff bool
	noSnapshot, build, spend            bool
	data                                dataOptions
	built                               *built // what --build made
	pins                                pinSource
	notices                             []string // to be told with the plan
	out                                 string   // where the plan is to be kept; "": nowhere
	plan                                *planFile
	planPath                            string // of plan, which is the one that is carried out
}

// releaseVersion is release, rebuild and plan: prepare, plan, print, execute.
func releaseVersion(ctx context.Context, std stdio, opts releaseOptions) error {
	if err := validVersion(opts.version); err != nil {
		return err
	}
	if !opts.dryRun {
		std.crier.begins(opts.verb, opts.version)
	}
	p, o, err := begin(std, opts.file, opts.json, !opts.dryRun)
	if err != nil {
		return err
	}
	defer o.Login.Close()
	if opts.build {
		if opts.built, err = buildImages(ctx, std, p, opts); err != nil {
			return err
		}
		defer opts.built.Close()
		opts.notices = append(opts.notices, opts.built.notices...)
	}
	return releaseLoaded(ctx, std, o, p, opts)
}

func releaseLoaded(ctx context.Context, std stdio, o *release.Operator, p *profiles.Profile, opts releaseOptions) error {
	if err := opts.data.holds(p); err != nil {
		return err
	}
	tryGuard, err := guardOf(std, o, p, opts)
	if err != nil {
		return err
	}
	id, err := newIdentity()
	if err != nil {
		return err
	}
	ready, err := prepare(ctx, o, p, id, opts)
	if err != nil {
		return err
	}
	ready.notices = append(opts.notices, ready.notices...)
	if err := tryGuard(ctx, ready.world); err != nil {
		return err
	}
	if p.Release.Guard && opts.noHandoff {
		ready.notices = append(ready.notices, "this release is not guarded: --no-handoff says that the live droplet cannot be reached")
	}
	ready.candidate.NoHandoff, ready.candidate.NoSnapshot, ready.candidate.SpendCertificate = opts.noHandoff, opts.noSnapshot, opts.spend
	opts.data.apply(o, ready.candidate)
	asked := ready.askLive(ctx, std, o)
	plan, err := release.PlanRelease(opts.verb, ready.site, ready.world, ready.candidate)
	if err != nil {
		return err
	}
	if err := keepOrCheck(ctx, o, plan, ready, p, opts); err != nil {
		return err
	}
	o.KeepFailed = opts.keepFailed
	if !opts.dryRun {
		o.By, o.RunHook = author(ctx, std, p.Dir), hooksIn(ctx, p.Dir)
	}
	differs := ready.differences(asked)
	if len(p.State) > 0 {
		within := p.Release.MaxFreeze
		if ready.world.Live == nil || opts.noHandoff {
			within = 0
		}
		ready.notices = append(ready.notices, dataNotice(ready.candidate.Manifest.State, ready.carriedLast, within))
	}
	return carryOut(ctx, std, o, plan, differs, ready.notices, opts.json, opts.dryRun)
}

// carryOut prints the plan and executes the very same one.
func carryOut(ctx context.Context, std stdio, o *release.Operator, plan *release.Plan, differs *difference, notices []string, asJSON, dryRun bool) error {
	if dryRun {
		return printPlan(std.out, std.columns(), plan, differs, notices, asJSON)
	}
	// A reader that went away stops no release.
	_ = printPlan(planWriter(std, asJSON), std.columns(), plan, differs, notices, asJSON)
	std.record.Planned(plan, differs.rows(), notices)
	out := newPrinter(std, plan, asJSON)
	o.Emit = func(e release.Event) {
		if command, begun := plan.Remedy(e); begun {
			std.remedy.is(command)
		}
		out.event(e)
		std.record.Happened(e)
	}
	report, err := o.Execute(ctx, plan)
	out.close()
	std.record.Came(report)
	var incomplete *release.Incomplete
	if err != nil && !errors.As(err, &incomplete) {
		return err
	}
	std.crier.came(report, o.By)
	return errors.Join(printReport(std.out, report, asJSON), err)
}

// planWriter is where the plan of a run goes: it is progress, not the result.
func planWriter(std stdio, asJSON bool) io.Writer {
	if asJSON {
		return std.out
	}
	return std.err
}
