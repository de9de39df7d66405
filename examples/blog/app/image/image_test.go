package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// TestImages builds images as a rehearsal does, twice, and reads them as a
// registry does.
func TestImages(t *testing.T) {
	file := filepath.Join(t.TempDir(), "images.tar")
	var printed, again bytes.Buffer
	if err := run([]string{"-o", file, "v1.0.0", "v2-broken", "v3-exits", "v4-tires", "v1.0.0"}, &printed); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "images.tar")
	if err := run([]string{"-o", other, "v3-exits", "v4-tires", "v1.0.0", "v2-broken"}, &again); err != nil {
		t.Fatal(err)
	}
	one, _ := os.ReadFile(file)
	two, _ := os.ReadFile(other)
	if !bytes.Equal(one, two) || len(one) == 0 || printed.String() != again.String() {
		t.Errorf("two builds differ: %d and %d bytes\n%s%s", len(one), len(two), &printed, &again)
	}
	for tag, broken := range map[string]string{"v1.0.0": "", "v2-broken": "health", "v3-exits": "exit", "v4-tires": "load"} {
		ref, err := name.NewTag("ghcr.io/example/blog:" + tag)
		if err != nil {
			t.Fatal(err)
		}
		image, err := tarball.ImageFromPath(file, &ref)
		if err != nil {
			t.Fatal(tag, err)
		}
		digest, err := image.Digest()
		if line := fmt.Sprintf("%s@%s\n", ref, digest); err != nil || !strings.Contains(printed.String(), line) {
			t.Errorf("it did not print %q, but\n%s", line, &printed)
		}
		checkConfig(t, image, tag, broken)
		checkLayer(t, image)
	}
}

func checkConfig(t *testing.T, image v1.Image, tag, broken string) {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=/", "RELEASE=" + tag}
	if broken != "" {
		env = append(env, "BROKEN="+broken)
	}
	c := file.Config
	if file.OS != "linux" || file.Architecture == "" || !slices.Equal(c.Entrypoint, []string{"/blog"}) || !slices.Equal(c.Env, env) || c.User != "65534:65534" {
		t.Errorf("%s is configured as %+v", tag, file)
	}
}

func checkLayer(t *testing.T, image v1.Image) {
	t.Helper()
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatal(len(layers), err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := map[string]string{}
	for files := tar.NewReader(r); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = fmt.Sprintf("%d:%d %o", h.Uid, h.Gid, h.Mode)
	}
	if len(got) != 3 || got["data/"] != "65534:65534 750" || got["tmp/"] != "0:0 1777" || got["blog"] != "0:0 755" {
		t.Error("the layer has", got)
	}
}

func TestWhatIsNoTag(t *testing.T) {
	for _, args := range [][]string{nil, {"a b"}, {"-arch", "vax", "v1"}} {
		if err := run(append([]string{"-o", filepath.Join(t.TempDir(), "x.tar")}, args...), io.Discard); err == nil {
			t.Errorf("%v makes an image", args)
		}
	}
}
