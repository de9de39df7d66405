package sandbox_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"
)

// snap takes a snapshot of a droplet and returns the image.
func (r *rig) snap(d int) int {
	r.t.Helper()
	r.act(d, map[string]any{"type": "snapshot", "name": "baked"})
	list, _ := dig(r.want(200, "GET", fmt.Sprint("/v2/droplets/", d), nil), "droplet", "snapshot_ids").([]any)
	return id(list, len(list)-1)
}

// TestSnapshotsAreImages: as the API's description shows them, in both lists.
func TestSnapshotsAreImages(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	d := r.create(nil)
	i := r.snap(d)
	v := dig(r.want(200, "GET", fmt.Sprint("/v2/images/", i), nil), "image")
	for name, want := range map[string]any{"type": "snapshot", "public": false, "slug": nil, "distribution": "Debian", "name": "baked", "min_disk_size": 25.0, "status": "available"} {
		if got := dig(v, name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	s := dig(r.want(200, "GET", fmt.Sprint("/v2/snapshots/", i), nil), "snapshot")
	if dig(s, "id") != fmt.Sprint(i) || dig(s, "resource_id") != fmt.Sprint(d) || dig(s, "resource_type") != "droplet" || dig(s, "min_disk_size") != 25.0 {
		t.Error("snapshot:", s)
	}
	if n := dig(r.want(200, "GET", "/v2/snapshots?resource_type=droplet", nil), "meta", "total"); n != 1.0 {
		t.Error("snapshots of droplets:", n)
	}
	if n := dig(r.want(200, "GET", "/v2/snapshots?resource_type=volume", nil), "meta", "total"); n != 0.0 {
		t.Error("snapshots of volumes:", n)
	}
	r.want(400, "GET", "/v2/snapshots/debian-13-x64", nil)
	r.want(422, "POST", "/v2/droplets", r.spec(map[string]any{"image": i, "region": "fra1"}))
	r.want(422, "POST", "/v2/droplets", r.spec(map[string]any{"image": i, "size": "s-1vcpu-512mb-10gb"}))
	e := r.create(map[string]any{"image": i})
	r.want(204, "DELETE", fmt.Sprint("/v2/snapshots/", i), nil)
	r.want(404, "DELETE", fmt.Sprint("/v2/images/", i), nil)
	r.want(404, "GET", fmt.Sprint("/v2/snapshots/", i), nil)
	if got := id(r.want(200, "GET", fmt.Sprint("/v2/droplets/", e), nil), "droplet", "image", "id"); got != i {
		t.Error("the image of a droplet whose image is gone:", got)
	}
	r.want(404, "DELETE", "/v2/images/debian-13-x64", nil)
}

func TestImagesAreTagged(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	d := r.create(map[string]any{"tags": []string{"app"}})
	i := r.snap(d)
	list := func() any {
		return dig(r.want(200, "GET", "/v2/images?private=true&tag_name=app", nil), "meta", "total")
	}
	of := func(id any, kind string) map[string]any {
		return map[string]any{"resources": []any{map[string]any{"resource_id": fmt.Sprint(id), "resource_type": kind}}}
	}
	if list() != 0.0 {
		t.Error("a snapshot has the tags of its droplet")
	}
	r.want(404, "POST", "/v2/tags/app/resources", of(201841321, "image")) // a public one
	r.want(404, "POST", "/v2/tags/app/resources", of(d, "image"))
	r.want(204, "POST", "/v2/tags/app/resources", of(i, "image"))
	r.want(204, "POST", "/v2/tags/app/resources", of(i, "image"))
	if list() != 1.0 {
		t.Error("not listed by tag")
	}
	tag := dig(r.want(200, "GET", "/v2/tags/app", nil), "tag", "resources")
	uri, _ := dig(tag, "images", "last_tagged_uri").(string)
	if dig(tag, "count") != 2.0 || dig(tag, "images", "count") != 1.0 || dig(tag, "droplets", "count") != 1.0 || !strings.HasSuffix(uri, fmt.Sprint("/v2/images/", i)) {
		t.Error(tag)
	}
	r.want(204, "DELETE", "/v2/tags/app/resources", of(i, "image"))
	if list() != 0.0 {
		t.Error("still listed by tag")
	}
	r.want(204, "POST", "/v2/tags/app/resources", of(i, "image"))
	r.want(204, "DELETE", "/v2/tags/app", nil)
	if tags, _ := dig(r.want(200, "GET", fmt.Sprint("/v2/images/", i), nil), "image", "tags").([]any); tags == nil || len(tags) != 0 {
		t.Error("the tag is gone, but", tags)
	}
}

// TestBakedBoot: what was done on the disk that a droplet is a copy of takes
// no time, and everything else its time; through two generations and a restart.
func TestBakedBoot(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		opt := sandbox.Options{Dir: dir, Latency: sandbox.Latency{Step: 4 * time.Second}}
		r := newRig(t, opt)
		r.addKey()
		data, host := release{version: "v1", attempt: "1", domains: []string{"a.example.com"}}.userData(t)
		d := r.create(map[string]any{"user_data": data})
		early := r.snap(d) // nothing is done yet
		time.Sleep(time.Minute)
		r.act(d, map[string]any{"type": "shutdown"})
		late := r.snap(d)
		second := r.snap(r.create(map[string]any{"image": late})) // boots no release
		r.Close()
		again := newRig(t, opt)
		defer again.Close()
		again.signer, again.keyID = r.signer, r.keyID
		const all = "engine firewall docker packages pull mail nginx app tidy"
		for _, c := range []struct {
			image any
			took  string
		}{
			{"debian-13-x64", all},
			{early, all},
			{late, "firewall docker mail nginx app tidy"},
			{second, "firewall docker mail nginx app tidy"},
		} {
			d := again.create(map[string]any{"user_data": data, "image": c.image})
			sh := again.ssh(again.address(d), host)
			out, _, _ := sh.run("journal", nil)
			sh.close()
			if got := tookTime(out); got != c.took {
				t.Errorf("from %v, these took time: %s, want %s", c.image, got, c.took)
			}
		}
	})
}

// tookTime names the steps of a journal that took any time, in the order of boot.
func tookTime(journal string) string {
	ms := map[string]float64{}
	for line := range strings.Lines(journal) {
		var v struct {
			Step string
			MS   float64
		}
		json.Unmarshal([]byte(line), &v)
		ms[v.Step] += v.MS
	}
	var names []string
	for _, name := range []string{"engine", "firewall", "docker", "packages", "pull", "mail", "nginx", "app", "tidy"} {
		if ms[name] > 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}
