package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"cattle/cloudinit"
	"cattle/droplets/release"
	"cattle/profiles"
)

func bakeCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "bake", Usage: "make a snapshot with packages and images ready, from which releases begin faster",
		ArgsUsage: "[VERSION]", OnUsageError: usage,
		Description: "The images are those of VERSION, by default of the live release. No secret and no identity is in a snapshot.\n\n" +
			"    cattle bake\n" +
			"    cattle bake v1.2.0\n" +
			"    cattle bake --delete",
		Flags: append(executeFlags(), keepFailedFlag(),
			&cli.BoolFlag{Name: "delete", Usage: "delete the app's snapshots instead"}),
		Action: func(c *cli.Context) error {
			most := 1
			if c.Bool("delete") {
				most = 0
			}
			if err := wantArgs(c, 0, most); err != nil {
				return err
			}
			opts := bakeOptions{file: c.String("file"), version: c.Args().First(), json: c.Bool("json"),
				dryRun: c.Bool("dry-run"), keepFailed: c.Bool("keep-failed")}
			if c.Bool("delete") {
				return deleteSnapshots(c.Context, std, opts)
			}
			return bake(c.Context, std, opts)
		},
	}
}

type bakeOptions struct {
	file, version            string
	json, dryRun, keepFailed bool
}

func bake(ctx context.Context, std stdio, opts bakeOptions) error {
	if opts.version != "" {
		if err := validVersion(opts.version); err != nil {
			return err
		}
	}
	// It logs in whatever the profile says of the key: that is how it is stripped.
	p, o, err := begin(std, opts.file, opts.json, !opts.dryRun)
	if err != nil {
		return err
	}
	defer o.Login.Close()
	site := siteOf(p, nil)
	w, err := o.SurveyRelease(ctx, site)
	if err != nil {
		return err
	}
	if opts.version == "" {
		opts.version = w.Serving()
	}
	c, notices, err := prepareBake(ctx, o, p, w, opts.version)
	if err != nil {
		return err
	}
	plan, err := release.PlanBake(site, w, c)
	if err != nil {
		return err
	}
	o.KeepFailed = opts.keepFailed
	return carryOut(ctx, std, o, plan, nil, append(notices, fmt.Sprintf("a snapshot bills $%.2f per GB and month", release.SnapshotPrice)), opts.json, opts.dryRun)
}

// prepareBake renders the droplet that becomes a snapshot. Without a version
// it gets packages alone.
func prepareBake(ctx context.Context, o *release.Operator, p *profiles.Profile, w *release.World, version string) (*release.Candidate, []string, error) {
	id, err := newIdentity()
	if err != nil {
		return nil, nil, err
	}
	in := cloudinit.Input{Profile: p, Stack: &profiles.Stack{}, Release: version, Attempt: id.attempt, Bake: true,
		HostKey: cloudinit.HostKey{Private: id.hostKey.Private, Public: id.hostKey.Public}}
	if in.SOPS, err = sopsFromEnv(); err != nil {
		return nil, nil, err
	}
	var notices []string
	if version != "" {
		if in.Stack, err = p.Stack(ctx, version, nil); err != nil {
			return nil, nil, err
		}
		if in.Stack.Images, err = pullable(ctx, p, version, in.Stack.Images); err != nil {
			return nil, nil, err
		}
		if in.Images, notices, err = pins(ctx, o, w, in.Stack.Images, noPins); err != nil {
			return nil, nil, err
		}
	}
	// Secrets go along for the registries' sake alone.
	if version != "" && len(p.Registry) > 0 {
		if in.Sealed, err = seal(p, id); err != nil {
			return nil, nil, err
		}
	}
	u, err := renderInput(p, in)
	if err != nil {
		return nil, nil, err
	}
	c := &release.Candidate{Release: version, Attempt: id.attempt, Digest: u.Digest(), HostKey: id.hostKey.Fingerprint, UserData: u.Bytes()}
	if in.Sealed != nil {
		c.Key = id.age.Key
	}
	return c, notices, nil
}

// pullable leaves out the images that no registry has, and each release brings.
func pullable(ctx context.Context, p *profiles.Profile, version string, refs []string) ([]string, error) {
	if p.Via() != profiles.ViaSSH {
		return refs, nil
	}
	orders, err := p.Orders(ctx, version)
	return slices.DeleteFunc(refs, func(ref string) bool {
		return slices.ContainsFunc(orders, func(o profiles.Order) bool { return o.Ref == ref })
	}), err
}

func bakeReport(r *release.Report) string {
	s, of := r.Snapshot, "packages"
	if r.Release != "" {
		of += " and the images of " + r.Release
	}
	return fmt.Sprintf("%s has the snapshot %s with %s, after %s\n", r.App, s.Name, of, seconds(r.Took)) +
		fmt.Sprintf("%.1f GB, $%.2f a month; releases of the next days begin from it\n", s.SizeGB, s.Monthly)
}

// deleteSnapshots is bake --delete. Nothing is lost that a bake does not make anew.
func deleteSnapshots(ctx context.Context, std stdio, opts bakeOptions) error {
	o, site, w, err := survey(ctx, std, opts.file, false)
	if err != nil {
		return err
	}
	if w.SnapshotsErr != nil {
		return w.SnapshotsErr
	}
	verb := "deleting"
	if opts.dryRun {
		verb = "would delete"
	}
	var b strings.Builder
	for _, s := range w.Snapshots {
		if opts.json {
			writeJSON(&b, map[string]any{"message_type": "doomed", "snapshot": s.ID, "name": s.Name, "dry_run": opts.dryRun})
			continue
		}
		fmt.Fprintf(&b, "%s the snapshot %d %s of %s\n", verb, s.ID, s.Name, s.Ago(w.Now))
	}
	if opts.json {
		writeJSON(&b, map[string]any{"message_type": "result", "verb": "bake", "deleted": len(w.Snapshots), "dry_run": opts.dryRun})
	} else if len(w.Snapshots) == 0 {
		b.WriteString("there is no snapshot to delete\n")
	}
	if err := say(std.out, b.String()); err != nil || opts.dryRun {
		return err
	}
	std.remedy.is("cattle bake --delete")
	return o.DeleteSnapshots(ctx, site, w.Snapshots)
}
