package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"cattle/cmd/cattle/page"
	"cattle/droplets"
)

// A difference is how what is planned differs from what the live droplet was
// made of. Release, size, image and region are among the plan's changes.
type difference struct {
	Release  string        `json:"against"` // that the live droplet was made of
	Images   []imageChange `json:"images,omitempty"`
	Profile  []string      `json:"profile,omitempty"` // lines that begin with - or +
	Packages setChange     `json:"packages,omitzero"`
	Files    setChange     `json:"files,omitzero"`
	Env      setChange     `json:"env,omitzero"` // names
	Secrets  setChange     `json:"secrets,omitzero"`
	Domains  setChange     `json:"domains,omitzero"`
	DNS      *changeJSON   `json:"dns,omitempty"`
	Firewall setChange     `json:"firewall,omitzero"`
	State    setChange     `json:"state,omitzero"` // names
	// Of one such droplet, in US dollars.
	Monthly float64 `json:"monthly_usd"`
	Before  float64 `json:"monthly_usd_before"`
}

// An imageChange is an image whose tag or digest is another one; From and To
// are empty for one that comes or goes.
type imageChange struct {
	Image string `json:"image"`
	From  string `json:"from,omitempty"` // tag@digest
	To    string `json:"to,omitempty"`
}

// A setChange is what of a set comes, goes, or stays and is another one.
type setChange struct {
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Changed []string `json:"changed,omitempty"`
}

func (c setChange) IsZero() bool { return len(c.Added)+len(c.Removed)+len(c.Changed) == 0 }

func (c setChange) String() string {
	var parts []string
	for sign, names := range [][]string{c.Added, c.Removed, c.Changed} {
		for _, name := range names {
			parts = append(parts, "+-~"[sign:sign+1]+" "+name)
		}
	}
	return strings.Join(parts, ", ")
}

// compare holds what is planned against what is live.
func compare(live, planned *droplets.Manifest) *difference {
	d := &difference{Release: live.Release, Images: imageChanges(live.Images, planned.Images), Profile: profileChanges(live.Profile, planned.Profile),
		Packages: ofSets(live.Packages, planned.Packages), Files: ofMaps(live.Files, planned.Files), Env: ofSets(live.Env, planned.Env),
		Secrets: ofSets(live.Secrets, planned.Secrets), Domains: ofSets(live.Domains, planned.Domains), Firewall: ofSets(live.Firewall, planned.Firewall),
		State: ofMaps(live.State, planned.State), Monthly: planned.Monthly, Before: live.Monthly}
	if live.DNS != planned.DNS {
		d.DNS = &changeJSON{"dns", live.DNS, planned.DNS}
	}
	return d
}

func ofSets(from, to []string) (c setChange) {
	for _, name := range to {
		if !slices.Contains(from, name) {
			c.Added = append(c.Added, name)
		}
	}
	for _, name := range from {
		if !slices.Contains(to, name) {
			c.Removed = append(c.Removed, name)
		}
	}
	return c
}

func ofMaps(from, to map[string]string) setChange {
	c := ofSets(slices.Sorted(maps.Keys(from)), slices.Sorted(maps.Keys(to)))
	for _, name := range slices.Sorted(maps.Keys(to)) {
		if was, had := from[name]; had && was != to[name] {
			c.Changed = append(c.Changed, name)
		}
	}
	return c
}

// imageChanges pairs references of one repository: a release is another tag.
func imageChanges(from, to map[string]string) (out []imageChange) {
	was, is := byRepository(from), byRepository(to)
	names := maps.Clone(was)
	maps.Copy(names, is)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		gone := ofSets(is[name], was[name]).Added
		come := ofSets(was[name], is[name]).Added
		for i := range max(len(gone), len(come)) {
			c := imageChange{Image: name}
			if i < len(gone) {
				c.From = gone[i]
			}
			if i < len(come) {
				c.To = come[i]
			}
			out = append(out, c)
		}
	}
	return out
}

// byRepository has the tags and digests, as tag@digest, of each repository.
func byRepository(images map[string]string) map[string][]string {
	out := map[string][]string{}
	for _, ref := range slices.Sorted(maps.Keys(images)) {
		name, tag := ref, ""
		if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
			name, tag = ref[:i], ref[i+1:]
		}
		out[name] = append(out[name], tag+"@"+images[ref])
	}
	return out
}

func (c imageChange) String() string {
	if c.From == "" || c.To == "" {
		return fmt.Sprintf("%s %s → %s", c.Image, orNone(brieflyImage(c.From)), orNone(brieflyImage(c.To)))
	}
	fromTag, from, _ := strings.Cut(c.From, "@")
	toTag, to, _ := strings.Cut(c.To, "@")
	switch {
	case from == to:
		return fmt.Sprintf("%s %s → %s, the same bytes", c.Image, fromTag, toTag)
	case fromTag == toTag:
		return fmt.Sprintf("%s:%s %s → %s", c.Image, toTag, shortDigest(from), shortDigest(to))
	}
	return fmt.Sprintf("%s %s → %s", c.Image, brieflyImage(c.From), brieflyImage(c.To))
}

// brieflyImage is a tag with the first digits of its digest.
func brieflyImage(s string) string {
	tag, digest, found := strings.Cut(s, "@")
	if !found {
		return s
	}
	return strings.TrimSpace(tag + " (" + shortDigest(digest) + ")")
}

func shortDigest(d string) string {
	d = strings.TrimPrefix(d, "sha256:")
	return cmp.Or(d[:min(12, len(d))], "not pinned")
}

// profileChanges are the profile's lines that come and go, in order, but for
// those that are told elsewhere.
func profileChanges(from, to []string) (out []string) {
	text := func(lines []string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }
	for i, line := range strings.Split(string(diff.Diff("live", text(from), "planned", text(to))), "\n") {
		if i > 2 && line != "" && (line[0] == '-' || line[0] == '+') && !toldElsewhere(line[1:]) {
			out = append(out, line)
		}
	}
	return out
}

func toldElsewhere(line string) bool {
	key, _, _ := strings.Cut(line, ": ")
	first, _, _ := strings.Cut(key, ".")
	return slices.Contains([]string{"env", "packages", "domains", "dns", "firewall", "state"}, first) ||
		slices.Contains([]string{"droplet.size", "droplet.image", "droplet.region"}, key)
}

// rows are the lines of a plan for people: what, and how it differs.
func (d *difference) rows() (rows []page.Difference) {
	if d == nil {
		return nil
	}
	add := func(what, text string) {
		if text != "" {
			rows = append(rows, page.Difference{What: what, Text: text})
		}
	}
	for _, c := range d.Images {
		add("image", c.String())
	}
	add("packages", d.Packages.String())
	add("files", d.Files.String())
	add("env", d.Env.String())
	add("secrets", d.Secrets.String())
	add("domains", d.Domains.String())
	if d.DNS != nil {
		add("dns", orNone(d.DNS.From)+" → "+orNone(d.DNS.To))
	}
	add("firewall", d.Firewall.String())
	add("state", d.State.String())
	for _, line := range d.Profile {
		add("profile", line[:1]+" "+line[1:])
	}
	return rows
}
