package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/profiles"
)

// A plan file keeps what a plan was made against, so that the release that was
// looked at is the one that is carried out, or none. It has no secret and no
// user-data; whoever releases renders anew and compares.

// planFormat is the form of plan files; another one is refused.
const planFormat = "cattle-plan-1"

type planFile struct {
	Format     string            `json:"format"`
	App        string            `json:"app"`
	Release    string            `json:"release"`
	At         time.Time         `json:"at"`
	NoHandoff  bool              `json:"no_handoff,omitempty"`
	NoSnapshot bool              `json:"no_snapshot,omitempty"`
	Restore    string            `json:"restore,omitempty"`
	Empty      bool              `json:"empty,omitempty"`
	NoBackup   bool              `json:"no_backup,omitempty"`
	Live       *planDroplet      `json:"live"` // null: nothing was
	Standbys   []planDroplet     `json:"standbys"`
	IP         string            `json:"reserved_ip"`
	Profile    string            `json:"profile"` // SHA-256 of its lines and files
	Secrets    string            `json:"secrets"` // SHA-256 of the sealed file
	Machine    string            `json:"machine"` // digest of what user-data describes
	Images     map[string]string `json:"images"`  // reference to digest: these are released
	Snapshot   int               `json:"snapshot"`
	Cost       costJSON          `json:"cost"`
	Steps      []string          `json:"steps"`
	// Sum is the SHA-256 of the file without it: it tells a file that was edited.
	Sum string `json:"sum,omitempty"`
}

type planDroplet struct {
	ID      int    `json:"droplet"`
	Release string `json:"release"`
	Attempt string `json:"attempt"`
}

func (d *planDroplet) String() string {
	if d == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s on droplet %d, attempt %s", orNone(d.Release), d.ID, orNone(d.Attempt))
}

func droplet(m release.Member) planDroplet {
	return planDroplet{m.ID, m.Birth.Release, m.Birth.Attempt}
}

// planFileOf keeps a plan.
func planFileOf(plan *release.Plan, ready *prepared, p *profiles.Profile, opts releaseOptions) (*planFile, error) {
	made := ready.candidate.Manifest
	f := &planFile{Format: planFormat, App: p.App, Release: plan.Release, At: plan.World.Now.UTC().Truncate(time.Second),
		NoHandoff: opts.noHandoff, NoSnapshot: opts.noSnapshot, Restore: opts.data.restore, Empty: opts.data.empty, NoBackup: opts.data.noBackup, Standbys: []planDroplet{}, IP: plan.World.Reserved.IP,
		Profile: digestOf(asLine([]any{made.Profile, made.Files})), Machine: ready.candidate.Digest, Images: ready.pins, Cost: costJSON(plan.Cost)}
	if plan.World.Live != nil {
		live := droplet(*plan.World.Live)
		f.Live = &live
	}
	for _, m := range plan.World.Standbys {
		f.Standbys = append(f.Standbys, droplet(m))
	}
	if plan.Base != nil {
		f.Snapshot = plan.Base.ID
	}
	for _, s := range plan.Steps {
		f.Steps = append(f.Steps, s.Name)
	}
	if p.Secrets.File != "" {
		text, err := profiles.ReadFile(p.Secrets.File)
		if err != nil {
			return nil, err
		}
		f.Secrets = digestOf(text)
	}
	return f, nil
}

func asLine(v any) []byte {
	text, _ := json.Marshal(v) // of strings, numbers and their lists
	return text
}

// sum is the checksum of all but itself.
func (f planFile) sum() string {
	f.Sum = ""
	return digestOf(asLine(f))
}

// write puts the file down, for its owner alone.
func (f planFile) write(path string) error {
	f.Sum = f.sum()
	text, err := json.MarshalIndent(f, "", "  ")
	if err == nil {
		err = replace(path, func(w io.Writer) error {
			_, err := w.Write(append(text, '\n'))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("keep the plan in %s: %w", path, err)
	}
	return nil
}

// readPlanFile reads what write wrote, and refuses anything else.
func readPlanFile(path string) (*planFile, error) {
	text, err := profiles.ReadFile(path)
	if err != nil {
		return nil, &usageError{"--plan: " + err.Error(), "cattle plan --out plan.json VERSION"}
	}
	var f planFile
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	switch err := in.Decode(&f); {
	case err != nil || f.Format != planFormat:
		return nil, &usageError{path + " is no plan of this cattle", "make it anew: cattle plan --out " + path + " VERSION"}
	case f.Sum != f.sum():
		return nil, &usageError{path + " was edited since cattle wrote it", "make it anew: cattle plan --out " + path + " " + droplets.Line(f.Release)}
	}
	return &f, nil
}

// planStale is the refusal of a release whose plan does not hold any more.
type planStale struct {
	path, release, serving string
	changed                []string
}

func (e *planStale) Error() string {
	return e.path + " does not hold any more: " + strings.Join(e.changed, "; ")
}

func (e *planStale) failures() []failure {
	out := []failure{{Code: "plan-stale", Msg: notReleased(e.serving) + ": " + e.path + " does not hold any more"}}
	for _, what := range e.changed {
		out = append(out, failure{Code: "plan-stale", Msg: "changed: " + what})
	}
	out[len(out)-1].Hint = "look at it anew: cattle plan --out " + e.path + " " + e.release
	return out
}

// holds refuses where the world is not as the plan has it. moved are images
// whose tags stand for other bytes by now.
func (f *planFile) holds(now *planFile, moved map[string]string) []string {
	var changed []string
	is := now.facts()
	for i, was := range f.facts() {
		if was.value != is[i].value {
			changed = append(changed, fmt.Sprintf("%s: %s → %s", was.name, was.value, is[i].value))
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(moved)) {
		changed = append(changed, fmt.Sprintf("the image %s: %s → %s", ref, shortDigest(f.Images[ref]), shortDigest(moved[ref])))
	}
	return changed
}

type fact struct{ name, value string }

// facts are all that has to be the same when the plan is carried out.
func (f *planFile) facts() []fact {
	var standbys []string
	for _, s := range f.Standbys {
		standbys = append(standbys, fmt.Sprint(s.ID))
	}
	slices.Sort(standbys)
	short := func(digest string) string { return orNone(digest[:min(12, len(digest))]) }
	return []fact{
		{"what is live", f.Live.String()}, {"the standbys", orNone(strings.Join(standbys, ", "))}, {"the reserved IP", orNone(f.IP)},
		{"the profile", short(f.Profile)}, {"the secrets", short(f.Secrets)}, {"the machine", short(f.Machine)},
		{"the snapshot", fmt.Sprint(f.Snapshot)}, {"the steps", strings.Join(f.Steps, ", ")}, {"the price", cost(release.Cost(f.Cost))},
	}
}

// movedImages asks registries again for what the plan has pinned. One that does
// not tell changes nothing: the plan's digests are what is released.
func movedImages(ctx context.Context, o *release.Operator, planned map[string]string) map[string]string {
	var mu sync.Mutex
	var wg sync.WaitGroup
	moved := map[string]string{}
	for ref, digest := range planned {
		wg.Go(func() {
			now, err := droplets.ResolveImage(ctx, o.Dialer, ref)
			if err != nil || now == digest {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			moved[ref] = now
		})
	}
	wg.Wait()
	return moved
}

// pins are the plan's digests: no tag is asked what it stands for now.
func (f *planFile) pins(context.Context, *release.World) (map[string]string, error) {
	return f.Images, nil
}

// releasePlan releases what a plan file says, and as it says.
func releasePlan(c *cli.Context, std stdio, opts releaseOptions) (err error) {
	said := opts.data
	if said.viaOperator = false; c.Args().Present() || opts.noHandoff || opts.noSnapshot || opts.build || said != (dataOptions{}) {
		return &usageError{"the plan says what is released, and how", "cattle release --plan " + opts.planPath}
	}
	if opts.plan, err = readPlanFile(opts.planPath); err != nil {
		return err
	}
	opts.version, opts.pins = opts.plan.Release, opts.plan.pins
	opts.noHandoff, opts.noSnapshot = opts.plan.NoHandoff, opts.plan.NoSnapshot
	opts.data.restore, opts.data.empty, opts.data.noBackup = opts.plan.Restore, opts.plan.Empty, opts.plan.NoBackup
	return releaseVersion(c.Context, std, opts)
}

// keepOrCheck writes the plan file that is asked for, and holds the plan against
// the one that is given.
func keepOrCheck(ctx context.Context, o *release.Operator, plan *release.Plan, ready *prepared, p *profiles.Profile, opts releaseOptions) error {
	if opts.out == "" && opts.plan == nil {
		return nil
	}
	f, err := planFileOf(plan, ready, p, opts)
	switch {
	case err != nil:
		return err
	case opts.plan != nil && opts.plan.App != p.App:
		return &usageError{opts.planPath + " is a plan for " + opts.plan.App + ", and the profile is " + p.App + "'s", "name the other profile with --file"}
	case opts.plan != nil:
		return opts.plan.check(ctx, o, f, opts.planPath)
	}
	return f.write(opts.out)
}

// check refuses, before anything is made, a plan that does not hold any more.
func (f *planFile) check(ctx context.Context, o *release.Operator, now *planFile, path string) error {
	changed := f.holds(now, movedImages(ctx, o, f.Images))
	if len(changed) == 0 {
		return nil
	}
	stale := &planStale{path: path, release: f.Release, changed: changed}
	if now.Live != nil {
		stale.serving = now.Live.Release
	}
	return stale
}
