package profiles

import (
	"slices"
	"strings"
)

// families are the systems that machines are made of, as the slugs of their
// droplet images begin. cloudinit has what differs between them.
func families() []string { return []string{"debian-13", "ubuntu-24-04"} }

// Images are the droplet images to choose from, one a system.
func Images() []string {
	names := families()
	for i := range names {
		names[i] += "-x64"
	}
	return names
}

// ImageFamily is the system of a droplet image, "debian-13" or "ubuntu-24-04";
// of any other image cattle makes no machine.
func ImageFamily(slug string) (string, bool) {
	if !slugPattern.MatchString(slug) {
		return "", false
	}
	known := families()
	i := slices.IndexFunc(known, func(f string) bool { return strings.HasPrefix(slug, f+"-") })
	if i < 0 {
		return "", false
	}
	return known[i], true
}
