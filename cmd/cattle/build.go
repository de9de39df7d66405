package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/cmd/cattle/builder"
	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/profiles"
)

func buildFlag() cli.Flag {
	return &cli.BoolFlag{Name: "build", Usage: "build the images here, with docker or podman, and push them or bring them to the droplet"}
}

// built are images that this computer has made for a release. Close it when done.
type built struct {
	orders  []profiles.Order
	digests map[string]string // of those that were pushed
	images  *release.Images   // those that are to be brought; nil: none
	folder  string            // for what is packed
	planned bool              // nothing was built: a plan alone is wanted
	notices []string
}

func (b *built) Close() {
	if b != nil && b.folder != "" {
		os.RemoveAll(b.folder)
	}
}

// refs are those that are built.
func (b *built) refs() (out []string) {
	if b != nil {
		for _, o := range b.orders {
			out = append(out, o.Ref)
		}
	}
	return out
}

// buildImages makes what the profile says, and pushes or packs it. With dryRun
// it only says so.
func buildImages(ctx context.Context, std stdio, p *profiles.Profile, opts releaseOptions) (*built, error) {
	if opts.out != "" {
		return nil, &usageError{"a plan that is kept names its images' digests, and what is not built has none",
			"cattle release --build " + opts.version + ", or push the images and cattle plan --out " + opts.out + " " + opts.version}
	}
	orders, err := p.Orders(ctx, opts.version)
	if err != nil {
		return nil, err
	}
	if len(orders) == 0 {
		return nil, &usageError{"there is nothing to build: neither the profile nor a compose file says build", "write build: {context: .} into the profile, beside image"}
	}
	tool, err := builder.Find(ctx, std.env("CATTLE_BUILDER"))
	if err != nil {
		return nil, err
	}
	b := &built{orders: orders, digests: map[string]string{}, planned: opts.dryRun, notices: gitNotes(ctx, orders, opts.version)}
	if b.planned {
		return b, b.plan(p, tool)
	}
	if err := tool.Ping(ctx); err != nil {
		return nil, err
	}
	if b.folder, err = os.MkdirTemp("", "cattle-build-"); err != nil {
		return nil, err
	}
	if err := b.make(ctx, std, p, tool, opts.json); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// notBuilt stands for the id of an image that a plan would have built.
const notBuilt = "not built"

// plan says what would be built.
func (b *built) plan(p *profiles.Profile, tool *builder.Tool) error {
	way := "push it"
	if p.Via() == profiles.ViaSSH {
		way = "bring it to the droplet over SSH"
		b.images = &release.Images{IDs: map[string]string{}, From: "this computer"}
	}
	for _, o := range b.orders {
		if b.images != nil {
			b.images.IDs[o.Ref] = notBuilt
		}
		b.notices = append(b.notices, fmt.Sprintf("would build %s from %s with %s, and %s", o.Ref, shown(p, o), tool.Name, way))
	}
	return nil
}

// shown is the context as it is found from the profile.
func shown(p *profiles.Profile, o profiles.Order) string {
	if from, err := filepath.Rel(p.Dir, o.Context); err == nil {
		return from
	}
	return o.Context
}

// make builds, and pushes or packs, and shows it as the steps of a release are.
func (b *built) make(ctx context.Context, std stdio, p *profiles.Profile, tool *builder.Tool, asJSON bool) error {
	var steps buildSteps
	for _, o := range b.orders {
		steps.add("build", fmt.Sprintf("%s from %s, with %s", o.Ref, shown(p, o), tool.Name), func(ctx context.Context) error { return tool.Build(ctx, o) })
	}
	if p.Via() == profiles.ViaSSH {
		steps.add("pack", "for the way to the droplet", func(ctx context.Context) error { return b.pack(ctx, tool) })
	} else {
		for _, o := range b.orders {
			steps.add("push", o.Ref, func(ctx context.Context) (err error) {
				b.digests[o.Ref], err = tool.Push(ctx, o.Ref, b.folder)
				return err
			})
		}
	}
	out := newPrinter(std, &release.Plan{Steps: steps.plan()}, asJSON)
	defer out.close()
	return steps.run(ctx, tool, out)
}

func (b *built) pack(ctx context.Context, tool *builder.Tool) error {
	a, err := tool.Pack(ctx, b.refs(), b.folder)
	if err != nil {
		return err
	}
	b.images = &release.Images{IDs: a.IDs, Size: a.Size, From: "this computer", Send: func(_ context.Context, to io.Writer) error {
		f, err := os.Open(a.Path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(to, f)
		return err
	}}
	return nil
}

// buildSteps are what is done before there is a plan, in its form.
type buildSteps []buildStep

type buildStep struct {
	name, title string
	do          func(context.Context) error
}

func (s *buildSteps) add(name, title string, do func(context.Context) error) {
	*s = append(*s, buildStep{name, title, do})
}

func (s buildSteps) plan() (out []release.Step) {
	for _, step := range s {
		out = append(out, release.Step{Name: step.name, Title: step.title})
	}
	return out
}

func (s buildSteps) run(ctx context.Context, tool *builder.Tool, out printer) error {
	for _, step := range s {
		event := func(e release.Event) {
			e.Time, e.Step = time.Now(), step.name
			out.event(e)
		}
		tool.Tell = func(line string) {
			event(release.Event{Kind: release.KindBuild, State: release.StateRunning, Text: line})
		}
		began := time.Now()
		event(release.Event{Kind: release.KindStep, State: release.StateRunning, Text: step.title})
		err := step.do(ctx)
		if err != nil {
			event(release.Event{Kind: release.KindStep, State: release.StateFailed, Text: err.Error(), Elapsed: time.Since(began)})
			return err
		}
		event(release.Event{Kind: release.KindStep, State: release.StateOK, Text: step.title, Elapsed: time.Since(began)})
	}
	return nil
}

// gitNotes say of each context what of it no commit or no tag has: nobody could
// make that image again. It is no fault.
func gitNotes(ctx context.Context, orders []profiles.Order, version string) (notes []string) {
	var seen []string
	for _, o := range orders {
		if slices.Contains(seen, o.Context) {
			continue
		}
		seen = append(seen, o.Context)
		commit, dirty := gitState(ctx, o.Context)
		switch {
		case commit == "":
		case dirty:
			notes = append(notes, fmt.Sprintf("%s is built from %s, where changes are not committed", o.Ref, o.Context))
		case gitOutput(ctx, o.Context, "tag", "--points-at", "HEAD") == "":
			notes = append(notes, fmt.Sprintf("%s is built from commit %s, which has no tag: git tag %s", o.Ref, commit[:min(12, len(commit))], version))
		}
	}
	return notes
}

// broughtTo finds the images that the operator brings to the candidate: those
// that were built just now, or, for the release that is live, the live droplet's.
func broughtTo(ctx context.Context, o *release.Operator, w *release.World, p *profiles.Profile, refs []string, opts releaseOptions) (*release.Images, error) {
	if opts.built != nil {
		return opts.built.images, nil
	}
	orders, err := p.Orders(ctx, opts.version)
	over := err == nil && len(orders) > 0 && p.Via() == profiles.ViaSSH
	if !over && opts.verb != "rebuild" {
		return nil, nil
	}
	ids := map[string]string{}
	if w.Serving() == opts.version {
		if ids, err = brought(ctx, o, w, refs); err != nil && over {
			return nil, fmt.Errorf("the images of %s are on the live droplet: %w", opts.version, err)
		}
	}
	if over {
		if err := allBrought(orders, ids, w, opts.version); err != nil {
			return nil, err
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return o.LiveImages(w, ids), nil
}

// brought are the live droplet's, as far as this release has them too.
func brought(ctx context.Context, o *release.Operator, w *release.World, refs []string) (map[string]string, error) {
	ids, err := o.Brought(ctx, w)
	maps.DeleteFunc(ids, func(ref, _ string) bool { return !slices.Contains(refs, ref) })
	return ids, err
}

// allBrought refuses a release of images that nobody has.
func allBrought(orders []profiles.Order, ids map[string]string, w *release.World, version string) error {
	var faults []release.Fault
	for _, o := range orders {
		if ids[o.Ref] == "" {
			faults = append(faults, release.Fault{Input: true, Msg: "no registry and no live droplet has the image " + o.Ref, Hint: "cattle release --build " + version})
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return &release.Preflight{Faults: faults, Serving: w.Serving()}
}

// builderFailure is what to say of what the builder ran into, and the exit
// status: nothing was created yet. ok is false for any other error.
func builderFailure(err error) (code int, f failure, ok bool) {
	var (
		missing *builder.MissingError
		down    *builder.DownError
		build   *builder.BuildError
		push    *builder.PushError
	)
	f.Msg = err.Error() + "; nothing was created"
	switch {
	case errors.As(err, &build):
		f.Code = "build-failed"
		f.Tail, f.Hint = droplets.Printable(build.Tail), "what the builder said last is above; cattle release --build again once it is mended"
		return exitInput, f, true
	case errors.As(err, &missing):
		f.Code = "builder-missing"
		f.Hint = "apt-get install podman, or https://docs.docker.com/engine/install/"
	case errors.As(err, &down) && down.Denied():
		f.Code = "builder-down"
		f.Hint = "sudo usermod -aG docker $USER and log in anew, or CATTLE_BUILDER=podman"
	case errors.As(err, &down):
		f.Code = "builder-down"
		f.Hint = "systemctl start " + down.Tool + ", or the other one: CATTLE_BUILDER=podman"
	case errors.As(err, &push) && push.Denied:
		f.Code = "push-failed"
		f.Tail, f.Hint = droplets.Printable(push.Tail), push.Tool+" login "+push.Server
	case errors.As(err, &push):
		f.Code = "push-failed"
		f.Tail, f.Hint = droplets.Printable(push.Tail), push.Tool+" push "+push.Ref
	default:
		return 0, failure{}, false
	}
	return exitFailed, f, true
}
