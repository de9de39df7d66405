package internet

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// pull gets an image as a droplet does, and reads all of it.
func (w *testWorld) pull(ref string, opts ...remote.Option) (v1.Image, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return nil, err
	}
	image, err := remote.Image(parsed, append(opts, remote.WithTransport(w.client.Transport))...)
	if err != nil {
		return nil, err
	}
	return image, validate.Image(image)
}

func randomImage(t *testing.T) v1.Image {
	t.Helper()
	image, err := random.Image(5000, 3)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func digestOf(t *testing.T, image interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	h, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

func wantStatus(t *testing.T, what string, err error, status int) {
	t.Helper()
	var fault *transport.Error
	if !errors.As(err, &fault) || fault.StatusCode != status {
		t.Errorf("%s: %v, want status %d", what, err, status)
	}
}

func TestPull(t *testing.T) {
	w := newWorld(t, Options{})
	image := randomImage(t)
	for _, ref := range []string{"nginx:1.29", "ghcr.io/me/blog:v1"} {
		if err := w.Registry.Push(ref, image); err != nil {
			t.Fatal(err)
		}
	}
	digest := digestOf(t, image)
	for _, ref := range []string{"nginx:1.29", "docker.io/library/nginx@" + digest, "ghcr.io/me/blog:v1"} {
		pulled, err := w.pull(ref)
		if err != nil {
			t.Fatalf("%s: %v", ref, err)
		}
		if d := digestOf(t, pulled); d != digest {
			t.Errorf("%s: %s, want %s", ref, d, digest)
		}
	}
	_, err := w.pull("docker.io/me/blog:v1")
	wantStatus(t, "an image of another registry", err, http.StatusNotFound)
	var refs []string
	for _, p := range w.Registry.Pulls() {
		refs = append(refs, p.Ref)
	}
	if want := []string{"docker.io/library/nginx:1.29", "docker.io/library/nginx@" + digest, "ghcr.io/me/blog:v1"}; !slices.Equal(refs, want) {
		t.Errorf("pulls %q, want %q", refs, want)
	}
}

func TestRegistryLogin(t *testing.T) {
	w := newWorld(t, Options{})
	image := randomImage(t)
	w.Registry.Login("ghcr.io", "me", "token")
	w.Registry.Login("index.docker.io", "hub", "word")
	for _, ref := range []string{"ghcr.io/me/blog:v1", "blog:v1", "quay.io/me/blog:v1"} {
		if err := w.Registry.Push(ref, image); err != nil {
			t.Fatal(err)
		}
	}
	basic := func(user, password string) remote.Option {
		return remote.WithAuth(&authn.Basic{Username: user, Password: password})
	}
	_, err := w.pull("ghcr.io/me/blog:v1")
	wantStatus(t, "no login", err, http.StatusUnauthorized)
	_, err = w.pull("ghcr.io/me/blog:v1", basic("me", "wrong"))
	wantStatus(t, "wrong password", err, http.StatusUnauthorized)
	_, err = w.pull("ghcr.io/me/blog:v1", basic("you", "token"))
	wantStatus(t, "wrong user", err, http.StatusUnauthorized)
	_, err = w.pull("blog:v1", basic("me", "token"))
	wantStatus(t, "another registry's login", err, http.StatusUnauthorized)
	for ref, login := range map[string]remote.Option{"ghcr.io/me/blog:v1": basic("me", "token"), "blog:v1": basic("hub", "word"), "quay.io/me/blog:v1": nil} {
		var opts []remote.Option
		if login != nil {
			opts = append(opts, login)
		}
		if _, err := w.pull(ref, opts...); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
	users := map[string]string{}
	for _, p := range w.Registry.Pulls() {
		users[p.Ref] = p.User
	}
	if users["ghcr.io/me/blog:v1"] != "me" || users["docker.io/library/blog:v1"] != "hub" || users["quay.io/me/blog:v1"] != "" || len(users) != 3 {
		t.Errorf("pulls by %v", users)
	}
}

func TestLoad(t *testing.T) {
	w := newWorld(t, Options{})
	first, second := randomImage(t), randomImage(t)
	var saved, zipped bytes.Buffer
	images := map[name.Reference]v1.Image{
		name.MustParseReference("blog:v1"):            first,
		name.MustParseReference("ghcr.io/me/blog:v1"): first,
		name.MustParseReference("ghcr.io/me/cron:v1"): second,
	}
	if err := tarball.MultiRefWrite(images, &saved); err != nil {
		t.Fatal(err)
	}
	gz := gzip.NewWriter(&zipped)
	gz.Write(saved.Bytes())
	gz.Close()
	for _, in := range []io.Reader{&saved, &zipped} {
		refs, err := w.Registry.Load(in)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(refs)
		if want := []string{"docker.io/library/blog:v1", "ghcr.io/me/blog:v1", "ghcr.io/me/cron:v1"}; !slices.Equal(refs, want) {
			t.Errorf("loaded %q, want %q", refs, want)
		}
		for ref, image := range map[string]v1.Image{"blog:v1": first, "ghcr.io/me/blog:v1": first, "ghcr.io/me/cron:v1": second} {
			pulled, err := w.pull(ref)
			if err != nil {
				t.Fatalf("%s: %v", ref, err)
			}
			want, _ := image.ConfigName()
			if got, err := pulled.ConfigName(); got != want {
				t.Errorf("%s: config %s, want %s, %v", ref, got, want, err)
			}
		}
	}
	if _, err := w.Registry.Load(strings.NewReader("no tar")); err == nil {
		t.Error("garbage was loaded")
	}
}

func TestFetch(t *testing.T) {
	w := newWorld(t, Options{})
	index, err := random.Index(3000, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	w.Registry.Fetch = func(_ context.Context, ref string) (Artifact, error) {
		asked.Add(1)
		if ref != "ghcr.io/me/blog:v1" {
			return nil, errors.New("no such image anywhere")
		}
		return index, nil
	}
	if err := w.Registry.Push("ghcr.io/me/here:v1", randomImage(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.pull("ghcr.io/me/here:v1"); err != nil || asked.Load() != 0 {
		t.Errorf("an image that is here: %v, asked %d times", err, asked.Load())
	}
	ref := name.MustParseReference("ghcr.io/me/blog:v1")
	for range 2 {
		got, err := remote.Index(ref, remote.WithTransport(w.client.Transport))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Index(got); err != nil {
			t.Error(err)
		}
		if digestOf(t, got) != digestOf(t, index) {
			t.Error("another index")
		}
	}
	if n := asked.Swap(0); n != 1 {
		t.Errorf("asked %d times", n)
	}
	for range 3 {
		_, err = w.pull("ghcr.io/me/gone:v1")
		wantStatus(t, "an image that is nowhere", err, http.StatusNotFound)
		if !strings.Contains(err.Error(), "no such image anywhere") {
			t.Errorf("%v says not why", err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A droplet may push, too.
func TestPushFromOutside(t *testing.T) {
	w := newWorld(t, Options{})
	image, ref := randomImage(t), name.MustParseReference("ghcr.io/me/built:v1")
	if err := remote.Write(ref, image, remote.WithTransport(w.client.Transport)); err != nil {
		t.Fatal(err)
	}
	pulled, err := w.pull(ref.String())
	if err != nil || digestOf(t, pulled) != digestOf(t, image) {
		t.Error(err)
	}
}
