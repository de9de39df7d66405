package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/profiles"
)

// What is said of a site's data, before and after it was moved.

// dataText is what became of the data, a line each; "" where the site has none.
func dataText(d *release.DataReport) string {
	if d == nil {
		return ""
	}
	var b strings.Builder
	if d.Freeze > 0 {
		fmt.Fprintf(&b, "%s\n", movedText(d))
	}
	if d.Restored != "" {
		fmt.Fprintf(&b, "restored from the backup %s of %s: what was written after that is not there\n", d.Restored, d.From.UTC().Format(minutes))
	}
	if d.Backup != "" {
		fmt.Fprintf(&b, "backup of before: %s; to look into it: cattle restore --to /root/before %[1]s\n", d.Backup)
	}
	return b.String()
}

// movedText says what visitors and the network noticed of it.
func movedText(d *release.DataReport) string {
	var late int64
	for _, e := range d.Entries {
		late += e.Delta
	}
	text := "writes waited " + seconds(d.Freeze)
	if d.Bytes > 0 {
		text += fmt.Sprintf("; %s copied, %s of it while they waited", size(d.Bytes), size(late))
	}
	return text
}

// dataInHistory is the same of an entry of the history.
func dataInHistory(m *droplets.Moved) string {
	if m == nil {
		return ""
	}
	var parts []string
	if m.Freeze > 0 {
		parts = append(parts, "writes waited "+seconds(milliseconds(m.Freeze)))
	}
	if m.Bytes > 0 {
		parts = append(parts, size(m.Bytes)+" copied")
	}
	if m.Backup != "" {
		parts = append(parts, "backup "+m.Backup)
	}
	return strings.Join(parts, "; ")
}

// stateOf says of each entry of the profile's state, by name, what it is and
// where. No secret is in it.
func stateOf(p *profiles.Profile) map[string]string {
	if len(p.State) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, s := range p.State {
		switch {
		case s.MySQL != nil:
			out[s.Name] = "mysql " + serverText(s.MySQL)
		case s.Postgres != nil:
			out[s.Name] = "postgres " + serverText(s.Postgres)
		case s.SQLite != (profiles.Place{}):
			out[s.Name] = "sqlite " + s.SQLite.String()
		case s.Volume != nil:
			out[s.Name] = "volume " + s.Volume.Name + " at " + s.Volume.Mount
		default:
			out[s.Name] = "files " + s.Files.String()
		}
	}
	return out
}

func serverText(s *profiles.Server) string {
	return strings.Join(s.Databases, ", ") + " of " + s.Service
}

// dataNotice says in a plan what goes along and for how long writes may wait,
// 0 where there is nothing to carry; last is what was last carried.
func dataNotice(state map[string]string, last int64, within time.Duration) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(state)) {
		parts = append(parts, name+" ("+state[name]+")")
	}
	text := "state: " + strings.Join(parts, ", ")
	if last > 0 {
		text += "; " + size(last) + " when it was carried last"
	}
	if within == 0 {
		return text
	}
	return fmt.Sprintf("%s; writes wait for %s at most", text, strings.Replace(within.String(), "m0s", "m", 1))
}

// stateChanges are notices of what is not to be carried as it was.
func stateChanges(live string, was, is map[string]string) (out []string) {
	changed := ofMaps(was, is)
	renamed := map[string]bool{}
	for _, to := range changed.Added {
		i := slices.IndexFunc(changed.Removed, func(from string) bool { return was[from] == is[to] && !renamed[from] })
		if i < 0 {
			out = append(out, "the state "+to+" is new: it comes from "+live+" if it is there, and else begins empty")
			continue
		}
		renamed[changed.Removed[i]] = true
		out = append(out, fmt.Sprintf("the state %s is called %s from now on", changed.Removed[i], to))
	}
	for _, from := range changed.Removed {
		switch {
		case renamed[from]:
		case strings.HasPrefix(was[from], "volume "):
			out = append(out, fmt.Sprintf("the state %s (%s) is not in the profile any more: it stays with %s, and in the account when that ends", from, was[from], live))
		default:
			out = append(out, fmt.Sprintf("the state %s (%s) is not in the profile any more: it stays behind on %s, and ends with that droplet", from, was[from], live))
		}
	}
	for _, name := range changed.Changed {
		out = append(out, fmt.Sprintf("the state %s is elsewhere from now on: %s → %s; if that is not where it lies on %s, it begins empty", name, was[name], is[name], live))
	}
	return out
}

// carriedLast is how much was carried when data last was, 0 if it never was.
func carriedLast(entries []droplets.Entry) int64 {
	for _, e := range slices.Backward(entries) {
		if e.Data != nil && e.Data.Bytes > 0 {
			return e.Data.Bytes
		}
	}
	return 0
}
