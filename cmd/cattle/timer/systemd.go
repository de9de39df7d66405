package timer

import (
	"fmt"
	"strings"
)

// A unit has a path below the user's own folder of units.
func (j Job) unit(kind string) string { return ".config/systemd/user/" + j.UnitName() + "." + kind }

// UnitName is the name of the units.
func (j Job) UnitName() string { return "cattle-" + j.App }

// Systemd is a service and its timer, for the user's own systemd. An interrupt
// is undone within five minutes, and what a release started hears of it from
// the release: see KillMode and TimeoutStopSec.
func (j Job) Systemd() []File {
	words := []string{word(j.Program)}
	for _, a := range j.args() {
		words = append(words, word(a))
	}
	service := fmt.Sprintf(`[Unit]
Description=Rebuild %s, if it is a week old and there are updates

[Service]
Type=oneshot
WorkingDirectory=%s
EnvironmentFile=%%h/%s
ExecStart=%s
KillMode=mixed
TimeoutStopSec=6min
`, j.App, specifiers(j.Dir), j.Environment(), strings.Join(words, " "))
	timer := fmt.Sprintf(`[Unit]
Description=Rebuild %s weekly

[Timer]
OnCalendar=%s %02d:%02d
RandomizedDelaySec=30min
Persistent=true

[Install]
WantedBy=timers.target
`, j.App, days[j.Day], j.Hour, j.Minute)
	return []File{{j.unit("service"), service}, {j.unit("timer"), timer}}
}

// specifiers escapes what systemd replaces anywhere.
func specifiers(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// word is one of ExecStart's, which have quotes, escapes and variables.
func word(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", "$$").Replace(specifiers(s))
	if strings.ContainsAny(s, " \t';\"\\") {
		return `"` + s + `"`
	}
	return s
}
