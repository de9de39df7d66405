package cloudtest

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// What a run calls its things: nothing else is swept away.
var (
	ownName = regexp.MustCompile(`^cloudtest-[0-9a-f]{8}([-_][a-z:_]+)?$`)
	ownHost = regexp.MustCompile(`^[a-z]+\.cloudtest-[0-9a-f]{8}\.example\.com$`)
)

// Sweep ends what a run left that was killed before it could clean up, known
// by name alone; so no two runs share an account at the same time. A reserved
// IP has no name: it goes with the droplet that it is at.
func Sweep(t *testing.T, api API) {
	s := &suite{api: api.withDefaults()}
	hosts := map[int]bool{}
	for _, d := range s.named(t, "/v2/droplets", "droplets", ownHost) {
		hosts[d.number("id")] = true
	}
	for _, ip := range s.want(t, 200, "GET", "/v2/reserved_ips?per_page=200", nil).list("reserved_ips") {
		if one := (answer{body: ip}); hosts[one.number("droplet", "id")] {
			s.end(t, "/v2/reserved_ips/"+one.text("ip"))
		}
	}
	for id := range hosts {
		s.end(t, fmt.Sprint("/v2/droplets/", id))
	}
	for _, i := range s.named(t, "/v2/images?private=true", "images", ownName) {
		s.end(t, fmt.Sprint("/v2/images/", i.number("id")))
	}
	for _, v := range s.named(t, "/v2/volumes", "volumes", ownName) {
		s.end(t, "/v2/volumes/"+v.text("id")) // refused until it has left its droplet
	}
	for _, w := range s.named(t, "/v2/firewalls", "firewalls", ownName) {
		s.end(t, "/v2/firewalls/"+w.text("id"))
	}
	for _, k := range s.named(t, "/v2/account/keys", "ssh_keys", ownName) {
		s.end(t, fmt.Sprint("/v2/account/keys/", k.number("id")))
	}
	for _, tag := range s.named(t, "/v2/tags", "tags", ownName) {
		s.end(t, "/v2/tags/"+tag.text("name"))
	}
}

// named are the items of a list, of all its pages, whose name is a run's own.
func (s *suite) named(t *testing.T, path, list string, own *regexp.Regexp) (found []answer) {
	t.Helper()
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	for page := 1; ; page++ {
		a := s.want(t, 200, "GET", fmt.Sprintf("%s%sper_page=200&page=%d", path, separator, page), nil)
		for _, item := range a.list(list) {
			if one := (answer{body: item}); own.MatchString(one.text("name")) {
				found = append(found, one)
			}
		}
		if !a.has("links", "pages", "next") {
			return found
		}
	}
}

// end deletes a thing until it is really gone.
func (s *suite) end(t *testing.T, path string) {
	t.Helper()
	t.Log("left over by an earlier run:", path)
	s.wait(t, "the deletion of "+path, func() bool {
		a, err := s.do("DELETE", path, nil)
		return err == nil && a.status == 404
	})
}
