package sandbox

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// login is what a registry demands.
type login struct{ user, password string }

// MissingImage makes registries deny that they have an image, such as
// "ghcr.io/me/blog:v9" or "nginx:9". With Machines there are none, and this
// does nothing.
func (c *Cloud) MissingImage(ref string) {
	if c.real() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missing[canonical(ref)] = true
}

// RegistryLogin makes a registry host demand basic authentication. With
// Machines it does nothing.
func (c *Cloud) RegistryLogin(host, user, password string) {
	if c.real() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logins[host] = login{user, password}
}

// ImageDigest is the digest that registries answer for an image reference
// with a tag.
func ImageDigest(ref string) string {
	return digest(imageManifest(canonical(ref)))
}

// canonical writes a reference in full: Docker Hub's short names have a
// registry and a library, and a reference without a tag means latest.
func canonical(ref string) string {
	host, rest, found := strings.Cut(ref, "/")
	if !found || !strings.ContainsAny(host, ".:") && host != "localhost" {
		host, rest = "docker.io", ref
	}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = "docker.io"
	}
	if host == "docker.io" && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	if !strings.Contains(rest, "@") && !strings.Contains(rest[strings.LastIndexByte(rest, '/')+1:], ":") {
		rest += ":latest"
	}
	return host + "/" + rest
}

// registry is a container registry that has every image but the missing ones.
func (c *Cloud) registry(host string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		rest, v2 := strings.CutPrefix(r.URL.Path, "/v2/")
		switch {
		case !v2:
			http.NotFound(w, r)
		case !c.loggedIn(host, r):
			w.Header().Set("WWW-Authenticate", `Basic realm="`+host+`"`)
			registryError(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		case rest == "":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "{}")
		default:
			c.serveImage(w, r, host, rest)
		}
	})
}

func (c *Cloud) loggedIn(host string, r *http.Request) bool {
	c.mu.Lock()
	want, demanded := c.logins[host]
	c.mu.Unlock()
	user, password, _ := r.BasicAuth()
	return !demanded || user == want.user && subtle.ConstantTimeCompare([]byte(password), []byte(want.password)) == 1
}

func (c *Cloud) serveImage(w http.ResponseWriter, r *http.Request, host, rest string) {
	if name, ref, found := strings.Cut(rest, "/manifests/"); found {
		c.serveManifest(w, r, host+"/"+name, ref)
		return
	}
	if _, ref, found := strings.Cut(rest, "/blobs/"); found && ref == digest(imageConfig()) {
		serveBlob(w, r, "application/octet-stream", imageConfig())
		return
	}
	registryError(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
}

func (c *Cloud) serveManifest(w http.ResponseWriter, r *http.Request, name, ref string) {
	full := canonical(name + ":" + ref)
	c.mu.Lock()
	if strings.HasPrefix(ref, "sha256:") {
		// What was never asked for by its tag has no content here.
		full = c.state.Pulled[ref]
	}
	missing := full == "" || c.missing[full]
	if !missing && c.state.Pulled[ImageDigest(full)] == "" {
		c.state.Pulled[ImageDigest(full)] = full
		c.touch()
	}
	c.unlock()
	if missing {
		registryError(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	serveBlob(w, r, "application/vnd.oci.image.manifest.v1+json", imageManifest(full))
}

func serveBlob(w http.ResponseWriter, r *http.Request, kind string, b []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Docker-Content-Digest", digest(b))
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	if r.Method != http.MethodHead {
		w.Write(b)
	}
}

func registryError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(obj{"errors": []obj{{"code": code, "message": message, "detail": nil}}})
}

// imageManifest is an OCI manifest of an image without layers; the reference
// in it makes its digest the reference's own.
func imageManifest(ref string) []byte {
	const config = "application/vnd.oci.image.config.v1+json"
	b, err := json.Marshal(obj{
		"schemaVersion": 2,
		"mediaType":     "application/vnd.oci.image.manifest.v1+json",
		"config":        obj{"mediaType": config, "digest": digest(imageConfig()), "size": len(imageConfig())},
		"layers":        []obj{},
		"annotations":   obj{"org.opencontainers.image.ref.name": ref},
	})
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return b
}

func imageConfig() []byte {
	return []byte(`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`)
}

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }
