package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"cattle/profiles"
	"cattle/secrets"
)

// An initFile is what became of one file.
type initFile struct {
	Path string `json:"path"`
	Done string `json:"done"` // wrote or left
	Says string `json:"says"`
}

func (n *newcomer) found(what, says string) {
	if n.asJSON {
		writeJSON(n.std.out, map[string]any{"message_type": "found", "what": what, "says": says})
		return
	}
	fmt.Fprintf(n.std.out, "found  %s: %s\n", what, says)
}

func (n *newcomer) wrote(path, says string) { n.file(initFile{path, "wrote", says}) }
func (n *newcomer) left(path, says string)  { n.file(initFile{path, "left", says}) }

func (n *newcomer) file(f initFile) {
	n.files = append(n.files, f)
	if n.asJSON {
		writeJSON(n.std.out, struct {
			Type string `json:"message_type"`
			initFile
		}{"file", f})
		return
	}
	fmt.Fprintf(n.std.out, "%-6s %s: %s\n", f.Done, n.short(f.Path), f.Says)
}

// short is the path as people write it.
func (n *newcomer) short(path string) string {
	if here, err := filepath.Abs("."); err == nil && filepath.IsAbs(path) && inside(here, path) {
		rel, _ := filepath.Rel(here, path)
		return rel
	}
	if home := n.std.env("HOME"); home != "" && filepath.IsAbs(path) && inside(home, path) {
		rel, _ := filepath.Rel(home, path) // inside has asked the same
		return filepath.Join("~", rel)
	}
	return path
}

// tellFound says what the folder told.
func (n *newcomer) tellFound() {
	f := n.sketch.Folder
	if len(f.Compose) > 0 {
		var names []string
		for _, s := range f.Outline.Services {
			names = append(names, s.Name)
		}
		n.found(strings.Join(f.Compose, ", "), "services "+strings.Join(names, ", "))
	}
	if d := f.Dockerfile; d != nil {
		says := "no port"
		if d.Port != "" {
			says = "port " + d.Port
		}
		if d.Health != "" {
			says += ", health check " + d.Health
		}
		n.found("Dockerfile", says)
	}
	if f.Git.Remote != "" {
		says := f.Git.Remote
		if image := f.Git.Image(); image != "" {
			says += ", so the image is " + image
		}
		n.found("git remote", says)
	}
	if f.Domain != "" {
		n.found("domain", f.Domain+", of "+f.DomainOf)
	}
	n.tellVariables()
	if stores := f.Stores(); len(stores) > 0 {
		n.found("data", fmt.Sprintf("%s: its volume is empty after each release, unless state: in the profile names it", strings.Join(stores, ", ")))
	}
	if len(f.Compose) == 0 && f.Dockerfile == nil {
		n.found("no app", "neither compose file nor Dockerfile: what is written is a guess")
	}
}

// tellVariables tells names, and never a value.
func (n *newcomer) tellVariables() {
	f := n.sketch.Folder
	files := strings.Join(f.EnvFiles, ", ")
	told := map[string][]string{}
	for _, v := range f.Variables {
		switch {
		case !v.Given:
			told["wanted"] = append(told["wanted"], v.Name)
		case v.Secret:
			told["hidden"] = append(told["hidden"], v.Name)
		default:
			told["plain"] = append(told["plain"], v.Name)
		}
	}
	if names := told["hidden"]; names != nil {
		n.found(files, "taken for secrets: "+strings.Join(names, ", "))
	}
	if names := told["plain"]; names != nil {
		n.found(files, "not taken for secrets, so in plain text in cattle.yaml: "+strings.Join(names, ", "))
	}
	if names := told["wanted"]; names != nil {
		n.found("variables", "asked for, and without a value: "+strings.Join(names, ", "))
	}
	if len(f.Unused) > 0 {
		n.found(files, "no compose file asks for "+strings.Join(f.Unused, ", "))
	}
}

// tellNext checks what is there now, and says what to type.
func (n *newcomer) tellNext(ctx context.Context) error {
	_, faults := profiles.Load(n.profile, profiles.Options{SecretNames: secrets.Names})
	next := "cattle check"
	if len(n.missing) > 0 {
		next = "cattle secrets set " + n.missing[0]
	}
	if n.dir != "." {
		next = "cd " + n.dir + " && " + next
	}
	if n.asJSON {
		return writeJSON(n.std.out, map[string]any{"message_type": "result", "verb": "init", "profile": n.profile, "files": n.files,
			"guesses": append([]string{}, n.doubts...), "secrets_missing": append([]string{}, n.missing...), "faults": len(faults), "next": next})
	}
	var b strings.Builder
	fmt.Fprintln(&b)
	for _, name := range n.sketch.EnvFiles {
		fmt.Fprintf(&b, "%s stays as it is, in plain text; no release needs it.\n", n.sketch.Path(name))
		if n.sketch.Tracks(ctx, name) {
			fmt.Fprintf(&b, "git has %[1]s: take it out (git rm --cached %[1]s), and change what is secret in it.\n", name)
		}
	}
	if n.vault == "" && len(n.sketch.Secrets()) > 0 {
		fmt.Fprintf(&b, "%s names no secrets file: write secrets: {file: %s} there, and cattle init makes it.\n", n.profile, profiles.DefaultSecretsFile)
	}
	if len(n.doubts) > 0 {
		fmt.Fprintf(&b, "Guesses to look at in %s: %s\n", n.profile, strings.Join(n.doubts, ", "))
	}
	if len(n.missing) > 0 {
		fmt.Fprintf(&b, "Secrets without a value: %s\n", strings.Join(n.missing, ", "))
	}
	if len(faults) > 0 && len(n.missing) == 0 {
		fmt.Fprintf(&b, "cattle check has %s to tell.\n", count(len(faults), "thing"))
	}
	fmt.Fprintf(&b, "next: %s\n", next)
	return say(n.std.out, b.String())
}
