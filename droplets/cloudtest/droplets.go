package cloudtest

import (
	"fmt"
	"strings"
	"testing"
)

func (s *suite) spec(extra map[string]any) map[string]any {
	m := map[string]any{"name": s.mark + ".example.com", "region": s.api.Region, "size": s.api.Size, "image": s.api.Image, "tags": []string{s.mark}}
	for k, v := range extra {
		m[k] = v
	}
	return m
}

func (s *suite) dropletRefused(t *testing.T) {
	for name, extra := range map[string]map[string]any{
		"name with underscore": {"name": "a_b"},
		"name too long":        {"name": strings.Repeat("a", 256)},
		"no such size":         {"size": "s-0vcpu"},
		"no such image":        {"image": "debian-1-x64"},
		"no such region":       {"region": "mars1"},
		"no such key":          {"ssh_keys": []any{1}},
		"bad tag":              {"tags": []string{"a.b"}},
		"user-data over 64K":   {"user_data": strings.Repeat("#", 64<<10+1)},
	} {
		t.Run(name, func(t *testing.T) { s.refused(t, 422, "POST", "/v2/droplets", s.spec(extra)) })
	}
	s.refused(t, 422, "GET", "/v2/droplets?tag_name=a&name=b", nil)
}

// life is that of two droplets and the address that moves between them.
func (s *suite) life(t *testing.T) {
	s.cleanup(t, "/v2/tags/"+s.mark)
	one, two := s.create(t, "one", nil), s.create(t, "two", nil)
	s.lists(t, one)
	ip := s.reserve(t, one)
	s.move(t, ip, two)
	s.pointsAt(t, ip, two)
	s.goneButIP(t, ip, two)
	s.want(t, 204, "DELETE", "/v2/reserved_ips/"+ip, nil)
	s.refused(t, 404, "GET", "/v2/reserved_ips/"+ip, nil)
}

// create makes a droplet, which is new and without address at first.
func (s *suite) create(t *testing.T, name string, extra map[string]any) int {
	t.Helper()
	in := s.spec(extra)
	in["name"] = name + "." + s.mark + ".example.com"
	a := s.want(t, 202, "POST", "/v2/droplets", in)
	id := a.number("droplet", "id")
	s.cleanup(t, fmt.Sprint("/v2/droplets/", id))
	if m := fields(a.at("droplet"), dropletFields()...); m != nil {
		t.Error("new droplet lacks", m)
	}
	if a.text("droplet", "status") != "new" || len(a.list("droplet", "networks", "v4")) != 0 {
		t.Error("a new droplet is", a.at("droplet", "status"), a.at("droplet", "networks"))
	}
	s.completed(t, a.number("links", "actions", 0, "id"))
	s.wait(t, "an active droplet", func() bool {
		a, err := s.do("GET", fmt.Sprint("/v2/droplets/", id), nil)
		return err == nil && a.text("droplet", "status") == "active" && a.at("droplet", "locked") == false
	})
	a = s.want(t, 200, "GET", fmt.Sprint("/v2/droplets/", id), nil)
	kinds := map[string]int{}
	for i := range a.list("droplet", "networks", "v4") {
		kinds[a.text("droplet", "networks", "v4", i, "type")]++
	}
	if kinds["public"] != 1 || kinds["private"] != 1 {
		t.Error("addresses of an active droplet:", kinds)
	}
	return id
}

func dropletFields() []string {
	return []string{"id", "name", "memory", "vcpus", "disk", "locked", "status", "created_at", "features", "backup_ids", "next_backup_window",
		"snapshot_ids", "image", "volume_ids", "size", "size_slug", "networks", "region", "tags"}
}

// completed waits for an action. It may not be found for a while.
func (s *suite) completed(t *testing.T, id int) {
	t.Helper()
	s.wait(t, fmt.Sprint("the end of action ", id), func() bool {
		a, err := s.do("GET", fmt.Sprint("/v2/actions/", id), nil)
		if a.text("action", "status") == "errored" {
			t.Fatalf("action %d: %v", id, a.body)
		}
		return err == nil && a.text("action", "status") == "completed"
	})
}

// lists want the droplet by tag and by name in any case, sooner or later.
func (s *suite) lists(t *testing.T, id int) {
	t.Helper()
	for _, query := range []string{"tag_name=" + s.mark, "name=ONE." + s.mark + ".example.com"} {
		s.wait(t, "the droplet in the list "+query, func() bool {
			a, err := s.do("GET", "/v2/droplets?"+query, nil)
			return err == nil && find(a.list("droplets"), "id", float64(id)) != nil
		})
	}
	a := s.want(t, 200, "GET", fmt.Sprintf("/v2/droplets/%d/actions", id), nil)
	if a.text("actions", 0, "type") != "create" || a.text("actions", 0, "status") != "completed" {
		t.Error("actions of a new droplet:", a.body)
	}
	if a = s.want(t, 200, "GET", "/v2/tags/"+s.mark, nil); a.number("tag", "resources", "droplets", "count") != 2 {
		t.Error("the tag that was made on the fly:", a.body)
	}
}

func (s *suite) reserve(t *testing.T, droplet int) string {
	t.Helper()
	a := s.want(t, 202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": droplet})
	ip := a.text("reserved_ip", "ip")
	s.cleanup(t, "/v2/reserved_ips/"+ip)
	s.completed(t, a.number("links", "actions", 0, "id"))
	s.pointsAt(t, ip, droplet)
	return ip
}

// move assigns straight from one droplet to another, as often as it is told
// that something is pending.
func (s *suite) move(t *testing.T, ip string, droplet int) {
	t.Helper()
	var a answer
	s.wait(t, "an accepted assign", func() (done bool) {
		var err error
		a, err = s.do("POST", "/v2/reserved_ips/"+ip+"/actions", map[string]any{"type": "assign", "droplet_id": droplet})
		if err == nil && a.status != 201 && a.status != 422 {
			t.Fatalf("assign: %d %v", a.status, a.body)
		}
		return err == nil && a.status == 201
	})
	if m := fields(a.at("action"), "id", "status", "type", "started_at", "completed_at", "resource_id", "resource_type", "region_slug"); m != nil {
		t.Error("action lacks", m)
	}
	s.completed(t, a.number("action", "id"))
}

func (s *suite) pointsAt(t *testing.T, ip string, droplet int) {
	t.Helper()
	s.wait(t, fmt.Sprintf("%s at droplet %d", ip, droplet), func() bool {
		a, err := s.do("GET", "/v2/reserved_ips/"+ip, nil)
		return err == nil && a.number("reserved_ip", "droplet", "id") == droplet && a.at("reserved_ip", "locked") == false
	})
}

// goneButIP deletes a droplet, which leaves its reserved IP with nobody.
func (s *suite) goneButIP(t *testing.T, ip string, droplet int) {
	t.Helper()
	path := fmt.Sprint("/v2/droplets/", droplet)
	s.wait(t, "an accepted delete", func() bool {
		a, err := s.do("DELETE", path, nil)
		return err == nil && (a.status == 204 || a.status == 404)
	})
	s.wait(t, "the end of the droplet", func() bool {
		a, err := s.do("GET", path, nil)
		return err == nil && a.status == 404
	})
	s.refused(t, 404, "DELETE", path, nil)
	s.wait(t, "the address without a droplet", func() bool {
		a, err := s.do("GET", "/v2/reserved_ips/"+ip, nil)
		return err == nil && a.status == 200 && !a.has("reserved_ip", "droplet") && a.at("reserved_ip", "locked") == false
	})
}
