package droplets

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// What is installed, and what could be, is asked with the distribution's own
// commands: droplets need no verb for it, and older ones answer too.
const (
	installedCommand = `uname -r && dpkg-query --show --showformat='${db:Status-Abbrev} ${Package} ${Version}\n'`
	// Without Error-Mode an index that cannot be fetched would count as no news.
	pendingCommand = `export LC_ALL=C.UTF-8; apt-get --quiet=2 -o APT::Update::Error-Mode=any -o DPkg::Lock::Timeout=60 update && ` +
		`apt list --upgradable 2>/dev/null && { [ ! -e /run/reboot-required ] || echo reboot-required; }`
)

// maxInstalled bounds what a droplet may list, in bytes: a server has some
// hundred packages.
const maxInstalled = 1 << 20

// Installed is what a droplet runs on.
type Installed struct {
	Kernel   string            // release of the one that runs
	Packages map[string]string // name to version
}

// An Update is another version of something; From or To is empty for what comes
// or goes.
type Update struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Updates are how two droplets differ.
type Updates struct {
	Packages []Update `json:"packages"`         // by name
	More     int      `json:"more,omitempty"`   // packages that are left out
	Kernel   *Update  `json:"kernel,omitempty"` // nil: the same
	Images   []Update `json:"images,omitempty"` // digests, by reference
}

// maxUpdates are the packages that a history entry names: a year's updates of a
// small server.
const maxUpdates = 200

// Installed asks the droplet what it runs on. The text is safe to show.
func (m *Machine) Installed(ctx context.Context) (Installed, error) {
	out := Installed{Packages: map[string]string{}}
	err := m.eachLine(ctx, "dpkg-query", installedCommand, func(n int, line string) {
		fields := strings.Fields(line)
		switch {
		case n == 0:
			out.Kernel = line
		case len(fields) == 3 && fields[0] == "ii":
			out.Packages[fields[1]] = fields[2]
		}
	})
	if err == nil && (out.Kernel == "" || len(out.Packages) == 0) {
		err = errors.New("the droplet names no kernel or no packages")
	}
	return out, err
}

// Pending is what a fresh droplet would have and this one has not.
type Pending struct {
	Packages []Update
	Reboot   bool // an update that is installed waits for one
}

// upgradable is a line of `apt list --upgradable`.
var upgradable = regexp.MustCompile(`^([^/ ]+)/\S* (\S+) \S+ \[upgradable from: ([^\]]+)\]$`)

// Pending has the droplet fetch its package lists and asks what it lacks. It
// changes nothing that runs.
func (m *Machine) Pending(ctx context.Context) (Pending, error) {
	var out Pending
	err := m.eachLine(ctx, "apt", pendingCommand, func(_ int, line string) {
		if found := upgradable.FindStringSubmatch(line); found != nil {
			out.Packages = append(out.Packages, Update{found[1], found[3], found[2]})
		}
		out.Reboot = out.Reboot || line == "reboot-required"
	})
	return out, err
}

func (m *Machine) eachLine(ctx context.Context, name, command string, each func(n int, line string)) error {
	return m.command(ctx, name, command, nil, func(out io.Reader) error {
		lines := bufio.NewScanner(io.LimitReader(out, maxInstalled))
		lines.Buffer(nil, maxJournalLine)
		for n := 0; lines.Scan(); n++ {
			each(n, Line(lines.Text()))
		}
		return lines.Err()
	})
}

// Since are the differences to an earlier droplet, without images.
func (i Installed) Since(before Installed) Updates {
	u := Updates{Packages: updatesOf(before.Packages, i.Packages)}
	if before.Kernel != i.Kernel {
		u.Kernel = &Update{"kernel", before.Kernel, i.Kernel}
	}
	if over := len(u.Packages) - maxUpdates; over > 0 {
		u.Packages, u.More = u.Packages[:maxUpdates], over
	}
	return u
}

// ChangedImages are references that stand for other digests than before.
func ChangedImages(before, now map[string]string) []Update { return updatesOf(before, now) }

func updatesOf(before, now map[string]string) []Update {
	out := []Update{}
	all := maps.Clone(before)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, now)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if before[name] != now[name] {
			out = append(out, Update{name, before[name], now[name]})
		}
	}
	return out
}

func (u *Updates) clean() {
	if u == nil {
		return
	}
	for _, list := range [][]Update{u.Packages, u.Images} {
		for i, one := range list {
			list[i] = Update{Line(one.Name), Line(one.From), Line(one.To)}
		}
	}
	if k := u.Kernel; k != nil {
		*k = Update{Line(k.Name), Line(k.From), Line(k.To)}
	}
}
