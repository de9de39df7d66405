package release

import (
	"strings"
	"testing"

	"cattle/droplets"
)

// zoneFrom reads records of example.com, one a word: "A:blog:198.51.100.7".
// Their ids count from 1.
func zoneFrom(words string) droplets.Zone {
	z := droplets.Zone{Name: "example.com", Known: true}
	for i, w := range strings.Fields(words) {
		part := strings.SplitN(w, ":", 3)
		name := strings.TrimPrefix(part[1]+".example.com", "@.")
		z.Records = append(z.Records, droplets.Record{ID: i + 1, Type: part[0], Name: name, Data: part[2], TTL: 600})
	}
	return z
}

// TestCompare: what is done about the records of a name, and what forbids it.
func TestCompare(t *testing.T) {
	const mark = "TXT:_cattle.blog:cattle:app:blog "
	const makeMark = "make TXT _cattle.blog.example.com cattle:app:blog"
	for _, c := range []struct{ name, has, want, fault string }{
		{"nothing there", "", makeMark + "; make A blog.example.com 198.51.100.7", ""},
		{"a mark without a record", mark, "make A blog.example.com 198.51.100.7", ""},
		{"in place", mark + "A:blog:198.51.100.7", "", ""},
		{"in place, by hand", "A:blog:198.51.100.7", "", ""},
		{"another type is nobody's business", mark + "A:blog:198.51.100.7 TXT:blog:x MX:blog:mx", "", ""},
		{"another address", mark + "A:blog:192.0.2.1", "change A blog.example.com 192.0.2.1 to 198.51.100.7", ""},
		{"twins", mark + "A:blog:198.51.100.7 A:blog:198.51.100.7", "delete A blog.example.com 198.51.100.7", ""},
		{"the right one of two", mark + "A:blog:192.0.2.1 A:blog:198.51.100.7", "delete A blog.example.com 192.0.2.1", ""},
		{"two marks", mark + mark + "A:blog:198.51.100.7", "delete TXT _cattle.blog.example.com cattle:app:blog", ""},
		{"an alias of the other name", "A:blog:198.51.100.7 CNAME:www:blog.example.com", "", ""},
		{"somebody's address", "A:blog:192.0.2.1", "", "to hand the name over: doctl compute domain records create example.com --record-type TXT --record-name _cattle.blog --record-data cattle:app:blog"},
		{"somebody's second address", "A:blog:198.51.100.7 A:blog:192.0.2.1", "", "to hand the name over"},
		{"somebody's alias", "CNAME:blog:elsewhere.example.net", "", "doctl compute domain records delete example.com 1 deletes it"},
		{"an alias in the place of ours", mark + "CNAME:blog:elsewhere.example.net", "", "records delete example.com 2"},
		{"an address of IPv6", mark + "A:blog:198.51.100.7 AAAA:blog:2001:db8::1", "", "records delete example.com 3"},
		{"another site's", "TXT:_cattle.blog:cattle:app:shop A:blog:198.51.100.7", "", "take the name out of one of the two profiles"},
		{"a name that was the site's", mark + "A:blog:198.51.100.7 TXT:_cattle.old:cattle:app:blog A:old:198.51.100.7 A:old:192.0.2.1",
			"delete A old.example.com 198.51.100.7; delete TXT _cattle.old.example.com cattle:app:blog", ""},
		{"a name that was another site's", mark + "A:blog:198.51.100.7 TXT:_cattle.old:cattle:app:shop A:old:198.51.100.7", "", ""},
	} {
		names := []string{"blog.example.com"}
		if strings.Contains(c.has, "CNAME:www") {
			names = append(names, "www.example.com")
		}
		changes, faults := keeper{"blog", names, "198.51.100.7", []droplets.Zone{zoneFrom(c.has)}, nil}.compare()
		if got := titled(changes); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if (c.fault == "") != (len(faults) == 0) || c.fault != "" && !strings.Contains(faults[0].Hint, c.fault) {
			t.Errorf("%s: faults %+v, want %q", c.name, faults, c.fault)
		}
	}
}

// TestCompareWithoutAddress: before there is an address nothing can be right,
// and nothing is taken away.
func TestCompareWithoutAddress(t *testing.T) {
	zones := []droplets.Zone{zoneFrom("TXT:_cattle.old:cattle:app:blog A:old:198.51.100.7")}
	changes, faults := keeper{"blog", []string{"blog.example.com"}, "", zones, nil}.compare()
	if got := titled(changes); got != "make TXT _cattle.blog.example.com cattle:app:blog; make A blog.example.com the new reserved IP" || len(faults) > 0 {
		t.Error(got, faults)
	}
	alone := []droplets.Zone{zoneFrom("TXT:_cattle.old:cattle:app:blog")}
	if changes, _ := (keeper{app: "blog", zones: alone}).compare(); len(changes) != 1 {
		t.Error("a mark of nothing stays:", changes)
	}
	if _, faults := (keeper{"blog", []string{"old.example.com", "b.example.com"}, "", []droplets.Zone{zoneFrom("A:b:198.51.100.7")}, nil}).compare(); len(faults) != 1 {
		t.Error("an address that nobody handed over:", faults)
	}
}

// TestZoneOf: of nested zones the longest has a name; a suffix that is no label is none.
func TestZoneOf(t *testing.T) {
	zones := []droplets.Zone{{Name: "example.com"}, {Name: "blog.example.com"}, {Name: "ample.com"}}
	for name, want := range map[string]string{"example.com": "example.com", "www.example.com": "example.com", "blog.example.com": "blog.example.com", "a.blog.example.com": "blog.example.com"} {
		if z := zoneOf(zones, name); z == nil || z.Name != want {
			t.Errorf("%s is in %v, want %s", name, z, want)
		}
	}
	if z := zoneOf(zones, "example.org"); z != nil {
		t.Error(z)
	}
	_, faults := keeper{"blog", []string{"www.shop.example.co.uk", "shop.example.co.uk"}, "", zones, nil}.compare()
	if len(faults) != 1 || !strings.Contains(faults[0].Msg, "www.shop.example.co.uk, shop.example.co.uk,") || !strings.HasPrefix(faults[0].Hint, "doctl compute domain create example.co.uk,") {
		t.Errorf("%+v", faults)
	}
}
