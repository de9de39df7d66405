package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cattle/profiles"
	"cattle/profiles/guess"
	"cattle/secrets"
)

// A newcomer is one run of `cattle init`.
type newcomer struct {
	std     stdio
	asJSON  bool
	dir     string
	profile string // path of cattle.yaml
	sketch  *guess.Sketch

	vault  string // the secrets file to have, or ""
	rule   string // the .sops.yaml in its folder or above, or ""
	ruled  bool   // the rule says who can read the vault
	own    string // the public half of an age key at hand, or ""
	keyAt  string // where a key is made, if there is none
	ignore string // what .gitignore says now

	doubts  []string // keys whose values are guesses
	missing []string // secrets without a value
	files   []initFile
}

// prepare reads all that is there already: what is wrong with it ends the
// command before anything is asked or written.
func (n *newcomer) prepare() (err error) {
	if n.vault, err = n.vaultPath(); err != nil {
		return err
	}
	text, err := profiles.ReadFile(filepath.Join(n.dir, ".gitignore"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return &usageError{err.Error(), "a .gitignore is a plain file; move it away"}
	}
	n.ignore = string(text)
	if n.vault == "" {
		return nil
	}
	if n.rule, n.ruled, err = secrets.HasRule(n.vault); err != nil || n.ruled {
		return err
	}
	own, err := secrets.OwnRecipients(n.std.env)
	if err != nil {
		return err
	}
	if len(own) > 0 {
		n.own = own[0]
		return nil
	}
	if n.keyAt, err = secrets.KeyFile(n.std.env); err != nil {
		return err
	}
	if inside(n.root(), n.keyAt) {
		return &usageError{"the age key would be in the repository: " + n.keyAt, "export SOPS_AGE_KEY_FILE=… with a place outside of " + n.root()}
	}
	return nil
}

// vaultPath is the secrets file to have: the profile's own, where there is a
// profile, and "" where that names none.
func (n *newcomer) vaultPath() (string, error) {
	if exists(n.profile) {
		return profiles.SecretsFile(n.profile)
	}
	return filepath.Join(n.dir, profiles.DefaultSecretsFile), nil
}

// write makes what is not there, what others build on first.
func (n *newcomer) write(ctx context.Context) error {
	if n.vault != "" {
		if err := n.writeSecrets(); err != nil {
			return err
		}
	}
	if err := n.writeIgnore(ctx); err != nil {
		return err
	}
	if exists(n.profile) {
		n.left(n.profile, "it is there already")
		return nil
	}
	if overlay := n.sketch.Overlay(); overlay != "" {
		if err := n.make(filepath.Join(n.dir, guess.OverlayFile), overlay, "what a droplet has to have different"); err != nil {
			return err
		}
	}
	text, doubts := n.sketch.Profile()
	n.doubts = doubts
	return n.make(n.profile, text, "the profile of "+n.sketch.App)
}

// make writes a file that is not there.
func (n *newcomer) make(path, text, says string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		n.left(path, "it is there already")
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	n.wrote(path, says)
	return nil
}

// writeSecrets makes key, rule and file, each where it is missing. Without a
// secret there is no file: a droplet without one boots faster.
func (n *newcomer) writeSecrets() error {
	if err := n.writeRule(); err != nil {
		return err
	}
	if exists(n.vault) {
		n.left(n.vault, "it is there already")
		n.compare()
		return nil
	}
	if len(n.sketch.Secrets()) == 0 {
		return nil
	}
	u, err := secrets.UnlockOrMake(n.vault)
	if err != nil {
		return err
	}
	defer u.Close()
	for _, v := range n.sketch.Secrets() {
		if !v.Known() {
			n.missing = append(n.missing, v.Name)
		} else if _, err := u.Set(v.Name, v.Value); err != nil {
			return err
		}
	}
	if err := u.Save(); err != nil {
		return err
	}
	n.wrote(n.vault, count(len(n.sketch.Secrets())-len(n.missing), "secret")+", encrypted; commit it")
	return nil
}

// compare notes what the app wants and a secrets file lacks. What is wrong
// with the file itself, the check tells.
func (n *newcomer) compare() {
	have, err := secrets.Names(n.vault)
	if err != nil {
		return
	}
	for _, v := range n.sketch.Secrets() {
		if !slices.Contains(have, v.Name) {
			n.missing = append(n.missing, v.Name)
		}
	}
}

// writeRule says who can read the file, unless something says that already.
func (n *newcomer) writeRule() error {
	name := filepath.Base(n.vault)
	if n.ruled {
		n.left(n.rule, "it says who can read "+name)
		return nil
	}
	if n.own == "" {
		public, err := secrets.MakeKey(n.keyAt)
		if err != nil {
			return err
		}
		n.own = public
		n.wrote(n.keyAt, "your age key; keep a copy in a safe place")
	}
	path := filepath.Join(filepath.Dir(n.vault), secrets.RuleFile)
	if exists(path) {
		n.left(path, "it has no rule for "+name+": your own key is taken")
		return nil
	}
	return n.make(path, string(secrets.NewRule(name, n.own)), "who can read "+name+": you")
}

// root is the folder that others get: the repository, else the app's own.
func (n *newcomer) root() string {
	if n.sketch.Git.Root != "" {
		return n.sketch.Git.Root
	}
	abs, err := filepath.Abs(n.dir)
	if err != nil {
		return n.dir
	}
	return abs
}

func inside(root, path string) bool {
	rel, err := filepath.Rel(root, path)
	return err == nil && filepath.IsLocal(rel)
}

// writeIgnore keeps plain secrets out of git, and the encrypted file in.
func (n *newcomer) writeIgnore(ctx context.Context) error {
	f := n.sketch.Folder
	path := filepath.Join(n.dir, ".gitignore")
	has := func(line string) bool { return slices.Contains(strings.Split(n.ignore, "\n"), line) }
	var lines []string
	for _, name := range append([]string{".env"}, f.EnvFiles...) {
		if !has(name) && !slices.Contains(lines, name) && !f.Ignores(ctx, name) {
			lines = append(lines, name)
		}
	}
	if base := filepath.Base(n.vault); n.vault != "" && !has("!"+base) && f.Ignores(ctx, base) {
		lines = append(lines, "!"+base)
	}
	if len(lines) == 0 || n.ignore == "" && f.Git.Root == "" && len(f.EnvFiles) == 0 {
		return nil
	}
	out := n.ignore
	if out != "" && !strings.HasSuffix(out, "\n") {
		out += "\n"
	}
	if err := os.WriteFile(path, []byte(out+strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	n.wrote(path, "+ "+strings.Join(lines, " "))
	return nil
}
