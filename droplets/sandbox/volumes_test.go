package sandbox_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"
)

// volume makes one of 10 GiB in fra1.
func (r *rig) volume(name string) string {
	r.t.Helper()
	v := r.want(201, "POST", "/v2/volumes", map[string]any{"name": name, "region": "fra1", "size_gigabytes": 10, "filesystem_type": "ext4", "tags": []string{"t:" + name}})
	return dig(v, "volume", "id").(string)
}

// plug orders something of a volume, and returns the action's id.
func (r *rig) plug(status int, kind, volume string, droplet int) int {
	r.t.Helper()
	v := r.want(status, "POST", "/v2/volumes/"+volume+"/actions", map[string]any{"type": kind, "droplet_id": droplet})
	if status != 202 {
		return 0
	}
	return id(v, "action", "id")
}

// wantAt looks at both sides of an attachment; droplet 0 is none.
func (r *rig) wantAt(volume string, droplet int) {
	r.t.Helper()
	want := []any{}
	if droplet != 0 {
		want = []any{float64(droplet)}
		of := dig(r.want(200, "GET", fmt.Sprint("/v2/droplets/", droplet), nil), "droplet", "volume_ids").([]any)
		if !slices.Contains(of, any(volume)) {
			r.t.Errorf("droplet %d has the volumes %v, want %s", droplet, of, volume)
		}
	}
	if got := dig(r.want(200, "GET", "/v2/volumes/"+volume, nil), "volume", "droplet_ids").([]any); !slices.Equal(got, want) {
		r.t.Errorf("the volume is at %v, want %v", got, want)
	}
}

// whats are the kinds of the changes that are about volumes.
func (r *rig) whats() (all []string) {
	for _, c := range r.Changes() {
		switch c.What {
		case sandbox.Provided, sandbox.Plugging, sandbox.Attached, sandbox.Detached, sandbox.Torn, sandbox.Ended:
			all = append(all, strings.TrimSpace(fmt.Sprint(c.What, " ", c.Droplet, " ", c.Note)))
		}
	}
	return all
}

// TestVolumeMoves: attaching and detaching take their time, and nothing else
// can be ordered of the two meanwhile.
func TestVolumeMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{Latency: sandbox.Latency{Attach: 10 * time.Second}})
		defer r.Close()
		one, two := r.create(map[string]any{"region": "fra1"}), r.create(map[string]any{"region": "fra1"})
		v := r.volume("media")
		attach := r.plug(202, "attach", v, one)
		r.wantAt(v, 0)
		r.wantAction(attach, "in-progress")
		r.plug(422, "attach", v, two)
		r.plug(422, "detach", v, one)
		r.plug(422, "attach", r.volume("other"), one)
		r.want(422, "POST", fmt.Sprintf("/v2/droplets/%d/actions", one), map[string]any{"type": "power_off"})
		r.want(409, "DELETE", "/v2/volumes/"+v, nil)
		time.Sleep(10 * time.Second)
		r.wantAt(v, one)
		r.wantAction(attach, "completed")
		r.plug(422, "attach", v, two)
		r.plug(422, "attach", v, one)
		r.plug(422, "detach", v, two)
		r.want(409, "DELETE", "/v2/volumes/"+v, nil)
		detach := r.plug(202, "detach", v, one)
		r.wantAt(v, one)
		time.Sleep(10 * time.Second)
		r.wantAt(v, 0)
		list := r.want(200, "GET", "/v2/volumes/"+v+"/actions", nil)
		if dig(list, "actions", 0, "id") != float64(detach) || dig(list, "actions", 1, "type") != "attach_volume" || dig(list, "meta", "total") != 2.0 {
			t.Error(list)
		}
		r.want(200, "GET", fmt.Sprintf("/v2/volumes/%s/actions/%d", v, detach), nil)
		r.want(404, "GET", fmt.Sprintf("/v2/volumes/%s/actions/%d", v, detach+100), nil)
		r.want(204, "DELETE", "/v2/volumes/"+v, nil)
		r.want(404, "GET", "/v2/volumes/"+v, nil)
		want := []string{"provided 0 media", fmt.Sprint("plugging ", one, " attach_volume media"), "provided 0 other", fmt.Sprint("attached ", one, " media"),
			fmt.Sprint("plugging ", one, " detach_volume media"), fmt.Sprint("detached ", one, " media"), "ended 0 media"}
		if got := r.whats(); !slices.Equal(got, want) {
			t.Errorf("changes %q, want %q", got, want)
		}
	})
}

// TestVolumesAreAskedFor: by name, by region, and what cannot be made.
func TestVolumesAreAskedFor(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	v := r.volume("media")
	r.volume("other")
	for query, n := range map[string]float64{"": 2, "?name=media": 1, "?region=fra1": 2, "?region=nyc3": 0, "?name=media&region=fra1": 1, "?name=media&region=nyc3": 0} {
		if got := dig(r.want(200, "GET", "/v2/volumes"+query, nil), "meta", "total"); got != n {
			t.Errorf("%q lists %v, want %v", query, got, n)
		}
	}
	for fault, change := range map[string]any{
		"name": "Media", "size_gigabytes": 0, "region": "mars1", "filesystem_type": "zfs", "filesystem_label": "longer-than-sixteen", "snapshot_id": "x",
	} {
		spec := map[string]any{"name": "fresh", "region": "fra1", "size_gigabytes": 1, "filesystem_type": "ext4"}
		spec[fault] = change
		if status, _ := r.call("POST", "/v2/volumes", spec); status != 422 {
			t.Errorf("%s %v: %d", fault, change, status)
		}
	}
	r.want(409, "POST", "/v2/volumes", map[string]any{"name": "media", "region": "fra1", "size_gigabytes": 1})
	r.want(201, "POST", "/v2/volumes", map[string]any{"name": "media", "region": "nyc3", "size_gigabytes": 1})
	if tag := r.want(200, "GET", "/v2/tags/t:media", nil); dig(tag, "tag", "resources", "volumes", "count") != 1.0 || !strings.HasSuffix(dig(tag, "tag", "resources", "last_tagged_uri").(string), v) {
		t.Error(tag)
	}
	r.want(204, "DELETE", "/v2/tags/t:media/resources", map[string]any{"resources": []any{map[string]any{"resource_id": v, "resource_type": "volume"}}})
	if tags := dig(r.want(200, "GET", "/v2/volumes/"+v, nil), "volume", "tags").([]any); len(tags) != 0 {
		t.Error("untagged:", tags)
	}
	far := r.create(map[string]any{"region": "nyc3"})
	r.plug(422, "attach", v, far)
	r.plug(422, "attach", v, far+1000)
	r.plug(422, "format", v, far)
	r.want(404, "POST", "/v2/volumes/00000000-0000-4000-9000-00000000000f/actions", map[string]any{"type": "attach", "droplet_id": far})
	by := map[string]any{"type": "attach", "volume_name": "media", "region": "nyc3", "droplet_id": far}
	r.want(202, "POST", "/v2/volumes/actions", by)
	by["region"] = "fra1"
	r.want(422, "POST", "/v2/volumes/actions", by)
	r.want(204, "DELETE", "/v2/volumes?name=media&region=fra1", nil)
	r.want(404, "DELETE", "/v2/volumes?name=media&region=fra1", nil)
}

// TestVolumeOutlivesItsDroplet: destroying a droplet detaches what it has, and
// ends what is under way.
func TestVolumeOutlivesItsDroplet(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	one, two := r.create(map[string]any{"region": "fra1"}), r.create(map[string]any{"region": "fra1"})
	v, w := r.volume("media"), r.volume("other")
	r.plug(202, "attach", v, one)
	r.wantAt(v, one)
	r.Fault(sandbox.Fault{Body: `"attach"`, Action: sandbox.Stuck})
	stuck := r.plug(202, "attach", w, one)
	r.want(204, "DELETE", fmt.Sprint("/v2/droplets/", one), nil)
	r.wantAt(v, 0)
	r.wantAction(stuck, "errored")
	r.plug(202, "attach", v, two)
	r.plug(202, "attach", w, two)
	r.wantAt(v, two)
	r.wantAt(w, two)
}

// TestFaultyVolumes: the outcomes of actions hold for volumes too, and so do
// stale reads and a state to go on from.
func TestFaultyVolumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{})
		defer r.Close()
		d := r.create(map[string]any{"region": "fra1"})
		for outcome, moved := range map[sandbox.Outcome]bool{sandbox.Errored: false, sandbox.NoOp: false, sandbox.Lost: true} {
			v := r.volume("media-" + string(outcome))
			r.Fault(sandbox.Fault{Method: "POST", Path: "/v2/volumes/*/actions", Action: outcome})
			r.plug(202, "attach", v, d)
			at := dig(r.want(200, "GET", "/v2/volumes/"+v, nil), "volume", "droplet_ids").([]any)
			if moved != (len(at) == 1) {
				t.Errorf("%s: it is at %v", outcome, at)
			}
		}
		time.Sleep(time.Minute)
		v := r.volume("late")
		r.Fault(sandbox.Fault{Method: "GET", Path: "/v2/volumes", Stale: 10 * time.Second})
		if n := dig(r.want(200, "GET", "/v2/volumes", nil), "meta", "total"); n != 3.0 {
			t.Error("a stale list has", n)
		}
		time.Sleep(time.Minute)
		r.plug(202, "attach", v, d)
		r.Fault(sandbox.Fault{Method: "GET", Path: "/v2/volumes/*", Stale: 10 * time.Second})
		if at := dig(r.want(200, "GET", "/v2/volumes/"+v, nil), "volume", "droplet_ids").([]any); len(at) != 0 {
			t.Error("a stale look sees it at", at)
		}
		state, err := r.State()
		if err != nil {
			t.Fatal(err)
		}
		next, err := sandbox.New(sandbox.Options{State: state})
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		if s := next.Snapshot(); len(s.Volumes) != 4 || s.Volumes[3].Name != "late" || s.Volumes[3].Droplet != d {
			t.Errorf("it goes on with %+v", s.Volumes)
		}
	})
}

// TestVolumesOfMachines: machines carry out what is ordered, a droplet at a
// time, and what they cannot do has not happened.
func TestVolumesOfMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := realRig(t, sandbox.Options{})
		defer r.Close()
		one, two := r.create(map[string]any{"region": "fra1"}), r.create(map[string]any{"region": "fra1"})
		pass(time.Second)
		f.calls()
		v := r.volume("media")
		attach := r.plug(202, "attach", v, one)
		pass(time.Second / 2)
		r.wantAt(v, 0)
		pass(time.Second / 2)
		r.wantAt(v, one)
		r.wantAction(attach, "completed")
		r.plug(202, "detach", v, one)
		pass(time.Second)
		r.wantCalls(f, fmt.Sprintf("AttachVolume %d media", one), fmt.Sprintf("DetachVolume %d media", one))
		f.breaks("AttachVolume", errors.New("no room"))
		failed := r.plug(202, "attach", v, two)
		pass(time.Second)
		r.wantAt(v, 0)
		r.wantAction(failed, "errored")
		if got := r.Snapshot().Volumes[0].Fault; got != "attach_volume: no room" {
			t.Errorf("the fault is %q", got)
		}
		f.calls()
		r.want(204, "DELETE", "/v2/volumes/"+v, nil)
		pass(time.Second)
		r.wantCalls(f, "DeleteVolume")
	})
}
