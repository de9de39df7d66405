package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"cattle/droplets/release"
)

func gcCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "gc", Usage: "destroy what nothing needs: left-over candidates, standbys whose time is up", OnUsageError: usage,
		Flags: append(executeFlags(), yesFlag(),
			&cli.BoolFlag{Name: "standbys", Usage: "destroy every standby too: there is no rollback afterwards"},
			&cli.StringFlag{Name: "attempt", Usage: "destroy the candidate of this attempt, though it may still be under way"}),
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			return gc(c.Context, std, c.String("file"), gcOptions{
				release.GCOptions{Standbys: c.Bool("standbys"), Attempt: c.String("attempt")}, c.Bool("json"), c.Bool("dry-run"), c.Bool("yes"),
			})
		},
	}
}

type gcOptions struct {
	release.GCOptions
	json, dryRun, yes bool
}

func gc(ctx context.Context, std stdio, file string, opts gcOptions) error {
	p, err := loadProfile(std, file)
	if err != nil {
		return err
	}
	o, err := operator(std, false)
	if err != nil {
		return err
	}
	site := siteOf(p, nil)
	w, err := o.Survey(ctx, site)
	if err != nil {
		return err
	}
	g := release.PlanGC(site, w, opts.GCOptions)
	if opts.Standbys && len(g.Items) > 0 && !opts.dryRun {
		if err := confirmed(std, opts.yes, "yes", "this ends every standby"); err != nil {
			return err
		}
	}
	printGarbage(std, g, opts)
	if opts.dryRun {
		return nil
	}
	if err := o.Collect(ctx, g); err != nil {
		return err
	}
	return adopt(ctx, std, o, site, w, g)
}

func printGarbage(std stdio, g *release.Garbage, opts gcOptions) {
	for _, it := range g.Items {
		if opts.json {
			writeJSON(std.out, map[string]any{"message_type": "garbage", "droplet": it.ID, "name": it.Name, "release": it.Birth.Release, "why": it.Why, "dry_run": opts.dryRun})
			continue
		}
		verb := "destroying"
		if opts.dryRun {
			verb = "would destroy"
		}
		fmt.Fprintf(std.out, "%s droplet %d %s: %s\n", verb, it.ID, it.Name, it.Why)
	}
	if len(g.Items) == 0 && !opts.json {
		fmt.Fprintln(std.out, "nothing to destroy")
	}
}

// adopt finishes a release that died between the switch and its mark: if its
// droplet serves, it is marked as one that may be a standby later.
func adopt(ctx context.Context, std stdio, o *release.Operator, site release.Site, w *release.World, g *release.Garbage) error {
	if g.Unmarked == nil {
		return nil
	}
	if v := o.Verify(ctx, site, w); !v.Serving {
		return &notServing{site.App, v.Err, w}
	}
	fmt.Fprintf(std.err, "%s was switched to by a release that did not end; it serves, and is marked as live now\n", g.Unmarked.Name)
	return o.Adopt(ctx, g.Unmarked)
}
