// Package guess finds out what a folder says of its app, and writes the first
// profile from it. It reads, and asks git; it writes nothing and asks nobody.
package guess

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cattle/profiles"
	"cattle/secrets"
)

// A Folder is what was found in one.
type Folder struct {
	Dir string
	App string // of the folder's name
	Git Git

	Compose    []string // names, in the order in which they are merged
	Outline    *profiles.Outline
	Dockerfile *Dockerfile

	// Domain is the site's name, if something tells it, and DomainOf is what.
	Domain, DomainOf string

	EnvFiles  []string // the names of the files that Variables are from
	Variables []Variable
	// Unused are names in the EnvFiles that no compose file asks for.
	Unused []string
}

// A Variable is something that the app gets from its environment.
type Variable struct {
	Name   string
	Given  bool // an EnvFile has it
	Value  secrets.String
	Secret bool // it looks like one; in doubt it does
}

// Known tells that it needs no further value. An empty secret is none.
func (v Variable) Known() bool { return v.Given && (!v.Secret || v.Value.Reveal() != "") }

// Look reads the folder. A file that is there and cannot be read is an error;
// faults of compose files are profiles.Diagnostics.
func Look(ctx context.Context, dir string) (*Folder, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f := &Folder{Dir: dir, App: profiles.AppName(filepath.Base(abs)), Git: lookAtGit(ctx, dir)}
	if f.Dockerfile, err = readDockerfile(filepath.Join(dir, "Dockerfile")); err != nil {
		return nil, err
	}
	if f.Compose = composeFiles(dir); len(f.Compose) > 0 {
		var paths []string
		for _, name := range f.Compose {
			paths = append(paths, filepath.Join(dir, name))
		}
		if f.Outline, err = profiles.ReadOutline(paths...); err != nil {
			return nil, err
		}
	}
	return f, f.variables()
}

// composeFiles are the app's file, as docker compose looks for it, and what
// production adds. An override is left out: it is for the developer's machine.
func composeFiles(dir string) []string {
	for _, name := range []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"} {
		if !isFile(filepath.Join(dir, name)) {
			continue
		}
		found := []string{name}
		base, ext := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
		for _, kind := range []string{".prod", ".production"} {
			if isFile(filepath.Join(dir, base+kind+ext)) {
				return append(found, base+kind+ext)
			}
		}
		return found
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// variables finds what the app wants in its environment, and the values that
// are known. An app of one container gets all of .env; one of compose files
// what those ask for.
func (f *Folder) variables() error {
	values := map[string]string{}
	for _, name := range f.envFiles() {
		more, err := profiles.ReadEnv(filepath.Join(f.Dir, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		f.EnvFiles = append(f.EnvFiles, name)
		for n, v := range more {
			values[n] = v
		}
	}
	f.Domain, f.DomainOf = f.domain(values)
	for _, need := range f.needs(values) {
		value, known := values[need.Name]
		if need.Optional && !known || secrets.CheckName(need.Name) != nil {
			continue
		}
		f.Variables = append(f.Variables, Variable{Name: need.Name, Given: known,
			Value: secrets.NewString(value), Secret: !need.Open && looksSecret(need.Name, value)})
	}
	for name := range values {
		if !slices.ContainsFunc(f.Variables, func(v Variable) bool { return v.Name == name }) {
			f.Unused = append(f.Unused, name)
		}
	}
	slices.Sort(f.Unused)
	return nil
}

// envFiles are .env, which compose reads by itself, and those that services name.
func (f *Folder) envFiles() []string {
	names := []string{".env"}
	for _, s := range f.services() {
		for _, name := range s.EnvFiles {
			if name = filepath.Clean(name); !filepath.IsAbs(name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func (f *Folder) services() []profiles.ServiceOutline {
	if f.Outline == nil {
		return nil
	}
	return f.Outline.Services
}

// needs are the variables to bring: those that compose files ask for, and all
// that are in files that services take whole.
func (f *Folder) needs(values map[string]string) []profiles.Need {
	var out []profiles.Need
	whole := f.Outline == nil
	if !whole {
		out = slices.Clone(f.Outline.Needs)
		whole = slices.ContainsFunc(f.services(), func(s profiles.ServiceOutline) bool { return len(s.EnvFiles) > 0 })
	}
	if !whole {
		return out
	}
	for _, name := range sortedNames(values) {
		if !slices.ContainsFunc(out, func(n profiles.Need) bool { return n.Name == name }) {
			out = append(out, profiles.Need{Name: name})
		}
	}
	return out
}

func sortedNames(values map[string]string) []string {
	var names []string
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Secrets are the variables that belong into the secrets file.
func (f *Folder) Secrets() (out []Variable) {
	for _, v := range f.Variables {
		if v.Secret {
			out = append(out, v)
		}
	}
	return out
}

// Path is a file of the folder as the user would type it.
func (f *Folder) Path(name string) string { return filepath.Join(f.Dir, name) }
