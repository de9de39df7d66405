package droplets_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"cattle/droplets"
)

// The patterns of the API's published description.
var (
	tagRE  = regexp.MustCompile(`^[a-zA-Z0-9_\-\:]+$`)
	nameRE = regexp.MustCompile(`^[a-zA-Z0-9]?[a-z0-9A-Z.\-]*[a-z0-9A-Z]$`)
)

func birth(release string) droplets.Birth {
	return droplets.Birth{Release: release, Attempt: "4f1c0a9b8d7e6f50", Lease: time.Unix(1795000000, 0),
		Digest: strings.Repeat("d", 32), HostKey: strings.Repeat("9", 64)}
}

func checkRoundTrip(t *testing.T, release string) {
	t.Helper()
	b := birth(release)
	tag := b.Tag()
	if !tagRE.MatchString(tag) || len(tag) > 255 {
		t.Errorf("%q is no tag (%d characters)", tag, len(tag))
	}
	if got, ok := droplets.ParseBirth(tag); !ok || got != b {
		t.Errorf("%q reads back as %+v, %v", tag, got, ok)
	}
	name := droplets.Name("my-blog", release, b.Attempt)
	if !nameRE.MatchString(name) || len(name) > 255 {
		t.Errorf("%q is no droplet name", name)
	}
	if got, ok := droplets.ReleaseOfName("my-blog", name); !ok || got != release {
		t.Errorf("%q reads back as %q, %v", name, got, ok)
	}
}

func TestVersionsSurviveTagsAndNames(t *testing.T) {
	for _, v := range []string{"v1.2.0", "v1.2.0-rc.1", "1.2.0+build.5", "release/2026.11", "a_b-c.d+e/f", "v_2e", "v.2e", "v-2e",
		strings.Repeat("+", 30), strings.Repeat("v1.2/", 12) + "last"} {
		checkRoundTrip(t, v)
	}
}

func FuzzVersions(f *testing.F) {
	f.Add("v1.2.0+b/1")
	valid := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+/-]{0,30}$`)
	f.Fuzz(func(t *testing.T, v string) {
		if valid.MatchString(v) {
			checkRoundTrip(t, v)
		}
	})
}

// FuzzParseBirth reads tags that anybody may have written: what it takes is
// exactly what Tag writes.
func FuzzParseBirth(f *testing.F) {
	f.Add(birth("v1").Tag())
	f.Add("cattle:release:v_:4f1c0a9b8d7e6f50:1:" + strings.Repeat("d", 32) + ":" + strings.Repeat("9", 64))
	f.Fuzz(func(t *testing.T, tag string) {
		b, ok := droplets.ParseBirth(tag)
		if ok && strings.TrimLeft(strings.Split(b.Tag(), ":")[4], "0") != strings.TrimLeft(strings.Split(tag, ":")[4], "0") {
			t.Errorf("%q reads as %q", tag, b.Tag())
		}
	})
}

// FuzzTags reads a droplet's tags, which anybody may have written: an end, an
// app and tags of its own are what cattle would have written, to the letter.
func FuzzTags(f *testing.F) {
	f.Add(birth("v1").Tag(), "cattle:app:blog", "cattle:expires:1795000000:7")
	f.Add("CATTLE:APP:x", "cattle:app:", "cattle:expires:99999999999999999999:7")
	f.Add("cattle:baked:"+strings.Repeat("d", 32)+":1", "cattle:expires:-1:7", "cattle:bake:/../..:7")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		d := droplets.Droplet{ID: 7, Tags: []string{a, b, c}}
		if app := d.App(); app != "" && !d.Has(droplets.AppTag(app)) {
			t.Errorf("%q is of %q", d.Tags, app)
		}
		d.Expires()
		for _, own := range d.OwnTags() {
			if !tagRE.MatchString(own) || len(own) > 255 {
				t.Errorf("%q would be deleted", own)
			}
		}
		if packages, at, ok := (droplets.Snapshot{Tags: d.Tags}).Baked(); ok && !tagRE.MatchString(droplets.BakedTag(packages, at)) {
			t.Errorf("%q is %q", d.Tags, packages)
		}
	})
}

// FuzzNames: what is read back from a droplet's name is what it was made of.
func FuzzNames(f *testing.F) {
	f.Add("my-blog", "my-blog-v1-2e2-4f1c0a9b")
	f.Add("", "---")
	f.Fuzz(func(t *testing.T, app, name string) {
		if version, ok := droplets.ReleaseOfName(app, name); ok && !strings.HasPrefix(droplets.Name(app, version, ""), name[:strings.LastIndexByte(name, '-')+1]) {
			t.Errorf("%q reads as %q of %q", name, version, app)
		}
	})
}

func TestEditedTagsAreNoBirth(t *testing.T) {
	good := birth("v1").Tag()
	tests := map[string][]string{
		"none":          {"cattle:app:blog"},
		"two":           {good, birth("v2").Tag()},
		"cut short":     {good[:len(good)-1]},
		"escape":        {strings.Replace(good, "v1", "v1_2", 1)},
		"not canonical": {strings.Replace(good, "v1", "v_31", 1)},
	}
	for name, tags := range tests {
		if b, ok := (droplets.Droplet{Tags: tags}).Birth(); ok {
			t.Errorf("%s: %+v", name, b)
		}
	}
}

func TestAddressIsNeverTheReservedOne(t *testing.T) {
	d := droplets.Droplet{Public: []string{"198.19.0.1", "198.18.0.9"}}
	if got := d.Address("198.19.0.1"); got != "198.18.0.9" {
		t.Errorf("got %s", got)
	}
	if got := (droplets.Droplet{Public: []string{"198.19.0.1"}}).Address("198.19.0.1"); got != "" {
		t.Errorf("got %s", got)
	}
}

// TestExpires: the last end counts, and an end is one droplet's alone.
func TestExpires(t *testing.T) {
	early, late := time.Unix(1795000000, 0), time.Unix(1795003600, 0)
	d := droplets.Droplet{ID: 7, Tags: []string{droplets.ExpiresTag(late, 7), droplets.ExpiresTag(early, 7), "cattle:expires:never"}}
	if at, ok := d.Expires(); !ok || !at.Equal(late) {
		t.Errorf("expires %s, %v", at, ok)
	}
	if _, ok := (droplets.Droplet{Tags: []string{"cattle:expires:never"}}).Expires(); ok {
		t.Error("a tag without a time is an end")
	}
	if droplets.ExpiresTag(late, 7) == droplets.ExpiresTag(late, 8) {
		t.Error("two droplets share a tag, which ends for both")
	}
}

// TestBakeTags: a baking droplet's birth is one, and no release's; a snapshot's
// tag is read back to the second.
func TestBakeTags(t *testing.T) {
	b := droplets.Birth{Attempt: strings.Repeat("a", 16), Lease: time.Unix(1795000000, 0), Digest: strings.Repeat("d", 32), HostKey: strings.Repeat("c", 64), Bake: true}
	d := droplets.Droplet{Tags: []string{droplets.AppTag("blog"), b.Tag()}}
	if got, ok := d.Birth(); !ok || got != b || len(b.Tag()) > 255 {
		t.Errorf("%q came back as %+v", b.Tag(), got)
	}
	if own := d.OwnTags(); len(own) != 1 || own[0] != b.Tag() {
		t.Errorf("own tags %q", own)
	}
	packages, at := strings.Repeat("e", 32), time.Unix(1795000001, 0)
	s := droplets.Snapshot{Tags: []string{droplets.AppTag("blog"), droplets.BakedTag(packages, at)}}
	if p, when, ok := s.Baked(); !ok || p != packages || !when.Equal(at) {
		t.Errorf("%q came back as %s, %s, %t", s.Tags, p, when, ok)
	}
	for _, tags := range [][]string{nil, {"cattle:baked:x:1"}, {droplets.BakedTag(packages, at), droplets.BakedTag(packages, at.Add(time.Second))}} {
		if _, _, ok := (droplets.Snapshot{Tags: tags}).Baked(); ok {
			t.Errorf("%q is taken for a snapshot that can be used", tags)
		}
	}
}

// TestPinned: a pin counts on the droplet that it names alone, and ends with it.
func TestPinned(t *testing.T) {
	at := time.Unix(1795000000, 0)
	d := droplets.Droplet{ID: 7, Tags: []string{droplets.PinnedTag(at.Add(time.Hour), 7), droplets.PinnedTag(at, 7)}}
	if since, ok := d.Pinned(); !ok || !since.Equal(at) || len(d.OwnTags()) != 2 {
		t.Errorf("pinned since %s, %v; own tags %q", since, ok, d.OwnTags())
	}
	for _, tag := range []string{droplets.PinnedTag(at, 8), "cattle:pinned:7", "cattle:pinned:1:07", "cattle:pinned::7", "cattle:pinned:1:7:7"} {
		d := droplets.Droplet{ID: 7, Tags: []string{tag}}
		if _, ok := d.Pinned(); ok || len(d.OwnTags()) > 0 {
			t.Errorf("%s pins droplet 7, or ends with it", tag)
		}
	}
}
