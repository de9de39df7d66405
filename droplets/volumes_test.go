package droplets_test

import (
	"slices"
	"testing"

	"cattle/droplets"
	"cattle/droplets/sandbox"
)

// TestVolumes: a volume is made once, is found by name and region, and moves;
// an order that asks for what is so already is no failure, any other refusal is one.
func TestVolumes(t *testing.T) {
	cloud, api := account(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var ids []int
	for _, name := range []string{"one", "two"} {
		d, err := api.Create(ctx, droplets.Spec{Name: name, Region: "fra1", Size: "s-1vcpu-1gb", Image: "debian-13-x64"})
		must(err)
		ids = append(ids, d.ID)
	}
	one, two := ids[0], ids[1]
	spec := droplets.VolumeSpec{Name: "blog-media", Region: "fra1", SizeGiB: 10, Tags: []string{"cattle:app:blog"}, Description: "media of blog"}
	made, err := api.CreateVolume(ctx, spec)
	must(err)
	if made.Name != "blog-media" || made.Region != "fra1" || made.SizeGiB != 10 || made.Filesystem != "ext4" || len(made.DropletIDs) != 0 || !made.Has("Cattle:app:blog") {
		t.Errorf("%+v", made)
	}
	if _, err := api.CreateVolume(ctx, spec); droplets.StatusOf(err) != 409 {
		t.Errorf("a second one of the name: %v", err)
	}
	elsewhere := spec
	elsewhere.Region = "nyc3"
	far, err := api.CreateVolume(ctx, elsewhere)
	must(err)
	if all, err := api.Volumes(ctx, "fra1", "blog-media"); err != nil || len(all) != 1 || all[0].ID != made.ID {
		t.Errorf("%+v, %v", all, err)
	}
	at := func(droplet int) {
		t.Helper()
		v, err := api.Volume(ctx, made.ID)
		if err != nil || droplet == 0 && len(v.DropletIDs) != 0 || droplet != 0 && !slices.Equal(v.DropletIDs, []int{droplet}) || droplet != 0 && !v.At(droplet) {
			t.Errorf("it is at %v, want %d: %v", v.DropletIDs, droplet, err)
		}
	}
	must(api.DetachVolume(ctx, made.ID, one))
	must(api.AttachVolume(ctx, made.ID, one))
	at(one)
	must(api.AttachVolume(ctx, made.ID, one))
	if err := api.AttachVolume(ctx, made.ID, two); !droplets.Busy(err) {
		t.Errorf("attached to a second one: %v", err)
	}
	must(api.DetachVolume(ctx, made.ID, two)) // it is not there
	at(one)
	must(api.DetachVolume(ctx, made.ID, one))
	at(0)
	must(api.AttachVolume(ctx, made.ID, two))
	at(two)
	if err := api.AttachVolume(ctx, far.ID, two); !droplets.Busy(err) {
		t.Errorf("attached in another region: %v", err)
	}
	cloud.Fault(sandbox.PendingEvent(1))
	if err := api.DetachVolume(ctx, made.ID, two); !droplets.Busy(err) {
		t.Errorf("detached in spite of a pending event: %v", err)
	}
	at(two)
	actions, err := api.VolumeActions(ctx, made.ID)
	must(err)
	if len(actions) != 3 || actions[0].Type != "attach_volume" || actions[1].Type != "detach_volume" || actions[0].Status != "completed" || actions[0].Started.IsZero() {
		t.Errorf("%+v", actions)
	}
	must(api.Destroy(ctx, two))
	at(0)
	must(api.DetachVolume(ctx, made.ID, two))
	if err := api.DetachVolume(ctx, "00000000-0000-4000-9000-00000000000f", two); !droplets.NotFound(err) {
		t.Errorf("detached what is not there: %v", err)
	}
}
