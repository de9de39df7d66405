package sandbox

import (
	"net/netip"
	"slices"
	"time"
)

// A droplet may be told, by a script that a stub knows by its name alone, to pass
// challenges on to another one. How long it does, the script's last word says.

// challengeCommand is what that script calls itself.
const challengeCommand = "cattle-challenge"

// passes is to whom a machine passes challenges on, and until when.
type passes struct {
	To    string    `json:"to,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

// challenges is `bash -c SCRIPT cattle-challenge on ADDRESS SECONDS` and `… off`.
func (s *session) challenges() int {
	i := slices.Index(s.words, challengeCommand)
	args := s.words[i+1:]
	switch {
	case len(args) == 3 && args[0] == "on":
		if _, err := netip.ParseAddr(args[1]); err != nil {
			return s.fail(1, "nginx: [emerg] host not found in upstream %q", args[1])
		}
		s.with(func(d *droplet, now time.Time) {
			d.Disk.Passes = passes{args[1], now.Add(time.Duration(number(args[2], 0)) * time.Second)}
			s.cloud.touch()
		})
	case len(args) == 1 && args[0] == "off":
		s.with(func(d *droplet, _ time.Time) {
			d.Disk.Passes = passes{}
			s.cloud.touch()
		})
	default:
		return s.fail(1, "bash: line 1: $2: unbound variable")
	}
	return 0
}

// answersFor tells whether challenges for a name that leads to one machine, which
// may be none, reach another one.
func (c *Cloud) answersFor(at, d *droplet, now time.Time) bool {
	if at == nil || at == d {
		return at == d
	}
	return at.Disk.Passes.To == d.IP && now.Before(at.Disk.Passes.Until) && c.vitals(at, now).nginx
}
