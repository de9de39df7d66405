package sandbox

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Images that no registry has are brought to a machine by its operator. Which
// ones it waits for is in its user-data; Docker is asked to load them. A stub
// keeps what it was given as it came, and can give it away again.

const (
	broughtList   = "/etc/cattle/images"
	broughtScript = "/opt/cattle/images"
	// broughtDeadline is how long the boot waits for them.
	broughtDeadline = 10 * time.Minute
	// maxBrought is all that a stub takes, in bytes: it has it in memory.
	maxBrought = 512 << 20
)

// A wanted is an image that a machine waits for.
type wanted struct{ ref, id string }

func (s *seed) wanted() (out []wanted) {
	for line := range strings.Lines(string(s.files[broughtList])) {
		if ref, id, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			out = append(out, wanted{ref, id})
		}
	}
	return out
}

// brought waits for the images.
func (r *stepRun) brought(d *droplet) {
	deadline := r.start.Add(broughtDeadline)
	switch at := d.Disk.BroughtAt; {
	case at.IsZero() && time.Now().Before(deadline):
		r.end = time.Time{}
	case at.IsZero() || at.After(deadline):
		r.end, r.state, r.tail = deadline, "failed", "no images were brought within "+broughtDeadline.String()
	default:
		r.end = later(r.start, at).Add(d.Latency.Step)
	}
}

// images is the script that has to do with them.
func (p place) images(_ context.Context, args []string) int {
	var list []byte
	var want []wanted
	there, up := false, false
	p.with(func(d *droplet, now time.Time) {
		s := p.cloud.seed(d)
		list, want = s.files[broughtList], s.wanted()
		there = !d.Disk.BroughtAt.IsZero()
		run := p.cloud.boot(d)
		up = run.done("docker", now)
	})
	switch {
	case len(args) == 1 && args[0] == "list":
		p.stdout.Write(list)
		return 0
	case !up:
		return p.fail(1, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
	case len(args) == 1 && args[0] == "load" && there:
		return 0
	case len(args) == 1 && args[0] == "load":
		return p.loadImages(want)
	case len(args) > 1 && args[0] == "save":
		return p.saveImages(args[1:])
	}
	return p.fail(exitUsage, "images: not known: %s", strings.Join(args, " "))
}

func (p place) loadImages(want []wanted) int {
	packed, err := io.ReadAll(io.LimitReader(p.stdin, maxBrought+1))
	if err == nil && len(packed) > maxBrought {
		err = errors.New("no space left on device")
	}
	var have map[string]string
	if err == nil {
		have, err = unpackImages(packed)
	}
	if err != nil {
		return p.fail(1, "Error processing tar file(exit status 1): %v", err)
	}
	for _, w := range want {
		if id := have[canonical(w.ref)]; id != w.id {
			if id == "" {
				id = "nothing"
			}
			return p.fail(1, "%s came as %s, and not as %s", w.ref, id, w.id)
		}
	}
	if err := p.cloud.keepImages(p.droplet, packed); err != nil {
		return p.fail(1, "%v", err)
	}
	p.with(func(d *droplet, now time.Time) {
		d.Disk.BroughtAt = now
		p.cloud.touch()
	})
	return 0
}

// saveImages gives the archive away as it came: what else is in it does no harm.
func (p place) saveImages(refs []string) int {
	packed, err := p.cloud.keptImages(p.droplet)
	if err != nil {
		return p.fail(1, "Error response from daemon: reference does not exist: %v", err)
	}
	have, err := unpackImages(packed)
	if err != nil {
		return p.fail(1, "%v", err)
	}
	for _, ref := range refs {
		if have[canonical(ref)] == "" {
			return p.fail(1, "Error response from daemon: reference does not exist")
		}
	}
	if _, err := p.stdout.Write(packed); err != nil {
		return 1
	}
	return 0
}

// unpackImages reads what `docker save` writes, compressed or not, and returns
// the id of each tag.
func unpackImages(packed []byte) (map[string]string, error) {
	in := bufio.NewReader(bytes.NewReader(packed))
	var plain io.Reader = in
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		plain = io.LimitReader(unzipped, 8*maxBrought)
	}
	var list []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	sums := map[string]string{}
	names := map[string]bool{}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		names[header.Name] = true
		hash := sha256.New()
		var text bytes.Buffer
		to := io.Writer(hash)
		if header.Name == "manifest.json" {
			to = io.MultiWriter(hash, &text)
		}
		if _, err := io.Copy(to, archive); err != nil {
			return nil, err
		}
		sums[header.Name] = fmt.Sprintf("sha256:%x", hash.Sum(nil))
		if text.Len() > 0 {
			if err := json.Unmarshal(text.Bytes(), &list); err != nil {
				return nil, err
			}
		}
	}
	ids := map[string]string{}
	for _, image := range list {
		if missing := slices.IndexFunc(image.Layers, func(l string) bool { return !names[l] }); missing >= 0 || sums[image.Config] == "" {
			return nil, fmt.Errorf("the archive lacks parts of %v", image.RepoTags)
		}
		for _, tag := range image.RepoTags {
			ids[canonical(tag)] = sums[image.Config]
		}
	}
	return ids, nil
}

// imagesFile is where a cloud with a folder has a droplet's images, "" for one
// that has them in memory alone.
func (c *Cloud) imagesFile(droplet int) string {
	if !c.keeps() {
		return ""
	}
	return filepath.Join(c.opt.Dir, fmt.Sprintf("images-%d.tar.gz", droplet))
}

func (c *Cloud) keepImages(droplet int, packed []byte) error {
	if file := c.imagesFile(droplet); file != "" {
		return writeFile(file, packed)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.packed[droplet] = packed
	return nil
}

func (c *Cloud) keptImages(droplet int) ([]byte, error) {
	if file := c.imagesFile(droplet); file != "" {
		return os.ReadFile(file)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.packed[droplet] == nil {
		return nil, errors.New("there are no images")
	}
	return c.packed[droplet], nil
}

// dropImages forgets those of a droplet that is gone. The cloud must be locked.
func (c *Cloud) dropImages(droplet int) {
	delete(c.packed, droplet)
	if file := c.imagesFile(droplet); file != "" {
		os.Remove(file)
	}
}
