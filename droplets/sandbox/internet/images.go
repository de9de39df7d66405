package internet

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Push puts an image, or an index of images, under a reference such as
// "nginx:1.29" or "ghcr.io/a/b:v1". Its layers are read when they are first
// asked for, and only then.
func (r *Registry) Push(ref string, image Artifact) error {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return err
	}
	return r.add(registryName(parsed.Context().RegistryStr()), manifest{parsed.Context().RepositoryStr(), parsed.Identifier()}, image)
}

// Load reads what `docker save` wrote, compressed or not, and puts all its
// images under the references that they were saved with, which it returns in
// full. An image that was saved without one is left out.
func (r *Registry) Load(saved io.Reader) (refs []string, err error) {
	open, err := r.spool(saved)
	if err != nil {
		return nil, err
	}
	images, err := tarball.LoadManifest(open)
	if err != nil {
		return nil, fmt.Errorf("not the output of docker save: %w", err)
	}
	for _, saved := range images {
		loaded, err := r.load(open, saved.RepoTags)
		refs = append(refs, loaded...)
		if err != nil {
			return refs, err
		}
	}
	return refs, nil
}

// spool copies a tar to where it can be read many times.
func (r *Registry) spool(saved io.Reader) (tarball.Opener, error) {
	in := bufio.NewReader(saved)
	var plain io.Reader = in
	if magic, err := in.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		if plain, err = gzip.NewReader(in); err != nil {
			return nil, err
		}
	}
	file, size, err := r.blobs.write(plain)
	if err != nil {
		return nil, err
	}
	return func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(file, 0, size)), nil }, nil
}

// load puts one image of a tar under all its tags.
func (r *Registry) load(open tarball.Opener, tags []string) (refs []string, err error) {
	var image v1.Image
	for _, s := range tags {
		tag, err := name.NewTag(s)
		if err != nil {
			return refs, err
		}
		if image == nil {
			if image, err = tarball.Image(open, &tag); err != nil {
				return refs, fmt.Errorf("%s: %w", s, err)
			}
		}
		host, m := registryName(tag.RegistryStr()), manifest{tag.RepositoryStr(), tag.TagStr()}
		if err := r.add(host, m, image); err != nil {
			return refs, fmt.Errorf("%s: %w", s, err)
		}
		refs = append(refs, host+"/"+m.String())
	}
	return refs, nil
}

// add puts an image or an index with its images into a registry.
func (r *Registry) add(host string, m manifest, a Artifact) error {
	var kind types.MediaType
	var err error
	switch a := a.(type) {
	case v1.Image:
		if kind, err = a.MediaType(); err == nil {
			err = r.addLayers(a)
		}
	case v1.ImageIndex:
		if kind, err = a.MediaType(); err == nil {
			err = r.addImages(host, m.repository, a)
		}
	default:
		err = errors.New("neither an image nor an index of images")
	}
	if err != nil {
		return err
	}
	raw, err := a.RawManifest()
	if err != nil {
		return err
	}
	if status := inside(r.host(host), http.MethodPut, m.path(), string(kind), raw); status != http.StatusCreated {
		return fmt.Errorf("the registry of %s does not take %s: status %d", host, m, status)
	}
	return nil
}

func (r *Registry) addLayers(image v1.Image) error {
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	config, err := partial.ConfigLayer(image)
	if err != nil {
		return err
	}
	for _, layer := range append(layers, config) {
		digest, err := layer.Digest()
		if err != nil {
			return err
		}
		r.blobs.know(digest, layer)
	}
	return nil
}

// addImages adds those of an index, for all platforms: the registry wants
// their manifests. Layers of other platforms are never asked for.
func (r *Registry) addImages(host, repository string, index v1.ImageIndex) error {
	content, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, d := range content.Manifests {
		var child Artifact
		switch {
		case d.MediaType.IsImage():
			child, err = index.Image(d.Digest)
		case d.MediaType.IsIndex():
			child, err = index.ImageIndex(d.Digest)
		default:
			continue
		}
		if err == nil {
			err = r.add(host, manifest{repository, d.Digest.String()}, child)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.Digest, err)
		}
	}
	return nil
}

// inside makes a request to a handler of this process, whose answer's body
// does not matter.
func inside(h http.Handler, method, path, kind string, body []byte) (status int) {
	w := &statusWriter{ResponseWriter: nobody{}}
	h.ServeHTTP(w, &http.Request{
		Method: method, URL: &url.URL{Path: path}, Header: http.Header{"Content-Type": {kind}},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	})
	return w.status
}

// nobody is a client that does not listen.
type nobody struct{}

func (nobody) Header() http.Header         { return http.Header{} }
func (nobody) Write(b []byte) (int, error) { return len(b), nil }
func (nobody) WriteHeader(int)             {}

// registryError is an error in the words of the OCI distribution specification.
func registryError(w http.ResponseWriter, status int, code, message string) {
	type fault struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string][]fault{"errors": {{code, message}}}) // the client may be gone
}
