package sandbox

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// What a stub machine has installed, and what its archive has by now, is made
// up: a machine has what there was when it booted. An archive moves on by a
// revision a day, and by more when the test says so, see PublishUpdates.

// A stubPackage has a new version every so many revisions.
type stubPackage struct {
	name    string
	version string // with the number of an update for %d
	every   int
}

const kernelPackage = "linux-image-cloud-amd64"

func stubPackages() []stubPackage {
	return []stubPackage{
		{"base-files", "13.8+deb13u%d", 60}, {"ca-certificates", "20250419+deb13u%d", 90}, {"certbot", "4.0.0-2+deb13u%d", 45},
		{"curl", "8.14.1-2+deb13u%d", 12}, {"docker.io", "26.1.5+dfsg1-9+deb13u%d", 20}, {"libc6", "2.41-12+deb13u%d", 25},
		{kernelPackage, "6.12.%d-1", 9}, {"nginx", "1.26.3-3+deb13u%d", 14}, {"openssl", "3.5.1-1+deb13u%d", 7}, {"tzdata", "2025b-4+deb13u%d", 30},
	}
}

// published is by how much PublishUpdates moves an archive on: some packages
// have updates then, and some have not.
const published = 10

// PublishUpdates moves the archive on: what boots from now on has newer packages.
func (c *Cloud) PublishUpdates() {
	c.lock()
	defer c.unlock()
	c.state.Published += published
	c.touch()
}

// archive is the revision that machines which boot at that time install from.
func (c *Cloud) archive(at time.Time) int { return int(at.Unix()/(24*60*60)) + c.state.Published }

// at is the package's version at a revision.
func (p stubPackage) at(revision int) string { return fmt.Sprintf(p.version, revision/p.every%100) }

// has are a machine's packages, sorted, with their versions at a revision.
func (c *Cloud) has(d *droplet, revision int) (names, versions []string) {
	all := stubPackages()
	for _, name := range c.seed(d).manifest.Packages {
		all = append(all, stubPackage{name, "1.0-%d", 40})
	}
	slices.SortStableFunc(all, func(a, b stubPackage) int { return strings.Compare(a.name, b.name) })
	for _, p := range slices.CompactFunc(all, func(a, b stubPackage) bool { return a.name == b.name }) {
		names, versions = append(names, p.name), append(versions, p.at(revision))
	}
	return names, versions
}

// plainCommand names what a command line that is none of our verbs asks for,
// "" where a stub machine does not know it.
func plainCommand(line string) string {
	switch {
	case line == equipLine:
		return equipping
	case strings.Contains(line, "dpkg-query --show"):
		return "dpkg-query"
	case strings.Contains(line, "apt list --upgradable"):
		return "apt"
	case strings.Contains(line, " "+challengeCommand+" "):
		return "challenge"
	case strings.Contains(line, " "+wildcardCommand+" "):
		return "wildcard"
	}
	return ""
}

// installed answers uname and dpkg-query.
func (s *session) installed() int {
	var out strings.Builder
	s.with(func(d *droplet, _ time.Time) {
		names, versions := s.cloud.has(d, d.Disk.Archive)
		kernel := versions[slices.Index(names, kernelPackage)]
		fmt.Fprintf(&out, "%s+deb13-cloud-amd64\n", strings.TrimSuffix(kernel, "-1"))
		for i, name := range names {
			fmt.Fprintf(&out, "ii  %s %s\n", name, versions[i])
		}
		out.WriteString("rc  exim4 4.98-1\n") // removed; its configuration is left
	})
	return s.print(out.String())
}

// upgradable answers apt.
func (s *session) upgradable() int {
	var out strings.Builder
	s.with(func(d *droplet, now time.Time) {
		out.WriteString("Listing...\n")
		names, has := s.cloud.has(d, d.Disk.Archive)
		_, could := s.cloud.has(d, s.cloud.archive(now))
		for i, name := range names {
			if has[i] != could[i] {
				fmt.Fprintf(&out, "%s/stable-security %s amd64 [upgradable from: %s]\n", name, could[i], has[i])
			}
		}
	})
	return s.print(out.String())
}

func (s *session) print(text string) int {
	if _, err := io.WriteString(s.stdout, text); err != nil {
		return 1
	}
	return 0
}
