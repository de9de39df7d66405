package release

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cattle/droplets"
)

// TestWallOf: the firewall that is the site's is changed, another one of its
// name is not.
func TestWallOf(t *testing.T) {
	site := Site{App: "blog", SSHFrom: []string{"203.0.113.7/24", "2001:db8::7"}}
	own := site.wall()
	for name, c := range map[string]struct {
		change func(*droplets.Firewall)
		own    bool
	}{
		"its own":                {func(*droplets.Firewall) {}, true},
		"with other rules":       {func(f *droplets.Firewall) { f.Inbound = nil }, true},
		"with a droplet":         {func(f *droplets.Firewall) { f.Droplets = []int{7} }, false},
		"of another tag":         {func(f *droplets.Firewall) { f.Tags = []string{"cattle:app:shop"} }, false},
		"of a further tag":       {func(f *droplets.Firewall) { f.Tags = append(slices.Clone(f.Tags), "x") }, false},
		"that holds for nothing": {func(f *droplets.Firewall) { f.Tags = nil }, false},
	} {
		f := own
		c.change(&f)
		found, err := site.wallOf([]droplets.Firewall{{Name: "cattle-shop"}, f})
		if (err == nil) != c.own || (found != nil) != c.own {
			t.Errorf("%s: %v %v", name, found, err)
		}
		if f.Tags == nil && !strings.Contains(err.Error(), "tag:read") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if found, err := site.wallOf(nil); found != nil || err != nil {
		t.Error(found, err)
	}
	for text, want := range map[string]string{opened(own): "22 from 2001:db8::7 203.0.113.0/24, 80, 443, icmp", opened(Site{}.wall()): "22, 80, 443, icmp"} {
		if text != want {
			t.Errorf("%q, want %q", text, want)
		}
	}
}

// TestSameRules: order and spelling are no difference.
func TestSameRules(t *testing.T) {
	a := Site{SSHFrom: []string{"203.0.113.0/24", "198.51.100.7"}}.wall()
	b := Site{SSHFrom: []string{"198.51.100.7/32", "203.0.113.9/24"}}.wall()
	slices.Reverse(b.Inbound)
	b.Outbound[0].Ports = droplets.NewRule("tcp", "all").Ports
	if !sameRules(a, b) {
		t.Errorf("%v\n%v", a, b)
	}
	for i := range b.Inbound {
		c := b
		c.Inbound = slices.Clone(b.Inbound)
		c.Inbound[i].Others = 1
		if sameRules(a, c) {
			t.Error("a source that is no address is no difference:", fmt.Sprint(c.Inbound[i]))
		}
	}
}
