package droplets

import (
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestFetchImage gets an image and an index from a registry on loopback, and is
// told of one that is not there.
func TestFetchImage(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	repository := strings.TrimPrefix(server.URL, "http://") + "/me/app"
	image, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	index, err := random.Index(1000, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	ref := func(tag string) name.Reference {
		r, err := name.ParseReference(repository + ":" + tag)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if err := remote.Write(ref("one"), image); err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref("many"), index); err != nil {
		t.Fatal(err)
	}
	one, err := FetchImage(t.Context(), repository+":one")
	if got, ok := one.(v1.Image); err != nil || !ok || digest(t, got) != digest(t, image) {
		t.Errorf("the image: %v", err)
	}
	many, err := FetchImage(t.Context(), repository+":many")
	if got, ok := many.(v1.ImageIndex); err != nil || !ok || digest(t, got) != digest(t, index) {
		t.Errorf("the index: %v", err)
	}
	if _, err := FetchImage(t.Context(), repository+":none"); !ImageMissing(err) {
		t.Errorf("no image: %v", err)
	}
}

func digest(t *testing.T, of interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	h, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h
}
