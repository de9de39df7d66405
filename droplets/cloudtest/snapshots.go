package cloudtest

import (
	"fmt"
	"testing"
)

// snapshots are taken of a droplet that is off, found by a tag that is put on
// them afterwards, and started from.
func (s *suite) snapshots(t *testing.T) {
	tag := s.mark + "-baked"
	s.cleanup(t, "/v2/tags/"+s.mark)
	s.cleanup(t, "/v2/tags/"+tag)
	s.want(t, 201, "POST", "/v2/tags", map[string]any{"name": tag})
	from := s.create(t, "source", nil)
	s.act(t, from, map[string]any{"type": "power_off"}) // it may be too early for it to hear a shutdown
	s.status(t, from, "off")
	s.refused(t, 422, "POST", fmt.Sprintf("/v2/droplets/%d/actions", from), map[string]any{"type": "snapshot", "name": ""})
	s.act(t, from, map[string]any{"type": "snapshot", "name": s.mark})
	image := s.taken(t, from)
	s.tagged(t, image, tag)
	s.status(t, s.create(t, "copy", map[string]any{"image": image}), "active")
	s.act(t, from, map[string]any{"type": "power_on"})
	s.status(t, from, "active")
	s.untagged(t, image, tag)
	s.want(t, 204, "DELETE", fmt.Sprint("/v2/images/", image), nil)
	s.wait(t, "the end of the image", func() bool {
		a, err := s.do("GET", fmt.Sprint("/v2/images/", image), nil)
		return err == nil && a.status == 404
	})
	s.refused(t, 422, "POST", "/v2/droplets", s.spec(map[string]any{"image": image}))
}

// act carries an action of a droplet out, to its end. A droplet that was
// created a moment ago may have something pending yet.
func (s *suite) act(t *testing.T, droplet int, body map[string]any) {
	t.Helper()
	var a answer
	s.wait(t, fmt.Sprint("an accepted ", body["type"]), func() bool {
		var err error
		a, err = s.do("POST", fmt.Sprintf("/v2/droplets/%d/actions", droplet), body)
		if err == nil && a.status != 201 && a.status != 422 {
			t.Fatalf("%v: %d %v", body, a.status, a.body)
		}
		return err == nil && a.status == 201
	})
	s.completed(t, a.number("action", "id"))
}

func (s *suite) status(t *testing.T, droplet int, want string) {
	t.Helper()
	s.wait(t, fmt.Sprintf("droplet %d %s", droplet, want), func() bool {
		a, err := s.do("GET", fmt.Sprint("/v2/droplets/", droplet), nil)
		return err == nil && a.text("droplet", "status") == want && a.at("droplet", "locked") == false
	})
}

// taken finds a droplet's snapshot, as the droplet, the images and the
// snapshots know it.
func (s *suite) taken(t *testing.T, droplet int) (image int) {
	t.Helper()
	s.wait(t, "the snapshot in its droplet", func() bool {
		a, err := s.do("GET", fmt.Sprint("/v2/droplets/", droplet), nil)
		id, _ := a.at("droplet", "snapshot_ids", 0).(float64)
		image = int(id)
		return err == nil && image != 0
	})
	s.cleanup(t, fmt.Sprint("/v2/images/", image))
	a := s.want(t, 200, "GET", fmt.Sprint("/v2/images/", image), nil)
	if m := fields(a.at("image"), "id", "name", "type", "distribution", "slug", "public", "regions", "created_at", "min_disk_size", "size_gigabytes", "tags", "status"); m != nil {
		t.Error("image lacks", m)
	}
	if a.text("image", "name") != s.mark || a.text("image", "type") != "snapshot" || a.at("image", "public") != false || a.has("image", "slug") {
		t.Error("the image of a snapshot:", a.body)
	}
	if regions := a.list("image", "regions"); len(regions) == 0 || regions[0] != s.api.Region {
		t.Error("regions of the image:", regions)
	}
	a = s.want(t, 200, "GET", "/v2/images?private=true&per_page=200", nil)
	if find(a.list("images"), "id", float64(image)) == nil {
		t.Error("not among the private images:", a.body)
	}
	a = s.want(t, 200, "GET", fmt.Sprint("/v2/snapshots/", image), nil)
	if m := fields(a.at("snapshot"), "id", "name", "created_at", "regions", "min_disk_size", "size_gigabytes", "resource_id", "resource_type", "tags"); m != nil {
		t.Error("snapshot lacks", m)
	}
	if a.text("snapshot", "resource_id") != fmt.Sprint(droplet) || a.text("snapshot", "resource_type") != "droplet" {
		t.Error("snapshot:", a.body)
	}
	return image
}

// tagged puts a tag on an image, which is then listed by it.
func (s *suite) tagged(t *testing.T, image int, tag string) {
	t.Helper()
	in := map[string]any{"resources": []any{map[string]any{"resource_id": fmt.Sprint(image), "resource_type": "image"}}}
	s.want(t, 204, "POST", "/v2/tags/"+tag+"/resources", in)
	s.wait(t, "the image in the list of its tag", func() bool {
		a, err := s.do("GET", "/v2/images?private=true&tag_name="+tag, nil)
		return err == nil && len(a.list("images")) == 1 && a.number("images", 0, "id") == image && len(a.list("images", 0, "tags")) == 1
	})
	if a := s.want(t, 200, "GET", "/v2/tags/"+tag, nil); a.number("tag", "resources", "images", "count") != 1 {
		t.Error("the image's tag:", a.body)
	}
}

// untagged deletes a tag, which takes it off the image.
func (s *suite) untagged(t *testing.T, image int, tag string) {
	t.Helper()
	s.want(t, 204, "DELETE", "/v2/tags/"+tag, nil)
	s.wait(t, "the image without its tag", func() bool {
		a, err := s.do("GET", fmt.Sprint("/v2/images/", image), nil)
		return err == nil && a.status == 200 && len(a.list("image", "tags")) == 0
	})
}
