package sandbox_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"cattle/droplets/sandbox"
)

// fetch asks a registry.
func (r *rig) fetch(method, url, user string) (*http.Response, string) {
	r.t.Helper()
	req, _ := http.NewRequest(method, url, nil)
	if user != "" {
		req.SetBasicAuth(user, "secret")
	}
	res, err := r.HTTPClient().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res, string(b)
}

func TestRegistry(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	const base = "https://ghcr.io/v2/"
	if res, _ := r.fetch("GET", base, ""); res.StatusCode != 200 {
		t.Error("GET /v2/:", res.Status)
	}
	res, manifest := r.fetch("GET", base+"me/blog/manifests/v1", "")
	digest := res.Header.Get("Docker-Content-Digest")
	if sum := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(manifest))); digest != sum || digest != sandbox.ImageDigest("ghcr.io/me/blog:v1") {
		t.Error("digest", digest, "of", manifest)
	}
	var m struct {
		MediaType string
		Config    struct{ Digest string }
	}
	if err := json.Unmarshal([]byte(manifest), &m); err != nil || m.MediaType != res.Header.Get("Content-Type") {
		t.Error(err, manifest)
	}
	if res, config := r.fetch("GET", base+"me/blog/blobs/"+m.Config.Digest, ""); res.StatusCode != 200 || !strings.Contains(config, "amd64") {
		t.Error("config:", res.Status, config)
	}
	if res, body := r.fetch("HEAD", base+"me/blog/manifests/"+digest, ""); res.Header.Get("Docker-Content-Digest") != digest || body != "" {
		t.Error("by digest:", res.Status, body)
	}
	if other, _ := r.fetch("HEAD", base+"me/blog/manifests/v2", ""); other.Header.Get("Docker-Content-Digest") == digest {
		t.Error("another tag has the same digest")
	}
}

func TestMissingImage(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	r.MissingImage("nginx:9")
	res, body := r.fetch("HEAD", "https://registry-1.docker.io/v2/library/nginx/manifests/9", "")
	if res.StatusCode != 404 || body != "" {
		t.Error(res.Status, body)
	}
	res, body = r.fetch("GET", "https://index.docker.io/v2/library/nginx/manifests/9", "")
	if res.StatusCode != 404 || !strings.Contains(body, "MANIFEST_UNKNOWN") {
		t.Error(res.Status, body)
	}
	if res, _ = r.fetch("HEAD", "https://index.docker.io/v2/library/nginx/manifests/8", ""); res.StatusCode != 200 {
		t.Error("another tag:", res.Status)
	}
}

func TestRegistryLogin(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	r.RegistryLogin("ghcr.io", "me", "secret")
	res, body := r.fetch("GET", "https://ghcr.io/v2/", "")
	if res.StatusCode != 401 || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Basic ") || !strings.Contains(body, "UNAUTHORIZED") {
		t.Error(res.Status, res.Header, body)
	}
	if res, _ := r.fetch("GET", "https://ghcr.io/v2/me/blog/manifests/v1", "you"); res.StatusCode != 401 {
		t.Error("another user:", res.Status)
	}
	if res, _ := r.fetch("GET", "https://ghcr.io/v2/me/blog/manifests/v1", "me"); res.StatusCode != 200 {
		t.Error("logged in:", res.Status)
	}
}
