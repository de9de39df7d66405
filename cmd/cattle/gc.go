package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
	"cattle/droplets/release"
)

func gcCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "gc", Usage: "destroy what nothing needs: left-over candidates, standbys whose time is up", OnUsageError: usage,
		Description: "    cattle gc --dry-run\n" +
			"    cattle gc --yes\n" +
			"    cattle gc --standbys --yes  # they bill too",
		Flags: append(executeFlags(), yesFlag(),
			&cli.BoolFlag{Name: "standbys", Usage: "destroy every standby too: there is no rollback afterwards"},
			&cli.StringFlag{Name: "attempt", Usage: "destroy the candidate of this `ATTEMPT`, though it may still be under way"}),
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
	o, site, w, err := survey(ctx, std, file, false)
	if err != nil {
		return err
	}
	if err := knownAttempt(w, opts.Attempt); err != nil {
		return err
	}
	g := release.PlanGC(site, w, opts.GCOptions)
	if opts.Standbys && len(g.Items) > 0 && !opts.dryRun {
		if err := confirmed(ctx, std, opts.yes, "yes", "this ends every standby"); err != nil {
			return err
		}
	}
	if err := printGarbage(std, g, w, opts); err != nil || opts.dryRun {
		return err
	}
	std.remedy.is("cattle gc")
	if err := loginForVolumes(std, o, w); err != nil {
		return err
	}
	if err := loginForMail(std, o, g); err != nil {
		return err
	}
	defer o.Login.Close()
	silent := adopt(ctx, std, o, w, g)
	err = errors.Join(silent, returnVolumes(ctx, std, o, w, g), o.Collect(ctx, g))
	for _, news := range g.News {
		fmt.Fprintln(std.err, "cattle: "+news)
	}
	return err
}

// loginForMail finds the operator's SSH key where a standby ends that may have
// mail left. Without a key, that goes with it.
func loginForMail(std stdio, o *release.Operator, g *release.Garbage) (err error) {
	served := func(it release.GarbageItem) bool { return it.Served() }
	if g.Site.Mail && o.Login == nil && slices.ContainsFunc(g.Items, served) {
		if o.Login, err = login(std); errors.Is(err, droplets.ErrNoSSHKey) {
			return nil
		}
	}
	return err
}

// knownAttempt refuses an attempt that no candidate is of: a mistyped one would
// look like success while the candidate bills on.
func knownAttempt(w *release.World, attempt string) error {
	if attempt == "" {
		return nil
	}
	if w.Live != nil && w.Live.Birth.Attempt == attempt {
		return nil // it was switched to in the meantime
	}
	hint := "there is no candidate at all; cattle status shows what there is"
	for _, m := range slices.Concat(w.Candidates, w.Baking, w.Orphans) {
		if m.Birth.Attempt == attempt {
			return nil
		}
		hint = "cattle gc --attempt " + m.Birth.Attempt
	}
	return &usageError{"no candidate is of the attempt " + attempt, hint}
}

func printGarbage(std stdio, g *release.Garbage, w *release.World, opts gcOptions) error {
	var b strings.Builder
	for _, it := range g.Items {
		if opts.json {
			writeJSON(&b, map[string]any{"message_type": "garbage", "droplet": it.ID, "name": it.Name, "release": it.Birth.Release, "why": it.Why, "dry_run": opts.dryRun})
			continue
		}
		verb := "destroying"
		if opts.dryRun {
			verb = "would destroy"
		}
		fmt.Fprintf(&b, "%s droplet %d %s: %s\n", verb, it.ID, it.Name, it.Why)
	}
	if opts.json {
		writeJSON(&b, map[string]any{"message_type": "result", "verb": "gc", "garbage": len(g.Items), "dry_run": opts.dryRun})
		return say(std.out, b.String())
	}
	if w.Live != nil && w.Live.Birth.Attempt == opts.Attempt && opts.Attempt != "" {
		fmt.Fprintf(&b, "spared: %s is live\n", w.Live.Name)
	}
	for _, m := range w.Candidates {
		if m.Birth.Attempt != opts.Attempt {
			fmt.Fprintf(&b, "spared: %s is under way until %s; if nobody is at it any more: cattle gc --attempt %s\n",
				m.Name, m.Birth.Lease.UTC().Format(time.TimeOnly+" MST"), m.Birth.Attempt)
		}
	}
	if m := g.Undecided; m != nil {
		fmt.Fprintf(&b, "spared: the release of %s may still be taken back; all else is left as it is until %s\n", m.Name, g.Until.UTC().Format(time.TimeOnly+" MST"))
	}
	for _, m := range w.Baking {
		if m.Birth.Attempt != opts.Attempt {
			fmt.Fprintf(&b, "spared: %s is being baked until %s at the latest; if nobody is at it any more: cattle gc --attempt %s\n",
				m.Name, m.Birth.Lease.UTC().Format(time.TimeOnly+" MST"), m.Birth.Attempt)
		}
	}
	b.WriteString(straysText(g, w, opts.dryRun))
	for _, s := range w.Snapshots {
		if why := w.Fits(g.Site, s); why != "" {
			fmt.Fprintf(&b, "spared: no release begins from the snapshot %s any more: %s; to end it: cattle bake --delete\n", s.Name, why)
		}
	}
	for _, m := range w.Unknown {
		fmt.Fprintf(&b, "spared: the tags of %s were edited; to end it: doctl compute droplet delete %d\n", m.Name, m.ID)
	}
	if len(g.Items) == 0 {
		b.WriteString("nothing to destroy\n")
	}
	return say(std.out, b.String())
}

// adopt finishes a release that died between the switch and its mark: if its
// droplet serves, it is marked as one that may be a standby later.
func adopt(ctx context.Context, std stdio, o *release.Operator, w *release.World, g *release.Garbage) error {
	live := g.Unmarked
	if live == nil {
		return nil
	}
	v, err := o.Adopt(ctx, g)
	switch {
	case !v.Serving:
		fmt.Fprintf(std.err, "%s was switched to by a release that did not end, and does not serve: standbys are spared\n", live.Name)
		return &notServing{g.Site.App, v.Err, w, nil, ""}
	case err != nil:
		return err
	}
	fmt.Fprintf(std.err, "%s was switched to by a release that did not end; it serves, and is marked as live now\n", live.Name)
	return nil
}
