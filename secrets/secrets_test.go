package secrets_test

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keys"

	"cattle/secrets"
)

// values are what mangles easily: quotes, dollars, spaces, a line break.
var values = map[string]string{
	"PLAIN":  "plain-value-4711",
	"ODD":    `d$ollar ${X} 'single' "double" back\slash # hash`,
	"SPACED": "  in the middle  ",
	"LINES":  "first\nsecond",
}

var formats = map[string]secrets.Format{"secrets.env": secrets.Dotenv, "secrets.yaml": secrets.YAML, "secrets.json": secrets.JSON}

// operator makes an age key, the way to it in the environment, and a file that it opens.
func operator(t *testing.T, name string, format secrets.Format) (path string, id secrets.Identity) {
	t.Helper()
	id, err := secrets.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	var pairs []secrets.Pair
	for n, v := range values {
		pairs = append(pairs, secrets.Pair{Name: n, Value: secrets.NewString(v)})
	}
	raw, err := secrets.Encrypt(format, pairs, id.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), name)
	writeFile(t, path, raw)
	keyFile := filepath.Join(t.TempDir(), "keys.txt")
	writeFile(t, keyFile, []byte(id.Key.Reveal()+"\n"))
	t.Setenv("SOPS_AGE_KEY_FILE", keyFile)
	return path, id
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func seal(t *testing.T, path string) (sealed []byte, droplet secrets.Identity, f *secrets.File) {
	t.Helper()
	f, err := secrets.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if droplet, err = secrets.NewIdentity(); err != nil {
		t.Fatal(err)
	}
	if sealed, err = f.Seal(droplet.Recipient); err != nil {
		t.Fatal(err)
	}
	return sealed, droplet, f
}

func TestSealIsForOneDropletAlone(t *testing.T) {
	for name, format := range formats {
		t.Run(string(format), func(t *testing.T) {
			path, op := operator(t, name, format)
			sealed, droplet, f := seal(t, path)
			if len(f.Names) != len(values) {
				t.Errorf("names: %v", f.Names)
			}
			if bytes.Contains(sealed, []byte(op.Recipient)) {
				t.Error("the operator's recipient is in the sealed copy")
			}
			for n, v := range values {
				if bytes.Contains(sealed, []byte(strings.TrimSpace(v))) {
					t.Errorf("the value of %s is in the sealed copy", n)
				}
			}
			got, err := secrets.Open(sealed, string(format), droplet.Key.Reveal())
			if err != nil || !maps.Equal(got, values) {
				t.Errorf("opened %q, %v", got, err)
			}
			// The operator's key is in the environment, and must not help.
			stranger, _ := secrets.NewIdentity()
			for _, key := range []string{op.Key.Reveal(), stranger.Key.Reveal()} {
				if got, err := secrets.Open(sealed, string(format), key); err == nil {
					t.Errorf("another key opened it: %v", got)
				}
			}
		})
	}
}

// sopsCommand builds the real sops, of the version that go.mod pins, with the
// race detector when the test has it: then all that sops is made of has been
// compiled for the test already.
func sopsCommand(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "sops")
	args := []string{"build", fmt.Sprintf("-race=%v", raceDetector), "-o", bin, "github.com/getsops/sops/v3/cmd/sops"}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("build sops: %v\n%s", err, out)
	}
	info, err := buildinfo.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	if race := slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}); race != raceDetector {
		t.Errorf("sops has the race detector: %v, this test: %v", race, raceDetector)
	}
	return bin
}

// TestSopsOpensTheSealedFile asks the sops command, with the droplet's key and
// with others, and nothing else in its environment.
func TestSopsOpensTheSealedFile(t *testing.T) {
	bin := sopsCommand(t)
	for name, format := range formats {
		t.Run(string(format), func(t *testing.T) {
			path, op := operator(t, name, format)
			sealed, droplet, _ := seal(t, path)
			file := filepath.Join(t.TempDir(), "secrets.sops")
			writeFile(t, file, sealed)
			decrypt := func(key string) (map[string]string, error) {
				cmd := exec.Command(bin, "decrypt", "--input-type", string(format), "--output-type", "json", file)
				cmd.Env = []string{"SOPS_AGE_KEY=" + key, "HOME=" + t.TempDir()}
				out, err := cmd.Output()
				if err != nil {
					return nil, err
				}
				var got map[string]string
				return got, json.Unmarshal(out, &got)
			}
			got, err := decrypt(droplet.Key.Reveal())
			if err != nil || !maps.Equal(got, values) {
				t.Errorf("sops opened %q, %v", got, err)
			}
			stranger, _ := secrets.NewIdentity()
			for _, key := range []string{op.Key.Reveal(), stranger.Key.Reveal()} {
				if got, err := decrypt(key); err == nil {
					t.Errorf("sops opened it with another key: %v", got)
				}
			}
		})
	}
}

// TestSealFromAnotherKeyType seals a file whose data key is held by a Vault
// server: the operator's side may be any key type that sops knows.
func TestSealFromAnotherKeyType(t *testing.T) {
	vault := httptest.NewServer(transit(t))
	defer vault.Close()
	t.Setenv("VAULT_ADDR", vault.URL)
	t.Setenv("VAULT_TOKEN", "t")
	path, _ := operator(t, "secrets.yaml", secrets.YAML)
	bin := sopsCommand(t)
	rotate := exec.Command(bin, "rotate", "--in-place", "--add-hc-vault-transit", vault.URL+"/v1/transit/keys/cattle", path)
	if out, err := rotate.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// From here on Vault is the only way to the data key.
	os.Unsetenv("SOPS_AGE_KEY_FILE")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	sealed, droplet, _ := seal(t, path)
	got, err := secrets.Open(sealed, "yaml", droplet.Key.Reveal())
	if err != nil || !maps.Equal(got, values) {
		t.Errorf("opened %q, %v", got, err)
	}
	if bytes.Contains(sealed, []byte("hc_vault")) && bytes.Contains(sealed, []byte(vault.URL)) {
		t.Error("the Vault key is still in the sealed copy")
	}
}

// transit is the part of Vault's transit engine that sops calls; the
// "ciphertext" is marked plain text.
func transit(t *testing.T) http.Handler {
	var _ keys.MasterKey = &hcvault.MasterKey{}
	mux := http.NewServeMux()
	answer := func(in, out, prefix string, strip bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var body map[string]string
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
			text := prefix + body[in]
			if strip {
				text = strings.TrimPrefix(body[in], prefix)
			}
			json.NewEncoder(w).Encode(map[string]any{"data": map[string]string{out: text}})
		}
	}
	mux.HandleFunc("/v1/transit/encrypt/cattle", answer("plaintext", "ciphertext", "vault:v1:", false))
	mux.HandleFunc("/v1/transit/decrypt/cattle", answer("ciphertext", "plaintext", "vault:v1:", true))
	return mux
}

func TestNoneOfYourKeys(t *testing.T) {
	path, _ := operator(t, "secrets.env", secrets.Dotenv)
	os.Unsetenv("SOPS_AGE_KEY_FILE")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	f, err := secrets.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	droplet, _ := secrets.NewIdentity()
	var noKey *secrets.KeyError
	if _, err := f.Seal(droplet.Recipient); !errors.As(err, &noKey) {
		t.Errorf("got %v", err)
	}
}

// TestSealedFileIsTamperProof swaps two values: their MAC tells.
func TestSealedFileIsTamperProof(t *testing.T) {
	path, _ := operator(t, "secrets.json", secrets.JSON)
	sealed, droplet, _ := seal(t, path)
	var doc map[string]any
	if err := json.Unmarshal(sealed, &doc); err != nil {
		t.Fatal(err)
	}
	delete(doc, "PLAIN")
	less, _ := json.Marshal(doc)
	if got, err := secrets.Open(less, "json", droplet.Key.Reveal()); err == nil {
		t.Errorf("opened %v", got)
	}
}

func TestReadFaults(t *testing.T) {
	encrypted := func(t *testing.T) string {
		path, _ := operator(t, "secrets.yaml", secrets.YAML)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	tests := []struct {
		name, file string
		content    func(*testing.T) string
		want       string
	}{
		{"missing", "none.env", nil, "no such file"},
		{"not encrypted", "a.env", func(*testing.T) string { return "A=b\n" }, "not encrypted"},
		{"unknown kind", "a.txt", func(*testing.T) string { return "A=b\n" }, "ends in .env, .yaml or .json"},
		{"one value in the open", "a.yaml", func(t *testing.T) string { return "OPEN: hunter2\n" + encrypted(t) }, "the value of OPEN is not encrypted"},
		{"nested", "a.yaml", func(t *testing.T) string { return "DB:\n    password: x\n" + encrypted(t) }, "DB is not a single value"},
		{"no name", "a.yaml", func(t *testing.T) string { return "a-b: ENC[x]\n" + encrypted(t) }, `"a-b" cannot be the name`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tt.file)
			if tt.content != nil {
				writeFile(t, path, []byte(tt.content(t)))
			}
			_, err := secrets.Read(path)
			var input *secrets.InputError
			if !errors.As(err, &input) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error()+input.Hint, "hunter2") {
				t.Error("the error tells the value")
			}
		})
	}
}

// TestReadOddFiles: a fifo would hang, a device never end.
func TestReadOddFiles(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(syscall.Mkfifo(in("pipe.env"), 0o600), os.Mkdir(in("folder.env"), 0o700), os.Symlink("/dev/zero", in("zero.env"))); err != nil {
		t.Fatal(err)
	}
	writeFile(t, in("huge.env"), bytes.Repeat([]byte("A=b\n"), 1<<18+1))
	for name, want := range map[string]string{
		"pipe.env": "not a regular file", "folder.env": "not a regular file", "zero.env": "not a regular file", "huge.env": "larger than 1 MiB",
	} {
		_, err := secrets.Read(in(name))
		var input *secrets.InputError
		if !errors.As(err, &input) || input.Msg != want || input.Hint == "" {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

func TestStringIsNeverShown(t *testing.T) {
	s := secrets.NewString("hunter2")
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := secrets.ParseIdentity(id.String())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s, "id", whole)
	asJSON, _ := json.Marshal(map[string]any{"s": s, "id": whole})
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %q %s", s, whole, whole, s, whole), log.String(), string(asJSON)} {
		if strings.Contains(shown, "hunter2") || strings.Contains(shown, id.String()) {
			t.Errorf("shown: %s", shown)
		}
	}
	if s.Reveal() != "hunter2" || whole.Key.Reveal() != id.String() {
		t.Error("Reveal is the way to the text")
	}
}
