package secrets_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"cattle/secrets"
)

func unlock(t *testing.T, path string) *secrets.Unlocked {
	t.Helper()
	u, err := secrets.Unlock(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// save ends the change: the next Unlock waits for that.
func save(t *testing.T, u *secrets.Unlocked) {
	t.Helper()
	if err := u.Save(); err != nil {
		t.Fatal(err)
	}
	u.Close()
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// opened is what the file holds for the operator whose key is in the environment.
func opened(t *testing.T, path string) map[string]string {
	t.Helper()
	sealed, droplet, f := seal(t, path)
	got, err := secrets.Open(sealed, string(f.Format), droplet.Key.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// ciphertexts are the encrypted values in the file's order, the MAC left out.
func ciphertexts(t *testing.T, path string) []string {
	return regexp.MustCompile(`data:[^,]+,iv:[^,]+`).FindAllString(regexp.MustCompile(`(?m)^.*mac.*$`).ReplaceAllString(readFile(t, path), ""), -1)
}

func TestSetChangesOneValueAlone(t *testing.T) {
	for name, format := range formats {
		t.Run(string(format), func(t *testing.T) {
			path, _ := operator(t, name, format)
			if err := os.Chmod(path, 0o640); err != nil {
				t.Fatal(err)
			}
			before := ciphertexts(t, path)
			u := unlock(t, path)
			must(t)(u.Set("FRESH", secrets.NewString("new $ 'value'")))
			if changed, err := u.Set("PLAIN", secrets.NewString(values["PLAIN"])); err != nil || changed {
				t.Errorf("the same value: changed %v, %v", changed, err)
			}
			save(t, u)
			want := maps.Clone(values)
			want["FRESH"] = "new $ 'value'"
			if got := opened(t, path); !maps.Equal(got, want) {
				t.Errorf("opened %q", got)
			}
			if after := ciphertexts(t, path); !slices.Equal(after[:len(before)], before) || len(after) != len(before)+1 {
				t.Errorf("other values are other bytes:\n%s\n%s", before, after)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestSopsReadsWhatWasChanged has the real sops open, MAC and all, what every
// change made, and cattle what sops made of that.
func TestSopsReadsWhatWasChanged(t *testing.T) {
	bin := sopsCommand(t)
	changes := map[string]func(*testing.T, *secrets.Unlocked, secrets.Identity){
		"set": func(t *testing.T, u *secrets.Unlocked, _ secrets.Identity) {
			must(t)(u.Set("NEW", secrets.NewString("x")))
		},
		"rotate": func(t *testing.T, u *secrets.Unlocked, _ secrets.Identity) { must(t)(true, u.Rotate()) },
		"add": func(t *testing.T, u *secrets.Unlocked, _ secrets.Identity) {
			id, _ := secrets.NewIdentity()
			must(t)(u.AddRecipient(id.Recipient))
			must(t)(u.RemoveRecipient(id.Recipient))
		},
	}
	for name, format := range formats {
		path, op := operator(t, name, format)
		for what, change := range changes {
			u := unlock(t, path)
			change(t, u, op)
			save(t, u)
			out, err := exec.Command(bin, "decrypt", "--output-type", "json", path).Output()
			var got map[string]string
			if err != nil || json.Unmarshal(out, &got) != nil || got["ODD"] != values["ODD"] || got["LINES"] != values["LINES"] {
				t.Errorf("%s, %s: sops makes %q of it, %v", format, what, got, err)
			}
		}
		if out, err := exec.Command(bin, "set", path, `["BY_SOPS"]`, `"yes"`).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		u := unlock(t, path)
		must(t)(u.Set("AFTER", secrets.NewString("sops")))
		save(t, u)
		if got := opened(t, path); got["BY_SOPS"] != "yes" || got["AFTER"] != "sops" {
			t.Errorf("%s: opened %q", format, got)
		}
	}
}

func must(t *testing.T) func(bool, error) {
	return func(changed bool, err error) {
		t.Helper()
		if err != nil || !changed {
			t.Fatalf("changed %v, %v", changed, err)
		}
	}
}

// TestEditKeepsWhatIsNotTouched: comments, order, and values that are another
// one when they are written out and read back.
func TestEditKeepsWhatIsNotTouched(t *testing.T) {
	path, _ := operator(t, "secrets.env", secrets.Dotenv)
	u := unlock(t, path)
	must(t)(u.Set("TWO_CHARACTERS", secrets.NewString(`a\nb`)))
	save(t, u)
	u = unlock(t, path)
	text, err := u.Text()
	if err != nil {
		t.Fatal(err)
	}
	edited := "# about\n" + strings.Replace(text.Reveal(), "PLAIN="+values["PLAIN"]+"\n", "", 1) + "LAST=z\n"
	c, err := u.SetText(secrets.NewString(edited))
	if err != nil || c == nil {
		t.Fatal(c, err)
	}
	if fmt.Sprint(c.Added, c.Changed, c.Removed) != "[LAST] [] [PLAIN]" {
		t.Errorf("told as %+v", c)
	}
	save(t, u)
	got := opened(t, path)
	if got["TWO_CHARACTERS"] != `a\nb` || got["LINES"] != values["LINES"] || got["LAST"] != "z" || len(got) != len(values)+1 {
		t.Errorf("opened %q", got)
	}
	u = unlock(t, path)
	if text, _ := u.Text(); !strings.HasPrefix(text.Reveal(), "# about\n") {
		t.Error("the comment is gone")
	}
	if c, err := u.SetText(text); err != nil || c == nil {
		t.Errorf("taken back: %+v, %v", c, err)
	}
	if same, _ := u.Text(); true {
		if c, err := u.SetText(same); err != nil || c != nil {
			t.Errorf("the same text is a change: %+v, %v", c, err)
		}
	}
}

// TestYAMLValuesKeepTheirTypes: what sops made a number stays one.
func TestYAMLValuesKeepTheirTypes(t *testing.T) {
	path, _ := operator(t, "secrets.yaml", secrets.YAML)
	u := unlock(t, path)
	if _, err := u.SetText(secrets.NewString("PORT: 8000\nFLAG: true\nCODE: \"0123\"\n")); err != nil {
		t.Fatal(err)
	}
	save(t, u)
	u = unlock(t, path)
	must(t)(u.Set("NAME", secrets.NewString("x")))
	save(t, u)
	u = unlock(t, path)
	if text, _ := u.Text(); text.Reveal() != "PORT: 8000\nFLAG: true\nCODE: \"0123\"\nNAME: x\n" {
		t.Errorf("reads %s", text.Reveal())
	}
}

func TestFaultsOfAnEditTellNoValue(t *testing.T) {
	const canary = "canary-0815"
	for _, tt := range []struct{ file, text, want string }{
		{"secrets.env", "GOOD=x\n" + canary + "\n", "line 2"},
		{"secrets.env", "GOOD=x\n" + canary + "=x\n", "line 2"},
		{"secrets.env", "A=" + canary + "\nA=y\n", "A is given twice"},
		{"secrets.env", "A=" + canary + "\x00\n", "zero byte"},
		{"secrets.env", "sops_mac=" + canary + "\n", "line 1"},
		{"secrets.yaml", "A: [" + canary + "]\n", "A is not a single value"},
		{"secrets.yaml", "A: x\n" + canary + "\n", "line 2"},
		{"secrets.yaml", "A: x\n---\nB: " + canary + "\n", "more than one"},
		{"secrets.yaml", "a-b: " + canary + "\n", "secret 1"},
		{"secrets.yaml", canary + "\n", "not valid yaml"},
		{"secrets.yaml", "A: *" + canary + "\n", "not valid yaml"}, // which yaml takes for an alias, and quotes
		{"secrets.json", `{"A": ` + canary + `}`, "not valid json"},
		{"secrets.json", `{"A": {"b": "` + canary + `"}}`, "A is not a single value"},
	} {
		path, _ := operator(t, tt.file, formats[tt.file])
		u := unlock(t, path)
		c, err := u.SetText(secrets.NewString(tt.text))
		var input *secrets.InputError
		if !errors.As(err, &input) || c != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v, %v; want %s", tt.file, tt.text, c, err, tt.want)
		}
		if err != nil && strings.Contains(fmt.Sprintf("%+v", input), canary) {
			t.Errorf("%s: the fault tells the value: %+v", tt.file, input)
		}
		u.Close()
	}
}

func TestRotateEncryptsAnew(t *testing.T) {
	path, _ := operator(t, "secrets.yaml", secrets.YAML)
	before := ciphertexts(t, path)
	u := unlock(t, path)
	must(t)(true, u.Rotate())
	save(t, u)
	for _, text := range ciphertexts(t, path) {
		if slices.Contains(before, text) {
			t.Error("a value is the same bytes as before")
		}
	}
	if got := opened(t, path); !maps.Equal(got, values) {
		t.Errorf("opened %q", got)
	}
}

func TestRecipients(t *testing.T) {
	path, op := operator(t, "secrets.env", secrets.Dotenv)
	other, _ := secrets.NewIdentity()
	before := ciphertexts(t, path)
	u := unlock(t, path)
	must(t)(u.AddRecipient(" " + other.Recipient + "\n"))
	if changed, err := u.AddRecipient(other.Recipient); err != nil || changed {
		t.Errorf("added twice: %v, %v", changed, err)
	}
	save(t, u)
	if !slices.Equal(ciphertexts(t, path), before) {
		t.Error("adding a recipient changed the values")
	}
	if got, err := secrets.Open([]byte(readFile(t, path)), "dotenv", other.Key.Reveal()); err != nil || !maps.Equal(got, values) {
		t.Errorf("the new recipient opens %q, %v", got, err)
	}
	f, err := secrets.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	all, err := f.Recipients()
	want := []secrets.Recipient{{Kind: "age", Name: op.Recipient, Yours: true}, {Kind: "age", Name: other.Recipient}}
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("listed %+v, %v", all, err)
	}
	u = unlock(t, path)
	must(t)(u.RemoveRecipient(other.Recipient))
	save(t, u)
	if _, err := secrets.Open([]byte(readFile(t, path)), "dotenv", other.Key.Reveal()); err == nil {
		t.Error("who was taken out opens it still")
	}
	for _, text := range ciphertexts(t, path) {
		if slices.Contains(before, text) {
			t.Error("the data key that was known is used still")
		}
	}
}

// TestNobodyLocksHimselfOut, and a private key is never repeated.
func TestNobodyLocksHimselfOut(t *testing.T) {
	path, op := operator(t, "secrets.env", secrets.Dotenv)
	other, _ := secrets.NewIdentity()
	before := readFile(t, path)
	u := unlock(t, path)
	if _, err := u.RemoveRecipient(op.Recipient); err == nil || !strings.Contains(err.Error(), "last one") {
		t.Errorf("the last one: %v", err)
	}
	must(t)(u.AddRecipient(other.Recipient))
	if _, err := u.RemoveRecipient(op.Recipient); err == nil || !strings.Contains(err.Error(), "yourself") {
		t.Errorf("oneself: %v", err)
	}
	_, err := u.AddRecipient(other.Key.Reveal())
	var input *secrets.InputError
	if !errors.As(err, &input) || strings.Contains(fmt.Sprintf("%+v", input), other.Key.Reveal()) {
		t.Errorf("a private key: %+v", input)
	}
	if readFile(t, path) != before {
		t.Error("the file was changed")
	}
}

// TestOtherKeysAreKept: a file that a Vault server opens too is so after every
// change, also for the fresh data key.
func TestOtherKeysAreKept(t *testing.T) {
	vault := httptest.NewServer(transit(t))
	defer vault.Close()
	t.Setenv("VAULT_ADDR", vault.URL)
	t.Setenv("VAULT_TOKEN", "t")
	path, _ := operator(t, "secrets.yaml", secrets.YAML)
	add := exec.Command(sopsCommand(t), "rotate", "--in-place", "--add-hc-vault-transit", vault.URL+"/v1/transit/keys/cattle", path)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	u := unlock(t, path)
	must(t)(u.Set("NEW", secrets.NewString("x")))
	must(t)(true, u.Rotate())
	save(t, u)
	os.Unsetenv("SOPS_AGE_KEY_FILE") // Vault is the only way from here on
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	if got := opened(t, path); got["NEW"] != "x" {
		t.Errorf("Vault opens %q", got)
	}
}

func TestManyAtOnce(t *testing.T) {
	path, _ := operator(t, "secrets.env", secrets.Dotenv)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			u, err := secrets.Unlock(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer u.Close()
			if _, err := u.Set(fmt.Sprintf("N%d", i), secrets.NewString("x")); err != nil {
				t.Error(err)
			}
			if err := u.Save(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := opened(t, path); len(got) != len(values)+8 {
		t.Errorf("%d of %d are there: %v", len(got), len(values)+8, slices.Sorted(maps.Keys(got)))
	}
}

func TestChangedMeanwhile(t *testing.T) {
	path, _ := operator(t, "secrets.env", secrets.Dotenv)
	u := unlock(t, path)
	must(t)(u.Set("NEW", secrets.NewString("x")))
	theirs := readFile(t, path) + "# git was here\n"
	writeFile(t, path, []byte(theirs))
	var input *secrets.InputError
	if err := u.Save(); !errors.As(err, &input) || !strings.Contains(err.Error(), "meanwhile") {
		t.Errorf("got %v", err)
	}
	if readFile(t, path) != theirs {
		t.Error("somebody else's change is lost")
	}
}

func TestUnlockFaults(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		spoil      func(string) string
	}{
		{"a conflict", "merge conflict in it, at line 2", func(s string) string {
			first, rest, _ := strings.Cut(s, "\n")
			return first + "\n<<<<<<< HEAD\n" + rest + "=======\n" + rest + ">>>>>>> theirs\n"
		}},
		{"a value taken out", "its MAC does not fit", func(s string) string { return regexp.MustCompile(`(?m)^SPACED=.*\n`).ReplaceAllString(s, "") }},
		{"two values swapped", "its MAC does not fit", func(s string) string {
			return strings.NewReplacer("PLAIN=", "SPACED=", "SPACED=", "PLAIN=").Replace(s)
		}},
	} {
		path, _ := operator(t, "secrets.env", secrets.Dotenv)
		writeFile(t, path, []byte(tt.spoil(readFile(t, path))))
		_, err := secrets.Unlock(path)
		var input *secrets.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), tt.want) || input.Hint == "" {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}
