package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cattle/secrets"
)

// leakProfile uses a secret everywhere that a profile can.
const leakProfile = `app: blog
domain: blog.example.com
image: ghcr.io/me/blog
port: 8000
env: {DATABASE_URL: "postgres://app:${DB_PASSWORD}@db/app"}
routes: [{path: /, to: "web:8000"}, {path: /admin, to: "web:8000", auth: "${ADMINS}"}]
secrets: {file: secrets.env}
mail: {relay: smtp.example.net, from: a@blog.example.com, root: b@example.net, username: "${SMTP_USER}", password: "${SMTP_PASSWORD}"}
registry: [{server: registry.example.net, username: me, password: "${REGISTRY_PASSWORD}"}]
health: {interval: 100ms, deadline: 5s}
`

// TestNoSecretIsSeen runs every verb that touches secrets, also one that is
// refused, and searches all that can be seen for every value and for the
// operator's and the droplet's keys: user-data, plans, output, the API's traffic.
func TestNoSecretIsSeen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	box, err := startSandbox(t.Context(), sandboxOptions{dir: filepath.Join(dir, "box"), listen: "127.0.0.1:0", socks: "127.0.0.1:0",
		latency: "none", broken: []string{"v2=fails-step:secrets", "v3=never-healthy"}})
	if err != nil {
		t.Fatal(err)
	}
	defer box.close()
	values := map[string]string{"DB_PASSWORD": "leak-database-0001", "ADMINS": "root:leak-admins-0002", "SMTP_USER": "leak-user-0003",
		"SMTP_PASSWORD": "leak-smtp-0004", "REGISTRY_PASSWORD": "leak-registry-0005"}
	operator := leakFiles(t, dir, values)
	env := append(os.Environ(), "SOPS_AGE_KEY_FILE="+filepath.Join(dir, "age.key"))
	for name, value := range box.env {
		env = append(env, name+"="+value)
	}

	var seen bytes.Buffer
	for _, args := range []string{"check --json", "plan v1", "plan --json v1", "render v1", "render --format files -o tree v1", "release v1", "release --report v2.html v2", "release --json --report v3.html v3",
		"release --report v4.html v4", "bake", "bake --json v4", "release v5", "rollback", "unpin", "rebuild", "status --json", "gc", "destroy --yes"} {
		cmd := exec.CommandContext(t.Context(), typedCattle(t), strings.Fields(args)...)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, &seen, &seen
		err := cmd.Run()
		if refused := strings.Contains(args, "v2") || strings.Contains(args, "v3"); refused != (err != nil) {
			t.Errorf("cattle %s: %v\n%s", args, err, &seen)
		}
	}
	for _, r := range box.cloud.Requests() {
		seen.WriteString(r.Path + r.Query + r.Body)
	}
	filepath.WalkDir(filepath.Join(dir, "tree"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, _ := os.ReadFile(path)
			seen.Write(b)
		}
		return err
	})
	for _, page := range []string{"v2.html", "v3.html", "v4.html"} {
		b, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil {
			t.Error(err)
		}
		seen.Write(b)
	}
	all := unpacked(t, seen.Bytes())
	values["the operator's key"] = operator
	if key := regexp.MustCompile(`AGE-SECRET-KEY-1[0-9A-Z]{20,}`).Find(all); key != nil {
		t.Error("an age key was seen")
	}
	for name, value := range values {
		for _, form := range []string{value, base64.StdEncoding.EncodeToString([]byte(value))} {
			if i := bytes.Index(all, []byte(form)); i >= 0 {
				t.Errorf("%s was seen: …%s…", name, all[max(0, i-80):min(len(all), i+80)])
			}
		}
	}
	// The search itself has to be able to find: the ciphertext is there.
	if !bytes.Contains(all, []byte("ENC[AES256_GCM")) || !bytes.Contains(all, []byte("${DB_PASSWORD}")) {
		t.Error("the sealed secrets were not among what was searched")
	}
}

func leakFiles(t *testing.T, dir string, values map[string]string) (operatorKey string) {
	t.Helper()
	id, err := secrets.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	var pairs []secrets.Pair
	for name, value := range values {
		pairs = append(pairs, secrets.Pair{Name: name, Value: secrets.NewString(value)})
	}
	sealed, err := secrets.Encrypt(secrets.Dotenv, pairs, id.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"cattle.yaml": leakProfile, "secrets.env": string(sealed), "age.key": id.Key.Reveal()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return id.Key.Reveal()
}

// typedCattle is cattle as it is typed: the test binary under its other name.
func typedCattle(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("cattle")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// unpacked is b, and behind it everything in it that is base64 or gzip.
func unpacked(t *testing.T, b []byte) []byte {
	t.Helper()
	out := bytes.Clone(b)
	for _, word := range bytes.FieldsFunc(b, func(r rune) bool { return r == ' ' || r == '\n' || r == '"' || r == '\\' }) {
		raw, err := base64.StdEncoding.DecodeString(string(word))
		if err != nil || len(raw) < 16 {
			continue
		}
		out = append(append(out, '\n'), raw...)
		if plain, err := gunzip(raw); err == nil {
			out = append(append(out, '\n'), plain...)
		}
	}
	return out
}

func gunzip(b []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
