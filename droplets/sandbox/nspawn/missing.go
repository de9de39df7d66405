package nspawn

import "strings"

// A MissingError says what this machine lacks to boot droplets.
type MissingError struct {
	Missing []string // "root", "Linux", "systemd-nspawn", …
	Install string   // the command that installs what can be installed; may be empty
}

func (e *MissingError) Error() string {
	return "booted machines need what is missing here: " + strings.Join(e.Missing, ", ")
}

// A need is a program that the host runs, and the package that has it.
type need struct{ program, pkg string }

func needs() []need {
	return []need{
		{"systemd-nspawn", "systemd-container"},
		{"mmdebstrap", "mmdebstrap"},
		{"nft", "nftables"},
		{"nsenter", "util-linux"},
		{"cp", "coreutils"},
	}
}

// missing is the error for programs that found does not find and for what else
// is missing, nil when nothing is.
func missing(others []string, found func(program string) bool) error {
	e := &MissingError{Missing: others}
	var packages []string
	for _, n := range needs() {
		if !found(n.program) {
			e.Missing = append(e.Missing, n.program)
			packages = append(packages, n.pkg)
		}
	}
	if len(packages) > 0 {
		e.Install = "apt-get install --no-install-recommends " + strings.Join(packages, " ")
	}
	if len(e.Missing) == 0 {
		return nil
	}
	return e
}
