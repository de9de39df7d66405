package cloudinit

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"cattle/profiles"
)

// addState notes what the state engine will be told. The text comes later, over
// SSH; its hash makes of another one another machine.
func (v *view) addState() error {
	spec, err := v.in.Profile.StateSpec(v.in.Stack)
	if spec != nil {
		v.StateSpec = fmt.Sprintf("%x", sha256.Sum256(spec))
	}
	return err
}

// statePackages are what the state engine works with.
func statePackages(p *profiles.Profile) (names []string) {
	if len(p.State) == 0 {
		return nil
	}
	names = append(names, "openssh-client")
	if slices.ContainsFunc(p.State, func(s profiles.State) bool { return s.Files != profiles.Place{} }) {
		names = append(names, "rsync")
	}
	if p.Backup != nil {
		names = append(names, "restic")
	}
	return names
}

// stateReferences are the ${NAME}s that the state engine looks up.
func (v *view) stateReferences() (out []string) {
	p := v.in.Profile
	if v.Bake {
		return nil // it has no state
	}
	for _, s := range p.State {
		for _, server := range []*profiles.Server{s.MySQL, s.Postgres} {
			if server != nil {
				out = append(out, server.Password)
			}
		}
	}
	if b := p.Backup; b != nil {
		out = append(out, b.Password, b.SSHKey)
		for _, value := range sorted(b.Env) {
			if strings.HasPrefix(value, "${") {
				out = append(out, value)
			}
		}
	}
	return slices.DeleteFunc(out, func(name string) bool { return name == "" })
}
