package secrets_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cattle/secrets"
)

// TestSopsObeysOurRule: what sops makes where cattle wrote the rule, cattle opens.
func TestSopsObeysOurRule(t *testing.T) {
	_, op := operator(t, "x.env", secrets.Dotenv)
	dir := filepath.Join(t.TempDir(), "apps", "web")
	path := filepath.Join(dir, "secrets.env")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, secrets.RuleFile), secrets.NewRule("secrets.env", op.Recipient))
	writeFile(t, path, []byte("A=b\n"))
	cmd := exec.Command(sopsCommand(t), "encrypt", "--in-place", "secrets.env")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := opened(t, path); got["A"] != "b" {
		t.Errorf("opened %q", got)
	}
	if file, fits, err := secrets.HasRule(path); err != nil || !fits || file != filepath.Join(dir, secrets.RuleFile) {
		t.Errorf("the rule is %q, %v, %v", file, fits, err)
	}
	if _, fits, err := secrets.HasRule(filepath.Join(dir, "other.env")); err != nil || fits {
		t.Errorf("the rule is for another file too: %v", err)
	}
}

// TestMade: a file that is not there is made for whom the rule names, and
// without a rule for the operator.
func TestMade(t *testing.T) {
	_, op := operator(t, "x.env", secrets.Dotenv)
	other, _ := secrets.NewIdentity()
	dir := t.TempDir()
	for _, rule := range []string{"", string(secrets.NewRule("secrets.env", op.Recipient, other.Recipient))} {
		path := filepath.Join(dir, "secrets.env")
		if rule != "" {
			os.Remove(path)
			writeFile(t, filepath.Join(dir, secrets.RuleFile), []byte(rule))
		}
		u, err := secrets.UnlockOrMake(path)
		if err != nil {
			t.Fatal(err)
		}
		must(t)(u.Set("A", secrets.NewString("b")))
		save(t, u)
		if got := opened(t, path); got["A"] != "b" {
			t.Errorf("opened %q", got)
		}
		_, err = secrets.Open([]byte(readFile(t, path)), "dotenv", other.Key.Reveal())
		if (err == nil) != (rule != "") {
			t.Errorf("rule %q: the other one opens it: %v", rule, err == nil)
		}
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", info.Mode())
		}
	}
	if _, err := secrets.Unlock(filepath.Join(dir, "none.env")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
}

func TestUpdateRule(t *testing.T) {
	a, _ := secrets.NewIdentity()
	b, _ := secrets.NewIdentity()
	named := strings.NewReplacer("ONE", a.Recipient, "TWO", b.Recipient)
	ours := string(secrets.NewRule("secrets.env", "ONE"))
	for _, tt := range []struct{ name, before, added string }{
		{"one", "# ours\ncreation_rules:\n  - age: ONE # me\n", "# ours\ncreation_rules:\n  - age: ONE,TWO # me\n"},
		{"a list", "creation_rules:\n  - path_regex: x.env$\n    age: TWO\n  - path_regex: secrets\n    age:\n      - ONE # me\n",
			"creation_rules:\n  - path_regex: x.env$\n    age: TWO\n  - path_regex: secrets\n    age:\n      - ONE # me\n      - TWO\n"},
		{"a group", "creation_rules:\n  - key_groups:\n      - age:\n          - ONE\n", "creation_rules:\n  - key_groups:\n      - age:\n          - ONE\n          - TWO\n"},
		{"made by us", ours, strings.Replace(ours, "ONE", "ONE,TWO", 1)},
		{"two groups", "creation_rules:\n  - key_groups:\n      - age: [ONE]\n      - age: [ONE]\n", ""},
		{"no age", "creation_rules:\n  - pgp: FBC7B9E2A4F9289AC0C1D4843D16CEE4A27381B4\n", ""},
	} {
		dir, before := t.TempDir(), named.Replace(tt.before)
		rule, path := filepath.Join(dir, secrets.RuleFile), filepath.Join(dir, "secrets.env")
		writeFile(t, rule, []byte(before))
		file, changed, err := secrets.UpdateRule(path, b.Recipient, "")
		if tt.added == "" {
			if !errors.Is(err, secrets.ErrRule) || readFile(t, rule) != before {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if got := readFile(t, rule); err != nil || !changed || file != rule || got != named.Replace(tt.added) {
			t.Errorf("%s: %v, %v:\n%s", tt.name, changed, err, got)
		}
		if _, changed, err := secrets.UpdateRule(path, "", b.Recipient); err != nil || !changed || readFile(t, rule) != before {
			t.Errorf("%s: taken out again: %v, %v:\n%s", tt.name, changed, err, readFile(t, rule))
		}
	}
}

func TestKeyFile(t *testing.T) {
	home := t.TempDir()
	env := func(name string) string { return map[string]string{"HOME": home}[name] }
	path, err := secrets.KeyFile(env)
	if err != nil || path != filepath.Join(home, ".config/sops/age/keys.txt") {
		t.Fatal(path, err)
	}
	if own, err := secrets.OwnRecipients(env); err != nil || len(own) > 0 {
		t.Errorf("found %v, %v", own, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, []byte("# mine"))
	public, err := secrets.MakeKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if own, err := secrets.OwnRecipients(env); err != nil || !slices.Equal(own, []string{public}) {
		t.Errorf("found %v, %v", own, err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 || !strings.HasPrefix(readFile(t, path), "# mine\n") {
		t.Errorf("mode %v", info.Mode())
	}
	writeFile(t, path, []byte("AGE-SECRET-KEY-1CANARY\n"))
	if _, err := secrets.OwnRecipients(env); err == nil || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("a bad key: %v", err)
	}
}
