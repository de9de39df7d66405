package droplets

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A site's whole state is in its droplets' tags, names and the reserved IP's
// droplet. The API allows [A-Za-z0-9_:-] in a tag, 255 characters at most.
//
//	cattle:app:blog                                        whose it is
//	cattle:release:v1_2e2_2e0:<attempt>:<lease>:<digest>:<host key>
//	cattle:served                                          was live and confirmed
//	cattle:expires:1795000000:<droplet id>                 a standby's end, unix time
//	cattle:pinned:1795000000:<droplet id>                  rolled back to, unix time
//	cattle:bake:<attempt>:<lease>:<digest>:<host key>      becomes a snapshot
//	cattle:baked:<packages>:1795000000                     on the snapshot: what of, and of when
//
// What a droplet is born with is one tag, because a tag outlives its droplets
// and has to be deleted by a call of its own.
const (
	appPrefix     = "cattle:app:"
	releasePrefix = "cattle:release:"
	expiresPrefix = "cattle:expires:"
	pinnedPrefix  = "cattle:pinned:"
	bakePrefix    = "cattle:bake:"
	bakedPrefix   = "cattle:baked:"
	// ServedTag marks a droplet that the reserved IP pointed at and that was
	// confirmed: it may become a standby, and gc does not take it for an orphan.
	ServedTag = "cattle:served"
)

// AppTag is the tag that every droplet of the app carries and that nothing else carries.
func AppTag(app string) string { return appPrefix + app }

// IsAppTag tells the tag of any app.
func IsAppTag(text string) bool { return strings.HasPrefix(strings.ToLower(text), appPrefix) }

// App is the app that the droplet belongs to, "" when it is none of cattle's,
// or has the tags of two: somebody edited them, and it is nobody's to end.
func (d Droplet) App() string {
	if apps := d.apps(); len(apps) == 1 {
		return apps[0]
	}
	return ""
}

func (d Droplet) apps() []string {
	var out []string
	for _, t := range d.Tags {
		// Tags ignore case; an app's name has lower case alone.
		if app, ok := strings.CutPrefix(strings.ToLower(t), appPrefix); ok && !slices.Contains(out, app) {
			out = append(out, app)
		}
	}
	return out
}

// ExpiresTag says when the standby of that id may be destroyed. The id makes
// the tag this droplet's alone: a tag is deleted from all that carry it.
func ExpiresTag(at time.Time, id int) string {
	return fmt.Sprintf("%s%d:%d", expiresPrefix, at.Unix(), id)
}

// Birth is what a droplet is born with and never changes.
type Birth struct {
	Release string    // "" for a baking droplet
	Attempt string    // 16 hex digits, one a try
	Lease   time.Time // until then the droplet may be a candidate; whole seconds
	Digest  string    // of its user-data, 32 hex digits
	HostKey string    // SHA-256 of its SSH host key, 64 hex digits
	// Bake tells a droplet that becomes a snapshot: it is never a candidate.
	Bake bool
}

// Tag writes the birth as a tag.
func (b Birth) Tag() string {
	prefix := bakePrefix
	if !b.Bake {
		prefix = releasePrefix + encodeVersion(b.Release, '_') + ":"
	}
	return prefix + strings.Join([]string{b.Attempt, strconv.FormatInt(b.Lease.Unix(), 10), b.Digest, b.HostKey}, ":")
}

var birthRE = regexp.MustCompile(`^cattle:(bake|release:([A-Za-z0-9_-]+)):([0-9a-f]{16}):([0-9]{1,12}):([0-9a-f]{32}):([0-9a-f]{64})$`)

// ParseBirth reads what Birth.Tag wrote; anything else is no birth.
func ParseBirth(tag string) (Birth, bool) {
	m := birthRE.FindStringSubmatch(tag)
	if m == nil {
		return Birth{}, false
	}
	version, ok := decodeVersion(m[2], '_')
	if !ok {
		return Birth{}, false
	}
	lease, _ := strconv.ParseInt(m[4], 10, 64)
	return Birth{Release: version, Attempt: m[3], Lease: time.Unix(lease, 0), Digest: m[5], HostKey: m[6], Bake: m[1] == "bake"}, true
}

// BakedTag says of a snapshot what it has (the digest of its packages, 32 hex
// digits) and of when that is. It is made for one snapshot, to be deleted with it.
func BakedTag(packages string, at time.Time) string {
	return fmt.Sprintf("%s%s:%d", bakedPrefix, packages, at.Unix())
}

var bakedRE = regexp.MustCompile(`^cattle:baked:([0-9a-f]{32}):([0-9]{1,12})$`)

// Baked reads what BakedTag wrote. A snapshot without it, or with two, is none
// that can be used.
func (s Snapshot) Baked() (packages string, at time.Time, found bool) {
	n := 0
	for _, t := range s.Tags {
		if m := bakedRE.FindStringSubmatch(t); m != nil {
			unix, _ := strconv.ParseInt(m[2], 10, 64)
			packages, at, n = m[1], time.Unix(unix, 0), n+1
		}
	}
	return packages, at, n == 1
}

// Birth finds the droplet's birth among its tags. A droplet with none, with two
// that disagree, or of two apps, has none: somebody edited its tags.
func (d Droplet) Birth() (Birth, bool) {
	var found Birth
	n := 0
	for _, t := range d.Tags {
		if b, ok := ParseBirth(t); ok {
			found, n = b, n+1
		}
	}
	return found, n == 1 && len(d.apps()) < 2
}

// PinnedTag says that the droplet of that id was rolled back to, and when: no
// rebuild replaces it until it is released again by hand, or unpinned.
func PinnedTag(at time.Time, id int) string {
	return fmt.Sprintf("%s%d:%d", pinnedPrefix, at.Unix(), id)
}

var pinnedRE = regexp.MustCompile(`^cattle:pinned:([0-9]{1,12}):([0-9]{1,18})$`)

// Pins are the tags that pin the droplet. One that names another droplet says
// nothing of this one.
func (d Droplet) Pins() []string {
	var out []string
	for _, t := range d.Tags {
		if m := pinnedRE.FindStringSubmatch(t); m != nil && m[2] == strconv.Itoa(d.ID) {
			out = append(out, t)
		}
	}
	return out
}

// Pinned is since when the droplet is pinned; false when it is not.
func (d Droplet) Pinned() (since time.Time, found bool) {
	for _, t := range d.Pins() {
		unix, _ := strconv.ParseInt(pinnedRE.FindStringSubmatch(t)[1], 10, 64)
		if at := time.Unix(unix, 0); !found || at.Before(since) {
			since, found = at, true
		}
	}
	return since, found
}

// OwnTags are the tags that were made for this droplet alone, to be deleted with
// it: its births, and ends that name it. A tag is deleted from all that carry it.
func (d Droplet) OwnTags() []string {
	var out []string
	for _, t := range d.Tags {
		_, birth := ParseBirth(t)
		if birth || expiresRE.MatchString(t) && strings.HasSuffix(t, ":"+strconv.Itoa(d.ID)) {
			out = append(out, t)
		}
	}
	return append(out, d.Pins()...)
}

var expiresRE = regexp.MustCompile(`^cattle:expires:[0-9]{1,12}:[0-9]+$`)

// Expires is when the standby may be destroyed; false when nothing says so. Of
// several ends the last one counts: it was live again in between.
func (d Droplet) Expires() (at time.Time, found bool) {
	for _, t := range d.Tags {
		rest, ok := strings.CutPrefix(t, expiresPrefix)
		if !ok {
			continue
		}
		unix, _, _ := strings.Cut(rest, ":")
		if sec, err := strconv.ParseInt(unix, 10, 64); err == nil && time.Unix(sec, 0).After(at) {
			at, found = time.Unix(sec, 0), true
		}
	}
	return at, found
}

// Name is the droplet's name: people read it in the console, machines read
// tags. The API allows [A-Za-z0-9.-] in it.
func Name(app, release, attempt string) string {
	return app + "-" + encodeVersion(release, '-') + "-" + attempt[:min(8, len(attempt))]
}

// ReleaseOfName reads the release back from a name of the app.
func ReleaseOfName(app, name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, app+"-")
	i := strings.LastIndexByte(rest, '-')
	if !ok || i < 0 {
		return "", false
	}
	return decodeVersion(rest[:i], '-')
}

// encodeVersion keeps letters, digits and, where names allow them, dots; every
// other byte becomes the escape and two hex digits. The escape itself is
// always escaped, so no two versions look alike.
func encodeVersion(version string, escape byte) string {
	var b strings.Builder
	for i := range len(version) {
		c := version[i]
		if alphanumeric(c) || (c == '.' && escape == '-') || (c == '-' && escape == '_') {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%c%02x", escape, c)
	}
	return b.String()
}

func decodeVersion(s string, escape byte) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != escape {
			b.WriteByte(s[i])
			continue
		}
		if i+2 > len(s)-1 {
			return "", false
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(c))
		i += 2
	}
	// Only the canonical spelling counts.
	return b.String(), encodeVersion(b.String(), escape) == s
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
