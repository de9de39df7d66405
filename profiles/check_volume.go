package profiles

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
)

var (
	// blockPattern is what the API asks of a volume's name.
	blockPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)
	mountPattern = regexp.MustCompile(`^/(mnt|srv)(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$`)
)

// maxBlockSize is in GiB.
const maxBlockSize = 16 << 10

// block checks a volume of DigitalOcean's block storage, and gives it its name.
func (c *checker) block(at string, s *State, app *composed) {
	v := s.Volume
	if v == nil {
		return
	}
	if c.p.App != "" && s.Name != "" {
		setDefault(&v.Name, c.p.App+"-"+s.Name)
	}
	c.matches(join(at, "name"), v.Name, blockPattern, "a volume's name", "64 lower-case letters, digits and hyphens at most, a letter first")
	if v.Mount == "" {
		c.wrong("missing-key", at, "mount: /mnt/"+cmp.Or(s.Name, "data"), "%s does not say where the volume is on the droplet", at)
	}
	c.matches(join(at, "mount"), v.Mount, mountPattern, "a folder below /mnt or /srv", "such as /mnt/"+cmp.Or(s.Name, "data"))
	if c.given(join(at, "size")) && (v.Size < 1 || v.Size > maxBlockSize) {
		c.wrong("out-of-range", join(at, "size"), "1 to 16384, in GiB", "%s.size is out of range: %d", at, v.Size)
	}
	if app != nil && mountPattern.MatchString(v.Mount) && len(app.users(v.Mount)) == 0 {
		c.warnf("volume-not-used", c.at(join(at, "mount")), "volumes: [\""+v.Mount+":/data\"] of a service in the compose file",
			"no service mounts %s, or a folder in it", quote(v.Mount))
	}
}

// unguarded refuses a guard beside a volume: it moves the address alone.
func (c *checker) unguarded() {
	i := slices.IndexFunc(c.p.State, func(s State) bool { return s.Volume != nil })
	if i >= 0 && c.p.Release.Guard {
		c.missing("keys-exclude", "release.guard", "leave it out: a droplet that takes the address back by itself has no volume to serve from",
			"release.guard does not go with the volume of state.%d", i)
	}
}

// users are the active services that mount a folder which is in that one, or
// around it.
func (c *composed) users(folder string) []string {
	found := map[string]bool{}
	for name := range c.active() {
		for _, v := range c.project.Services[name].Volumes {
			if v.Type == "bind" && overlap(filepath.Clean(v.Source), folder) {
				found[name] = true
			}
		}
	}
	return sortedKeys(found)
}

// usersOf are the users of each block storage volume, by its folder.
func (c *composed) usersOf(p *Profile) map[string][]string {
	var out map[string][]string
	for _, s := range p.State {
		if s.Volume == nil {
			continue
		}
		if out == nil {
			out = map[string][]string{}
		}
		out[s.Volume.Mount] = c.users(s.Volume.Mount)
	}
	return out
}

// place is where the entry lies, of those that are copied as files, and of a
// volume; the zero Place for a server.
func (s State) place() Place {
	if s.Volume != nil && s.Volume.Mount != "" {
		return Place{Path: s.Volume.Mount}
	}
	return cmp.Or(s.SQLite, s.Files)
}
