package cloudtest

import (
	"fmt"
	"testing"
)

// volumes outlive the droplets that they move between, and are at one at a time.
func (s *suite) volumes(t *testing.T) {
	spec := map[string]any{"name": s.mark, "region": s.api.Region, "size_gigabytes": 1, "filesystem_type": "ext4", "tags": []string{s.mark}}
	s.cleanup(t, "/v2/tags/"+s.mark)
	a := s.want(t, 201, "POST", "/v2/volumes", spec)
	volume := a.text("volume", "id")
	s.cleanup(t, "/v2/volumes/"+volume)
	if m := fields(a.at("volume"), "id", "name", "region", "size_gigabytes", "filesystem_type", "droplet_ids", "tags", "created_at"); m != nil {
		t.Error("new volume lacks", m)
	}
	if a.text("volume", "name") != s.mark || a.text("volume", "region", "slug") != s.api.Region || a.number("volume", "size_gigabytes") != 1 || len(a.list("volume", "tags")) != 1 {
		t.Error("new volume:", a.body)
	}
	s.refused(t, 409, "POST", "/v2/volumes", spec)
	for _, name := range []string{"Capital", "under_score", "1st", ""} {
		s.volumeRefused(t, map[string]any{"name": name, "region": s.api.Region, "size_gigabytes": 1})
	}
	s.volumeRefused(t, map[string]any{"name": s.mark + "-huge", "region": s.api.Region, "size_gigabytes": 16385})
	s.listed(t, volume)
	one, two := s.create(t, "one", nil), s.create(t, "two", nil)
	s.plug(t, volume, "attach", one)
	s.attachedTo(t, volume, one)
	s.refused(t, 422, "POST", "/v2/volumes/"+volume+"/actions", map[string]any{"type": "attach", "droplet_id": two, "region": s.api.Region})
	s.refused(t, 422, "POST", "/v2/volumes/"+volume+"/actions", map[string]any{"type": "detach", "droplet_id": two, "region": s.api.Region})
	s.refused(t, 409, "DELETE", "/v2/volumes/"+volume, nil)
	s.plug(t, volume, "detach", one)
	s.attachedTo(t, volume, 0)
	s.plug(t, volume, "attach", two)
	s.attachedTo(t, volume, two)
	a = s.want(t, 200, "GET", "/v2/volumes/"+volume+"/actions", nil)
	if a.text("actions", 0, "type") != "attach_volume" || a.text("actions", 1, "type") != "detach_volume" {
		t.Error("its actions, newest first:", a.body)
	}
	s.want(t, 204, "DELETE", fmt.Sprint("/v2/droplets/", two), nil)
	s.attachedTo(t, volume, 0)
	s.want(t, 204, "DELETE", "/v2/volumes/"+volume, nil)
	s.refused(t, 404, "GET", "/v2/volumes/"+volume, nil)
	s.refused(t, 404, "DELETE", "/v2/volumes/"+volume, nil)
}

// volumeRefused wants that a volume cannot be made. The description does not
// say which of two statuses tells that.
func (s *suite) volumeRefused(t *testing.T, spec map[string]any) {
	t.Helper()
	if a, err := s.do("POST", "/v2/volumes", spec); err != nil || a.status != 422 && a.status != 400 {
		t.Errorf("%v: %d %v %v", spec, a.status, a.body, err)
	}
}

// listed wants the volume by its name and its region.
func (s *suite) listed(t *testing.T, volume string) {
	t.Helper()
	s.wait(t, "the volume in its list", func() bool {
		a, err := s.do("GET", "/v2/volumes?name="+s.mark+"&region="+s.api.Region, nil)
		return err == nil && len(a.list("volumes")) == 1 && a.text("volumes", 0, "id") == volume
	})
	if a := s.want(t, 200, "GET", "/v2/volumes?name="+s.mark+"-other&region="+s.api.Region, nil); len(a.list("volumes")) != 0 {
		t.Error("of another name:", a.body)
	}
}

// plug carries an action of a volume out, to its end, as often as it is told
// that something is pending.
func (s *suite) plug(t *testing.T, volume, kind string, droplet int) {
	t.Helper()
	path := "/v2/volumes/" + volume + "/actions"
	var a answer
	s.wait(t, "an accepted "+kind, func() bool {
		var err error
		a, err = s.do("POST", path, map[string]any{"type": kind, "droplet_id": droplet, "region": s.api.Region})
		if err == nil && a.status != 202 && a.status != 422 {
			t.Fatalf("%s: %d %v", kind, a.status, a.body)
		}
		return err == nil && a.status == 202
	})
	if m := fields(a.at("action"), "id", "status", "type", "started_at", "resource_type", "region_slug"); m != nil {
		t.Error("action lacks", m)
	}
	action := fmt.Sprint(path, "/", a.number("action", "id"))
	s.wait(t, "the end of the "+kind, func() bool {
		a, err := s.do("GET", action, nil)
		if a.text("action", "status") == "errored" {
			t.Fatalf("%s: %v", kind, a.body)
		}
		return err == nil && a.text("action", "status") == "completed"
	})
}

// attachedTo waits until the volume is at a droplet, and the droplet says so
// too; 0 is none.
func (s *suite) attachedTo(t *testing.T, volume string, droplet int) {
	t.Helper()
	s.wait(t, fmt.Sprintf("the volume at droplet %d", droplet), func() bool {
		a, err := s.do("GET", "/v2/volumes/"+volume, nil)
		at := a.list("volume", "droplet_ids")
		if err != nil || a.status != 200 || droplet == 0 || len(at) != 1 {
			return err == nil && a.status == 200 && droplet == 0 && len(at) == 0
		}
		b, err := s.do("GET", fmt.Sprint("/v2/droplets/", droplet), nil)
		return err == nil && a.number("volume", "droplet_ids", 0) == droplet && b.text("droplet", "volume_ids", 0) == volume
	})
}
