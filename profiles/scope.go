package profiles

import (
	"maps"
	"slices"
	"strings"
)

// A vault knows the names of the secrets, never a value.
type vault struct {
	names []string // sorted
	// open means that the names could not be learnt: any name may be one.
	open bool
}

func (v *vault) has(name string) bool {
	if v == nil {
		return false
	}
	_, found := slices.BinarySearch(v.names, name)
	return v.open || found
}

// A scope is every name that the compose files of one release may use.
type scope struct {
	values map[string]string // interpolated text
	vault  *vault
	used   map[string]bool // secrets that were looked up
	// complaints of the profile's own env, by its key.
	complaints map[string][]complaint
}

// secretVault is what Load found out; for a Profile that was made by hand any
// name is a secret if there is a secrets file.
func (p *Profile) secretVault() *vault {
	if p.vault == nil {
		return &vault{open: p.Secrets.File != ""}
	}
	return p.vault
}

// scope resolves the profile's env for a release.
func (p *Profile) scope(release string) *scope {
	s := &scope{
		values:     map[string]string{"RELEASE": escape(release)},
		vault:      p.secretVault(),
		used:       map[string]bool{},
		complaints: map[string][]complaint{},
	}
	if p.Image != "" {
		s.values["IMAGE"] = imageFor(p.Image, release)
	}
	env := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(p.Env)) {
		e := expander{lookup: s.lookup}
		env[key] = e.envText(p.Env[key])
		if len(e.complaints) > 0 {
			s.complaints[key] = e.complaints
		}
	}
	maps.Copy(s.values, env)
	return s
}

// lookup is a lookup. A value goes before a secret of the same name.
func (s *scope) lookup(name string) (string, known) {
	if text, ok := s.values[name]; ok {
		return text, valueName
	}
	if s.vault.has(name) {
		s.used[name] = true
		return "${" + name + "}", secretName
	}
	return "", unknownName
}

// inImage is the lookup for image references, in which a release has fewer
// characters to be written with.
func (s *scope) inImage(release string) lookup {
	return func(name string) (string, known) {
		if name == "RELEASE" {
			return imageTag(release), valueName
		}
		return s.lookup(name)
	}
}

// names are all that can be meant, for hints.
func (s *scope) names() []string {
	return append(slices.Sorted(maps.Keys(s.values)), s.vault.names...)
}

// hint says how a complaint is cured.
func (s *scope) hint(c complaint) string {
	if c.name == "" {
		return ""
	}
	if hint := didYouMean(c.name, s.names()); hint != "" {
		return hint
	}
	if c.name == "IMAGE" {
		return "give the profile an image, or write the reference here with ${RELEASE} as its tag"
	}
	cure := "add it to env or to the secrets file"
	if !strings.HasPrefix(c.ref, "${") {
		cure += ", or write $" + c.ref + " to leave it to the container"
	}
	return cure
}
