// Command image builds the blog and packs it into images, one a tag, which
// differ in the release that they say they are:
//
//	go run ./image -o images.tar v1.0.0 v1.1.0 v1.2.0-broken
//
// The file is what `docker save` writes: `docker load`, crane and a rehearsal
// read it. Same source, same Go, same bytes. It prints each image with its digest.
//
// A tag that ends in -broken makes an image that is never healthy, and one that
// ends in -exits an image that exits as soon as it starts. One that ends in
// -tires is healthy, and shows its page a hundred times.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	file := flags.String("o", "images.tar", "`file` to write")
	repository := flags.String("repository", "ghcr.io/example/blog", "repository of the images")
	arch := flags.String("arch", runtime.GOARCH, "architecture of the machines")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("usage: image [-o FILE] [-repository NAME] [-arch ARCH] TAG…")
	}
	binary, err := build(*arch)
	if err != nil {
		return err
	}
	layer, err := layerOf(binary)
	if err != nil {
		return err
	}
	var images []tagged
	for _, tag := range slices.Compact(slices.Sorted(slices.Values(flags.Args()))) {
		one, err := imageOf(layer, *repository, tag, *arch)
		if err != nil {
			return err
		}
		images = append(images, one)
	}
	if err := write(*file, layer, images); err != nil {
		return err
	}
	for _, one := range images {
		digest, err := one.image.Digest()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s@%s\n", one.tag, digest)
	}
	return nil
}

// build compiles the package in the folder above, without what would make the
// bytes differ from one checkout to the next.
func build(arch string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "blog-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "blog")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, "blog")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said)
	}
	return os.ReadFile(path)
}

func write(path string, layer v1.Layer, images []tagged) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(save(file, layer, images), file.Close())
}
