// Command image packs what tests of data boot into one file, as `docker save`
// writes it:
//
//	image -o rows.tar public.example.net/rows:v1=BINARY          the app; -broken is never healthy
//	image -o servers.tar public.example.net/mariadb:11=ROOT.tar  a root with /entrypoint
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	file := flags.String("o", "images.tar", "`file` to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	images := map[name.Reference]v1.Image{}
	for _, arg := range flags.Args() {
		tag, from, _ := strings.Cut(arg, "=")
		ref, err := name.NewTag(tag, name.StrictValidation)
		if err != nil {
			return err
		}
		if images[ref], err = imageOf(ref, from); err != nil {
			return fmt.Errorf("%s: %w", arg, err)
		}
	}
	if len(images) == 0 {
		return errors.New("usage: image [-o FILE] TAG=PATH…")
	}
	return tarball.MultiRefWriteToFile(*file, images)
}

func imageOf(ref name.Tag, from string) (v1.Image, error) {
	config := v1.Config{Entrypoint: []string{"/entrypoint"}, Env: []string{"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "RELEASE=" + ref.TagStr()}}
	layer, err := tarball.LayerFromFile(from)
	if !strings.HasSuffix(from, ".tar") {
		config.User, config.ExposedPorts = "65534:65534", map[string]struct{}{"8000/tcp": {}}
		layer, err = programLayer(from)
	}
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(ref.TagStr(), "-broken") {
		config.Env = append(config.Env, "BROKEN=yes")
	}
	base, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, RootFS: v1.RootFS{Type: "layers"}, Config: config})
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(base, layer)
}

// programLayer has a static program, and the folders that its user may write to.
func programLayer(path string) (v1.Layer, error) {
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "data/", Mode: 0o750, Uid: 65534, Gid: 65534},
		{Typeflag: tar.TypeDir, Name: "uploads/", Mode: 0o750, Uid: 65534, Gid: 65534},
		{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777},
		{Typeflag: tar.TypeReg, Name: "entrypoint", Mode: 0o755, Size: int64(len(binary))},
	} {
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
	}
	if _, err := w.Write(binary); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
}
