package release_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

// disk is the site's volume.
func disk(b *simulation.Bench) sandbox.Attachable {
	b.T.Helper()
	all := b.Cloud.Snapshot().Volumes
	if len(all) != 1 {
		b.T.Fatalf("volumes: %+v", all)
	}
	return all[0]
}

// wantDisk wants the volume to be mounted on the live droplet, and never to have
// been torn off one.
func wantDisk(b *simulation.Bench) {
	b.T.Helper()
	if v, live := disk(b), b.Holder(); live == nil || v.Droplet != live.ID || !v.Mounted {
		b.T.Errorf("the volume is at droplet %d (mounted: %t), and %+v is live\n%s", v.Droplet, v.Mounted, live, b.History())
	}
	wantWhole(b)
}

func wantWhole(b *simulation.Bench) {
	b.T.Helper()
	for _, c := range b.Cloud.Changes() {
		if c.What == sandbox.Torn {
			b.T.Errorf("the volume %s was torn off droplet %d\n%s", c.Note, c.Droplet, b.History())
		}
	}
}

// onDisk puts v1 up, with two rows on its volume.
func onDisk(b *simulation.Bench) {
	b.T.Helper()
	simulation.Disked(b)
	b.Must("v1")
	mustPost(b, "1", "2")
	wantDisk(b)
}

// rollsBack goes back, to the newest standby.
func rollsBack(b *simulation.Bench, choice release.DataChoice) (*release.Report, error) {
	ctx := b.T.Context()
	w, err := b.Op.SurveyAround(ctx, b.Site)
	if err != nil {
		b.T.Fatal(err)
	}
	p, err := release.PlanRollback(b.Site, w, "", release.Data{Choice: choice, Kit: b.Candidate("v0").State})
	if err != nil {
		return nil, err
	}
	return b.Op.Execute(ctx, p)
}

// collects does what gc does.
func collects(b *simulation.Bench, attempt string) error {
	ctx := b.T.Context()
	w, err := b.Op.Survey(ctx, b.Site)
	if err != nil {
		b.T.Fatal(err)
	}
	g := release.PlanGC(b.Site, w, release.GCOptions{Attempt: attempt})
	if g.Unmarked != nil {
		b.Op.Adopt(ctx, g)
	}
	_, err = b.Op.Return(ctx, g)
	return errors.Join(err, b.Op.Collect(ctx, g))
}

// TestVolumeGoesAlong: what is on a volume is on the next droplet, by releases
// and rollbacks, without a copy.
func TestVolumeGoesAlong(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		simulation.Disked(b)
		first := b.Must("v1")
		if got := stepNames(first); !strings.HasPrefix(got, "volume create boot volumes start gate switch confirm open") {
			t.Errorf("steps of the first: %s", got)
		}
		mustPost(b, "1", "2")
		r := b.Must("v2")
		if got := stepNames(r); got != "create boot handoff copy freeze delta volumes start gate switch confirm open certificate retire record" {
			t.Errorf("steps: %s", got)
		}
		if d := r.Data; d == nil || d.Freeze <= 0 || d.Bytes != 0 {
			t.Errorf("report: %+v", d)
		} else {
			t.Logf("writes waited %s", d.Freeze)
		}
		wantDisk(b)
		wantRows(b, "1", "2")
		mustPost(b, "3")
		r, err := rollsBack(b, "")
		if err != nil {
			t.Fatalf("%v\n%s", err, b.History())
		}
		if got := stepNames(r); got != "reach handoff copy freeze delta volumes start gate switch confirm open certificate retire record" {
			t.Errorf("steps of the rollback: %s", got)
		}
		b.Expect("v1", "v1", "v2")
		wantDisk(b)
		wantRows(b, "1", "2", "3")
	})
}

// TestRefusedWithVolume breaks a release around the move: the old droplet has
// its volume back, takes writes, and nothing is torn.
func TestRefusedWithVolume(t *testing.T) {
	engine := func(verb, code string) func(*simulation.Bench) {
		return func(b *simulation.Bench) {
			f := sandbox.EngineFails(verb, code, "new", "it does not work")
			f.Count = 1
			b.Cloud.Fault(f)
		}
	}
	behaves := func(kind sandbox.Kind) func(*simulation.Bench) {
		return func(b *simulation.Bench) { b.Cloud.Break("v2", sandbox.Behaviour{Kind: kind}) }
	}
	for name, tt := range map[string]struct {
		spoil      func(*simulation.Bench)
		step, code string
	}{
		"busy":      {spoil: engine("part", "volume-busy"), step: "volumes", code: "state-volume-busy"},
		"join":      {spoil: engine("join", "volume-missing"), step: "volumes", code: "state-volume-missing"},
		"detach":    {spoil: orders("detach", sandbox.Fault{Status: 403}), step: "volumes"},
		"attach":    {spoil: orders("attach", sandbox.Fault{Status: 403}), step: "volumes"},
		"migration": {spoil: engine("migrate", "migrate"), step: "migrate", code: "migrate"},
		"start":     {spoil: engine("start", "engine"), step: "start", code: "state-engine"},
		"gate":      {spoil: behaves(sandbox.OpenPort), step: "gate", code: "port-open"},
		"confirm":   {spoil: behaves(sandbox.FailsLive), step: "confirm", code: "not-confirmed"},
	} {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				b.Site.Migrates = true
				onDisk(b)
				tt.spoil(b)
				_, err := b.Execute(b.T.Context(), b.Op, b.Candidate("v2"))
				var refused *release.Refused
				if !errors.As(err, &refused) || refused.Step != tt.step || refused.Code != tt.code || refused.Serving != "v1" || len(refused.Leftovers) > 0 {
					t.Fatalf("got %v: %+v\n%s", err, refused, b.History())
				}
				wantDisk(b)
				mustPost(b, "3")
				wantRows(b, "1", "2", "3")
				b.Expect("v1", "v1")
				b.Cloud.ClearFaults()
				b.Must("v3")
				wantDisk(b)
				wantRows(b, "1", "2", "3")
			})
		})
	}
}

// orders has each order of that type about a volume end as the fault says.
func orders(kind string, f sandbox.Fault) func(*simulation.Bench) {
	return func(b *simulation.Bench) {
		f.Method, f.Path, f.Body, f.Count = "POST", "/v2/volumes/*/actions", fmt.Sprintf("%q", kind), 1
		b.Cloud.Fault(f)
	}
}

// TestOrdersOfVolumesAreLost: the answer, or the order; or nothing comes of it.
func TestOrdersOfVolumesAreLost(t *testing.T) {
	for _, kind := range []string{"detach", "attach"} {
		for name, f := range map[string]sandbox.Fault{"before": {Reset: true}, "after": {Reset: true, After: true}, "busy": {Status: 422}, "broken": {Status: 500, After: true}} {
			t.Run(kind+" "+name, func(t *testing.T) {
				simulation.Simulate(t, realistic, func(b *simulation.Bench) {
					onDisk(b)
					orders(kind, f)(b)
					b.Must("v2")
					wantDisk(b)
					wantRows(b, "1", "2")
				})
			})
		}
	}
}

// TestInterruptedWithVolume stops a release in the middle of each step.
func TestInterruptedWithVolume(t *testing.T) {
	for _, step := range []string{"freeze", "volumes", "start", "gate", "switch", "confirm"} {
		for _, after := range []time.Duration{50 * time.Millisecond, time.Second, 12 * time.Second} {
			t.Run(fmt.Sprint(step, " ", after), func(t *testing.T) {
				simulation.Simulate(t, realistic, func(b *simulation.Bench) {
					onDisk(b)
					ctx, cancel := context.WithCancelCause(b.T.Context())
					b.Op.Emit = func(e release.Event) {
						b.Record(e)
						if e.Step == step && e.State == release.StateRunning {
							time.AfterFunc(after, func() { cancel(errors.New("interrupted")) })
						}
					}
					_, err := b.Execute(ctx, b.Op, b.Candidate("v2"))
					var refused *release.Refused
					if err != nil && (!errors.As(err, &refused) || refused.Serving != "v1" || len(refused.Leftovers) > 0) {
						t.Fatalf("got %v\n%s", err, b.History())
					}
					wantDisk(b)
					mustPost(b, "3")
					wantRows(b, "1", "2", "3")
				})
			})
		}
	}
}

// errGone is what an operator's cloud says from the moment at which he is dead.
var errGone = errors.New("the operator is dead")

// A mortal is a cloud whose operator dies after his n-th order about volumes.
type mortal struct {
	droplets.Cloud
	left int
	dead bool
}

func (m *mortal) order(err error) error {
	if m.left--; m.left == 0 {
		m.dead = true
	}
	if m.dead {
		return errGone
	}
	return err
}

func (m *mortal) AttachVolume(ctx context.Context, id string, droplet int) error {
	if m.dead {
		return errGone
	}
	return m.order(m.Cloud.AttachVolume(ctx, id, droplet))
}

func (m *mortal) DetachVolume(ctx context.Context, id string, droplet int) error {
	if m.dead {
		return errGone
	}
	return m.order(m.Cloud.DetachVolume(ctx, id, droplet))
}

func (m *mortal) Volume(ctx context.Context, id string) (droplets.Volume, error) {
	if m.dead {
		return droplets.Volume{}, errGone
	}
	return m.Cloud.Volume(ctx, id)
}

// TestVolumeIsBroughtBack: whoever moved it and was never heard of again, gc
// brings it back to what is live, and so does a release.
func TestVolumeIsBroughtBack(t *testing.T) {
	for _, verb := range []string{"release", "rollback"} {
		for orders := range 2 {
			for _, by := range []string{"gc", "release", "rollback"} {
				t.Run(fmt.Sprintf("%s after %d, by %s", verb, orders+1, by), func(t *testing.T) {
					simulation.Simulate(t, realistic, func(b *simulation.Bench) {
						onDisk(b)
						b.Must("v2")
						mustPost(b, "3")
						whole := b.Op.Cloud
						m := &mortal{Cloud: whole, left: orders + 1}
						b.Op.Cloud = m
						c := b.Candidate("v3")
						var err error
						if verb == "release" {
							b.Op.KeepFailed = true // as one who is dead does
							_, err = b.Execute(b.T.Context(), b.Op, c)
							b.Op.KeepFailed = false
						} else {
							_, err = rollsBack(b, "")
						}
						if err == nil || !m.dead {
							t.Fatalf("it went well\n%s", b.History())
						}
						b.Op.Cloud = whole
						if disk(b).Droplet == b.Holder().ID {
							t.Fatalf("the volume is where it was\n%s", b.History())
						}
						attempt := ""
						if verb == "release" {
							attempt = c.Attempt
						}
						repair(b, by, attempt)
						wantDisk(b)
						mustPost(b, "4")
						wantRows(b, "1", "2", "3", "4")
					})
				})
			}
		}
	}
}

// repair does what somebody does who finds the site closed.
func repair(b *simulation.Bench, by, attempt string) {
	b.T.Helper()
	var err error
	switch by {
	case "gc":
		err = collects(b, attempt)
		var underway *release.Underway
		if errors.As(err, &underway) {
			time.Sleep(time.Until(underway.Until))
			err = collects(b, "")
		}
	case "release":
		time.Sleep(simulation.LeaseOver)
		b.Must("v4")
	case "rollback":
		_, err = rollsBack(b, "")
	}
	if err != nil {
		b.T.Fatalf("%s: %v\n%s", by, err, b.History())
	}
}

// TestVolumeOfTheSilent: a live droplet that does not answer is given up by a
// person alone. It is off before its volume is taken.
func TestVolumeOfTheSilent(t *testing.T) {
	for name, goes := range map[string]func(*simulation.Bench) error{
		"rollback": func(b *simulation.Bench) error { _, err := rollsBack(b, release.Discard); return err },
		"release": func(b *simulation.Bench) error {
			c := b.Candidate("v3")
			c.NoHandoff = true
			_, err := b.Execute(b.T.Context(), b.Op, c)
			return err
		},
	} {
		for _, silent := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, silent %t", name, silent), func(t *testing.T) {
				simulation.Simulate(t, realistic, func(b *simulation.Bench) {
					onDisk(b)
					b.Must("v2")
					mustPost(b, "3")
					was := b.Holder().ID
					if silent {
						old := b.Holder().IP + ":22"
						b.Op.Dialer = hanging{b.Op.Dialer, func(address string) bool { return address == old }}
					}
					if err := goes(b); err != nil {
						t.Fatalf("%v\n%s", err, b.History())
					}
					wantDisk(b)
					wantRows(b, "1", "2", "3")
					off := slices.ContainsFunc(b.Cloud.Snapshot().Droplets, func(d sandbox.Machine) bool { return d.ID == was && d.Status == "off" })
					if off != silent {
						t.Errorf("v2 is off: %t\n%s", off, b.History())
					}
				})
			})
		}
	}
}

// TestVolumeFaults refuses what would take a volume from somebody.
func TestVolumeFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*simulation.Bench)
		code  string
	}{
		"none":       {func(b *simulation.Bench) { b.Site.Volumes[0].SizeGiB = 0 }, "no-volume"},
		"of another": {func(b *simulation.Bench) { madeVolume(b, "cattle:app:shop") }, "volume-elsewhere"},
		"at another": {func(b *simulation.Bench) { lentVolume(b) }, "volume-elsewhere"},
		"free, fits": {func(b *simulation.Bench) { madeVolume(b, "mine"); b.Site.Volumes[0].SizeGiB = 0 }, ""},
		"made, fits": {func(b *simulation.Bench) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				simulation.Disked(b)
				tt.spoil(b)
				_, err := b.Execute(b.T.Context(), b.Op, b.Candidate("v1"))
				var faults *release.Preflight
				if tt.code == "" {
					if err != nil {
						t.Fatalf("%v\n%s", err, b.History())
					}
					wantDisk(b)
					return
				}
				if !errors.As(err, &faults) || len(faults.Faults) != 1 || faults.Faults[0].Code != tt.code {
					t.Fatalf("got %v", err)
				}
			})
		})
	}
}

func madeVolume(b *simulation.Bench, tag string) {
	b.Post("/v2/volumes", map[string]any{"name": "blog-db", "region": "fra1", "size_gigabytes": 10, "filesystem_type": "ext4", "tags": []string{tag}})
	time.Sleep(time.Minute)
}

func lentVolume(b *simulation.Bench) {
	madeVolume(b, "mine")
	b.Post("/v2/droplets", map[string]any{"name": "legacy", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64"})
	time.Sleep(2 * time.Minute)
	b.Post("/v2/volumes/"+disk(b).ID+"/actions", map[string]any{"type": "attach", "droplet_id": b.Cloud.Snapshot().Droplets[0].ID, "region": "fra1"})
	time.Sleep(time.Minute)
}

// TestDestroySparesVolumes: they stay, whole.
func TestDestroySparesVolumes(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		onDisk(b)
		b.Must("v2")
		w, err := b.Op.SurveyAround(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		d := release.PlanDestroy(b.Site, w, true)
		if len(d.Volumes) != 1 {
			t.Errorf("volumes that stay: %v", d.Volumes)
		}
		if err := b.Op.Destroy(b.T.Context(), b.Site, d); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		wantWhole(b)
		if v := disk(b); v.Droplet != 0 || len(v.Rows) != 2 {
			t.Errorf("%+v", v)
		}
		b.Must("v3")
		wantDisk(b)
		wantRows(b, "1", "2")
	})
}
