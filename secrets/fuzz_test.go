package secrets_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cattle/secrets"
)

// FuzzRead: no secrets file makes Read or Seal panic; what Read passes has names
// that an environment can carry, and what Seal makes of it the droplet's key
// alone opens.
func FuzzRead(f *testing.F) {
	id, err := secrets.NewIdentity()
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte(id.Key.Reveal()), 0o600); err != nil {
		f.Fatal(err)
	}
	os.Setenv("SOPS_AGE_KEY_FILE", filepath.Join(dir, "key"))
	f.Cleanup(func() { os.Unsetenv("SOPS_AGE_KEY_FILE") })
	names := []string{"s.env", "s.yaml", "s.json"}
	for kind, format := range []secrets.Format{secrets.Dotenv, secrets.YAML, secrets.JSON} {
		raw, err := secrets.Encrypt(format, []secrets.Pair{{Name: "A", Value: secrets.NewString("x")}, {Name: "B_2", Value: secrets.NewString("y\nz")}}, id.Recipient)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw), kind)
		f.Add(string(raw[:len(raw)/2]), kind)
	}
	for kind, seed := range []string{"A=b\n", "A: ENC[x]\nsops: {}\n", `{"sops":{"mac":"x"}}`, "sops_version=\x1b[2J\nA=ENC[\n", "a: &a [*a, *a]\nsops: {age: [{recipient: x}]}\n", "\xef\xbb\xbf{}\x00"} {
		f.Add(seed, kind)
	}
	other := regexp.MustCompile(`(?i)vault|kms|azure|gcp|pgp|hckms`) // keys of services that would be asked
	f.Fuzz(func(t *testing.T, content string, kind int) {
		path := filepath.Join(dir, names[((kind%3)+3)%3])
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Skip()
		}
		file, err := secrets.Read(path)
		if err != nil {
			return
		}
		for _, name := range file.Names {
			if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name) {
				t.Errorf("took the name %q", name)
			}
		}
		if other.MatchString(content) {
			return
		}
		droplet, err := secrets.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := file.Seal(droplet.Recipient)
		if err != nil {
			return
		}
		if strings.Contains(string(sealed), id.Recipient) {
			t.Error("the operator's recipient is in the sealed copy")
		}
		if _, err := secrets.Open(sealed, string(file.Format), id.Key.Reveal()); err == nil {
			t.Error("the operator's key opens the sealed copy")
		}
		secrets.Open(sealed, string(file.Format), droplet.Key.Reveal())
	})
}

// FuzzEdit takes whatever somebody leaves in his editor: it is a fault of the
// input, or a file that `cattle check` and the next edit read.
func FuzzEdit(f *testing.F) {
	for name := range formats {
		f.Add(name, "A=b\n# about\nC=d\\n\n")
		f.Add(name, "A: 1\nB: [x]\n---\n")
		f.Add(name, `{"A": "b", "sops": {}}`)
	}
	id, err := secrets.NewIdentity()
	if err != nil {
		f.Fatal(err)
	}
	f.Setenv("SOPS_AGE_KEY", id.Key.Reveal())
	f.Fuzz(func(t *testing.T, name, text string) {
		format, known := formats[name]
		if !known {
			t.Skip()
		}
		raw, err := secrets.Encrypt(format, []secrets.Pair{{Name: "A", Value: secrets.NewString("x")}}, id.Recipient)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		writeFile(t, path, raw)
		u := unlock(t, path)
		_, err = u.SetText(secrets.NewString(text))
		var input *secrets.InputError
		if errors.As(err, &input) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		names := u.Names()
		save(t, u)
		if got, err := secrets.Names(path); err != nil || !slices.Equal(got, names) {
			t.Fatalf("wrote %q, reads %q, %v", names, got, err)
		}
		u = unlock(t, path)
		again, err := u.Text()
		if err != nil {
			t.Fatal(err)
		}
		if c, err := u.SetText(again); err != nil || c != nil {
			t.Fatalf("its own text is %+v, %v", c, err)
		}
	})
}
