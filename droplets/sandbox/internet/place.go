package internet

import (
	"path"
	"slices"
	"strings"
)

// place is a file in a package archive: https://host/archive/path, where path
// begins with dists or pool.
type place struct{ scheme, host, archive, path string }

// isArchive says whether a path has the shape of a package archive's.
func isArchive(urlPath string) bool {
	_, _, ok := splitArchive(urlPath)
	return ok
}

// splitArchive takes the path of a URL apart. Only plain paths are taken:
// nothing that is hidden, empty, or leads upwards.
func splitArchive(urlPath string) (archive, rest string, ok bool) {
	segments := strings.Split(strings.TrimPrefix(urlPath, "/"), "/")
	for _, s := range segments {
		if s == "" || s[0] == '.' || len(s) > 255 || strings.ContainsFunc(s, odd) {
			return "", "", false
		}
	}
	n := slices.IndexFunc(segments, func(s string) bool { return s == "dists" || s == "pool" })
	if n < 0 || n == len(segments)-1 {
		return "", "", false
	}
	return path.Join(segments[:n]...), path.Join(segments[n:]...), true
}

// odd is what no file of an archive has in its name.
func odd(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }

// placeOf is the file that a URL names. Addresses and names without a dot are
// no hosts of the internet: they may be something in this machine's network.
func placeOf(scheme, host, urlPath string) (place, bool) {
	archive, rest, ok := splitArchive(urlPath)
	return place{scheme, host, archive, rest}, ok && isHost(host)
}

// isHost says that this is the name of a host of the internet, in lower case.
func isHost(name string) bool {
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	top := labels[len(labels)-1]
	return !nowhere(name) && top[0] >= 'a' // an address ends in a number
}

// general says that an archive is the distribution's own, which is the same on
// all its mirrors. Others have such paths as well, but not such hosts.
func (p place) general() bool {
	distribution, _, _ := strings.Cut(p.archive, "-")
	return slices.Contains([]string{"debian", "debian-security", "ubuntu", "ubuntu-ports"}, p.archive) &&
		(strings.Contains(p.host, distribution) || strings.Contains(p.host, "mirror"))
}

// key is the file's place in the cache. All mirrors of a general archive share it.
func (p place) key() string {
	if p.general() {
		return path.Join("general", p.archive, p.path)
	}
	return path.Join("hosts", p.host, p.archive, p.path)
}

// immutable says that the file never changes.
func (p place) immutable() bool {
	return strings.HasPrefix(p.path, "pool/") || strings.Contains(p.path, "/by-hash/")
}
