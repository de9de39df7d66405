package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// nobody owns the data and runs the app: a number, since the image has no
// /etc/passwd.
const nobody = 65534

// layerOf is everything that is in the image. A new volume takes over the owner
// of the folder that it is mounted on.
func layerOf(binary []byte) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "data/", Mode: 0o750, Uid: nobody, Gid: nobody},
		{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777},
		{Typeflag: tar.TypeReg, Name: "blog", Mode: 0o755, Size: int64(len(binary))},
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

// A tagged image has one layer.
type tagged struct {
	tag   name.Tag
	image v1.Image
}

func imageOf(layer v1.Layer, repository, tag, arch string) (tagged, error) {
	ref, err := name.NewTag(repository+":"+tag, name.StrictValidation)
	if err != nil {
		return tagged{}, err
	}
	env := []string{"PATH=/", "RELEASE=" + tag}
	for suffix, kind := range map[string]string{"-broken": "health", "-exits": "exit", "-tires": "load"} {
		if strings.HasSuffix(tag, suffix) {
			env = append(env, "BROKEN="+kind)
		}
	}
	base, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: arch, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			Entrypoint: []string{"/blog"}, Cmd: []string{"serve"}, Env: env, User: "65534:65534",
			ExposedPorts: map[string]struct{}{"8000/tcp": {}},
		}})
	if err != nil {
		return tagged{}, err
	}
	image, err := mutate.AppendLayers(base, layer)
	return tagged{ref, image}, err
}

// save writes the images as `docker save` does, always in the same order: the
// library's own writer takes that of a map.
func save(to io.Writer, layer v1.Layer, images []tagged) error {
	w := tar.NewWriter(to)
	packed, err := compressed(layer)
	if err != nil {
		return err
	}
	byRef := map[name.Reference]v1.Image{}
	for _, one := range images {
		byRef[one.tag] = one.image
	}
	manifest, err := tarball.ComputeManifest(byRef) // sorted by tag
	if err != nil {
		return err
	}
	if err := entry(w, manifest[0].Layers[0], packed); err != nil {
		return err
	}
	for _, one := range images {
		if err := saveConfig(w, one.image); err != nil {
			return err
		}
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	return errors.Join(entry(w, "manifest.json", text), w.Close())
}

func saveConfig(w *tar.Writer, image v1.Image) error {
	name, err := image.ConfigName()
	if err != nil {
		return err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	return entry(w, name.String(), config)
}

func entry(w *tar.Writer, name string, text []byte) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
		return err
	}
	_, err := w.Write(text)
	return err
}

func compressed(layer v1.Layer) ([]byte, error) {
	r, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
