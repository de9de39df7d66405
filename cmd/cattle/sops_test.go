package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"

	"cattle/secrets"
)

// TestSopsOpensWhatIsRendered takes the sealed file out of what `cattle
// render` made and gives it to the sops command: with the droplet's key it
// opens, with the operator's and with a stranger's it does not.
func TestSopsOpensWhatIsRendered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	values := map[string]string{"DB_PASSWORD": `p"a$s`, "ADMINS": "root:x", "SMTP_USER": "u", "SMTP_PASSWORD": "p", "REGISTRY_PASSWORD": "r"}
	operator := leakFiles(t, dir, values)
	render := exec.Command(typedCattle(t), "render", "--identity", "id.json", "--format", "files", "-o", "tree", "v1.0.0")
	render.Dir, render.Env = dir, append(os.Environ(), "SOPS_AGE_KEY_FILE="+filepath.Join(dir, "age.key"))
	if out, err := render.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "id.json"))
	if err != nil {
		t.Fatal(err)
	}
	var id identityFile
	if err := json.Unmarshal(raw, &id); err != nil {
		t.Fatal(err)
	}
	bin := buildSops(t)
	got, err := sopsDecrypt(t, bin, filepath.Join(dir, "tree/etc/cattle/secrets.sops"), id.Age)
	if err != nil || !maps.Equal(got, values) {
		t.Errorf("sops opened %v, %v", got, err)
	}
	stranger, err := secrets.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{operator, stranger.Key.Reveal()} {
		if got, err := sopsDecrypt(t, bin, filepath.Join(dir, "tree/etc/cattle/secrets.sops"), key); err == nil {
			t.Errorf("another key opened it: %v", got)
		}
	}
}

// buildSops builds the version that go.mod pins, with the race detector when
// this test has it: its dependencies are compiled once then.
func buildSops(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "sops")
	args := []string{"build", "-o", bin}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "github.com/getsops/sops/v3/cmd/sops")...).CombinedOutput(); err != nil {
		t.Fatalf("build sops: %v\n%s", err, out)
	}
	return bin
}

func sopsDecrypt(t *testing.T, bin, file, key string) (values map[string]string, err error) {
	t.Helper()
	cmd := exec.Command(bin, "decrypt", "--input-type", "dotenv", "--output-type", "json", file)
	cmd.Env = []string{"SOPS_AGE_KEY=" + key, "HOME=" + t.TempDir()}
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	return values, json.Unmarshal(out, &values)
}
