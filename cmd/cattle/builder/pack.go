package builder

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// An Archive is images in one file, packed as `docker load` takes them.
type Archive struct {
	Path string
	Size int64 // bytes
	// IDs are the images' ids by reference, as the caller wrote it: the SHA-256 of
	// the config, in which the digests of all layers are.
	IDs map[string]string
}

// Pack writes images into a file in folder. What two of them share is in it once.
func (t *Tool) Pack(ctx context.Context, refs []string, folder string) (*Archive, error) {
	a := &Archive{Path: filepath.Join(folder, "images.tar.gz")}
	f, err := os.OpenFile(a.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	zip, _ := gzip.NewWriterLevel(f, gzip.BestSpeed) // the level is valid
	tags, err := t.save(ctx, refs, zip)
	if err == nil {
		err = errors.Join(zip.Close(), f.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("pack the images: %w", err)
	}
	info, err := os.Stat(a.Path)
	if err != nil {
		return nil, err
	}
	a.Size = info.Size()
	a.IDs, err = pick(tags, refs)
	return a, err
}

// save writes the tool's archive and reads in it what it has, by tag.
func (t *Tool) save(ctx context.Context, refs []string, to io.Writer) (tags map[string]string, err error) {
	args := []string{"image", "save"}
	if t.Name == "podman" {
		args = append(args, "--quiet", "--format", "docker-archive", "--multi-image-archive")
	}
	for _, ref := range refs {
		args = append(args, Full(ref))
	}
	in, out := io.Pipe()
	read := make(chan error, 1)
	go func() {
		var err error
		tags, err = contents(in)
		io.Copy(io.Discard, in) // what pads the end
		read <- err
	}()
	err = t.start(ctx, io.MultiWriter(to, out), &lineWriter{}, args...)
	out.CloseWithError(err)
	if readErr := <-read; err == nil {
		err = readErr
	}
	return tags, err
}

// pick finds the id of each reference. A tool may write tags in short.
func pick(tags map[string]string, refs []string) (map[string]string, error) {
	full := map[string]string{}
	for tag, id := range tags {
		full[Full(tag)] = id
	}
	ids := map[string]string{}
	for _, ref := range refs {
		if ids[ref] = full[Full(ref)]; ids[ref] == "" {
			return nil, fmt.Errorf("%s is not in the archive", ref)
		}
	}
	return ids, nil
}

// maxConfig is the largest member that may be a config, or the list of images,
// in bytes: registries take no larger ones.
const maxConfig = 4 << 20

// contents reads an archive of docker's form
// (github.com/moby/moby/blob/master/image/spec/v1.2.md) and returns its images'
// ids by tag. A config that is not what its name says is an error.
func contents(r io.Reader) (tags map[string]string, err error) {
	sums := map[string]string{} // by member
	var list []struct {
		Config   string
		RepoTags []string
	}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg || h.Size > maxConfig {
			continue
		}
		text, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		sums[h.Name] = hex.EncodeToString(sum[:])
		if h.Name == "manifest.json" {
			if err := json.Unmarshal(text, &list); err != nil {
				return nil, fmt.Errorf("the archive's list of images: %w", err)
			}
		}
	}
	tags = map[string]string{}
	for _, image := range list {
		sum := sums[image.Config]
		if named := filepath.Base(image.Config); sum == "" || named != sum && named != sum+".json" {
			return nil, fmt.Errorf("the archive's config %q is another one", image.Config)
		}
		for _, tag := range image.RepoTags {
			tags[tag] = "sha256:" + sum
		}
	}
	return tags, nil
}
