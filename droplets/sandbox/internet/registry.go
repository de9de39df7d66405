package internet

import (
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"golang.org/x/sync/singleflight"
)

// Registry is every container registry, each under its own host name:
// ghcr.io/a/b is not docker.io/a/b.
type Registry struct {
	// Fetch, if it is set, is asked for an image that is not here:
	// "ghcr.io/a/b:v1" or "ghcr.io/a/b@sha256:…". It gives a v1.Image or a
	// v1.ImageIndex, whose layers are read when a droplet asks for them; the
	// context lasts as long as the registry. Set it before the registry serves.
	Fetch func(ctx context.Context, ref string) (Artifact, error)

	blobs   *blobs
	ctx     context.Context
	cancel  context.CancelFunc
	fetches singleflight.Group

	mu     sync.Mutex
	hosts  map[string]*registryHost
	misses map[string]miss // by reference
	pulls  []Pull
}

// Artifact is a v1.Image or a v1.ImageIndex.
type Artifact interface{ RawManifest() ([]byte, error) }

// Pull is an image's manifest that was given out.
type Pull struct {
	At   time.Time
	Ref  string // "docker.io/library/nginx:1.29", or with @sha256:… in place of the tag
	User string // empty without a login
}

type registryHost struct {
	http.Handler
	user, password string // both empty: open to all
}

// miss is an image that Fetch did not have.
type miss struct {
	at  time.Time
	err error
}

const (
	// missedFor is how long Fetch is not asked again: one pull asks several times.
	missedFor = 10 * time.Second
	maxPulls  = 10_000 // that are remembered
	dockerHub = "docker.io"
)

func newRegistry(dir string) *Registry {
	r := &Registry{blobs: newBlobs(dir), hosts: map[string]*registryHost{}, misses: map[string]miss{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Login makes a registry demand a login, such as ghcr.io or docker.io.
func (r *Registry) Login(host, user, password string) {
	h := r.host(host)
	r.mu.Lock()
	defer r.mu.Unlock()
	h.user, h.password = user, password
}

// Pulls are those of all registries, oldest first; of very many the last ones.
func (r *Registry) Pulls() []Pull {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.pulls)
}

// ServeHTTP is the registry that the Host header names.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name := registryName(hostOf(req))
	h := r.host(name)
	user, ok := r.admit(h, req)
	if !ok {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", name))
		registryError(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return
	}
	ref, reads := manifestOf(req)
	if !reads {
		h.ServeHTTP(w, req)
		return
	}
	if err := r.provide(req.Context(), h, name, ref); err != nil {
		registryError(w, http.StatusNotFound, "MANIFEST_UNKNOWN", err.Error())
		return
	}
	s := &statusWriter{ResponseWriter: w}
	h.ServeHTTP(s, req)
	if req.Method == http.MethodGet && s.status == http.StatusOK {
		r.pulled(Pull{time.Now(), name + "/" + ref.String(), user})
	}
}

// host is the registry of a host name, made when it is first asked for.
func (r *Registry) host(name string) *registryHost {
	r.mu.Lock()
	defer r.mu.Unlock()
	name = registryName(name)
	h := r.hosts[name]
	if h == nil {
		h = &registryHost{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithBlobHandler(r.blobs))}
		r.hosts[name] = h
	}
	return h
}

// registryName has one name for Docker Hub, which has several.
func registryName(host string) string {
	if host == "registry-1.docker.io" || host == "index.docker.io" {
		return dockerHub
	}
	return strings.ToLower(host)
}

func (r *Registry) admit(h *registryHost, req *http.Request) (user string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	user, password, _ := req.BasicAuth()
	if h.user == "" && h.password == "" {
		return user, true
	}
	return user, user == h.user && subtle.ConstantTimeCompare([]byte(password), []byte(h.password)) == 1
}

func (r *Registry) pulled(p Pull) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pulls = append(r.pulls, p)
	if len(r.pulls) > maxPulls {
		r.pulls = slices.Delete(r.pulls, 0, len(r.pulls)-maxPulls)
	}
}

// manifest is a manifest's place in a registry.
type manifest struct{ repository, target string } // target: a tag, or a digest

func (m manifest) String() string {
	if strings.Contains(m.target, ":") {
		return m.repository + "@" + m.target
	}
	return m.repository + ":" + m.target
}

func (m manifest) path() string { return "/v2/" + m.repository + "/manifests/" + m.target }

// manifestOf is the manifest that a request wants to read.
func manifestOf(req *http.Request) (m manifest, reads bool) {
	rest, v2 := strings.CutPrefix(req.URL.Path, "/v2/")
	n := strings.LastIndex(rest, "/manifests/")
	if !v2 || n < 1 || req.Method != http.MethodGet && req.Method != http.MethodHead {
		return m, false
	}
	m = manifest{rest[:n], rest[n+len("/manifests/"):]}
	return m, m.target != "" && !strings.Contains(m.target, "/")
}

// provide has Fetch bring an image that is not here. That the registry then
// does not have it is no error; that Fetch failed is.
func (r *Registry) provide(ctx context.Context, h *registryHost, host string, m manifest) error {
	if r.Fetch == nil || inside(h, http.MethodHead, m.path(), "", nil) == http.StatusOK {
		return nil
	}
	ref := host + "/" + m.String()
	done := r.fetches.DoChan(ref, func() (any, error) { return nil, r.fetch(host, m, ref) })
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case result := <-done:
		return result.Err
	}
}

func (r *Registry) fetch(host string, m manifest, ref string) error {
	r.mu.Lock()
	missed := r.misses[ref]
	r.mu.Unlock()
	if !missed.at.IsZero() && time.Since(missed.at) < missedFor {
		return missed.err
	}
	artifact, err := r.Fetch(r.ctx, ref)
	if err == nil && artifact != nil {
		err = r.add(host, m, artifact)
	}
	if err != nil || artifact == nil {
		r.mu.Lock()
		r.misses[ref] = miss{time.Now(), err}
		r.mu.Unlock()
	}
	return err
}

func (r *Registry) close() error {
	r.cancel()
	return r.blobs.close()
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
