package release_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
)

// imageOf is an image without layers in an archive of docker's form, and its id.
func imageOf(t testing.TB, ref string) (packed []byte, id string) {
	t.Helper()
	config := `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(config)))
	list, err := json.Marshal([]map[string]any{{"Config": "blobs/sha256/" + sum, "RepoTags": []string{ref}, "Layers": []string{}}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, text := range map[string]string{"blobs/sha256/" + sum: config, "manifest.json": string(list)} {
		w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})
		w.Write([]byte(text))
	}
	w.Close()
	return out.Bytes(), "sha256:" + sum
}

const builtRef = "ghcr.io/me/blog:v1"

// waiting is a candidate that waits for an image of that id.
func waiting(b *simulation.Bench, version, id string, images *release.Images) *release.Candidate {
	c := b.Candidate(version)
	const before = "ssh_keys:\n"
	c.UserData = bytes.Replace(c.UserData, []byte(before), fmt.Appendf(nil,
		"- {path: /etc/cattle/images, permissions: '0600', content: %q}\n- {path: /opt/cattle/images, permissions: '0755', content: script}\n%s", builtRef+" "+id+"\n", before), 1)
	c.Images = images
	return c
}

func carryOut(b *simulation.Bench, verb string, c *release.Candidate) error {
	w, err := b.Op.SurveyRelease(b.T.Context(), b.Site)
	if err != nil {
		b.T.Fatal(err)
	}
	plan, err := release.PlanRelease(verb, b.Site, w, c)
	if err != nil {
		b.T.Fatal(err)
	}
	_, err = b.Op.Execute(b.T.Context(), plan)
	var left *release.Incomplete
	if errors.As(err, &left) {
		return nil
	}
	return err
}

func sending(packed []byte) func(context.Context, io.Writer) error {
	return func(_ context.Context, to io.Writer) error {
		_, err := to.Write(packed)
		return err
	}
}

// TestImagesAreHeld: the droplet takes the image that it waits for and no other
// one, and gives the very same one to the next droplet.
func TestImagesAreHeld(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		packed, id := imageOf(b.T, builtRef)
		other := "sha256:" + strings.Repeat("ab", 32)
		images := &release.Images{IDs: map[string]string{builtRef: id}, Size: int64(len(packed)), From: "this computer", Send: sending(packed)}
		var refused *release.Refused
		if err := carryOut(b, "release", waiting(b, "v1", other, images)); !errors.As(err, &refused) || !strings.Contains(err.Error(), "came as "+id+", and not as "+other) {
			b.T.Fatalf("another image: %v", err)
		}
		b.Expect("")

		if err := carryOut(b, "release", waiting(b, "v1", id, images)); err != nil {
			b.T.Fatal(err)
		}
		b.Expect("v1", "v1")
		w := survey(b)
		ids, err := b.Op.Brought(b.T.Context(), w)
		if err != nil || !maps.Equal(ids, images.IDs) {
			b.T.Fatalf("brought %v, %v", ids, err)
		}
		live := b.Op.LiveImages(w, ids)
		var again bytes.Buffer
		if err := live.Send(b.T.Context(), &again); err != nil || !bytes.Equal(again.Bytes(), packed) {
			b.T.Errorf("the live droplet gives %d bytes of %d, %v", again.Len(), len(packed), err)
		}
		if err := carryOut(b, "rebuild", waiting(b, "v1", id, live)); err != nil {
			b.T.Fatal(err)
		}
		b.Expect("v1", "v1", "v1")

		// One that was brought none says so.
		b.Must("v2")
		if ids, err := b.Op.Brought(b.T.Context(), survey(b)); err != nil || len(ids) != 0 {
			b.T.Errorf("brought %v, %v", ids, err)
		}
	})
}

// cutting is a way to the droplets that can be cut.
type cutting struct {
	droplets.Dialer
	mu   sync.Mutex
	open []net.Conn
}

func (c *cutting) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.Dialer.DialContext(ctx, network, address)
	if err == nil {
		c.mu.Lock()
		c.open = append(c.open, conn)
		c.mu.Unlock()
	}
	return conn, err
}

func (c *cutting) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		conn.Close()
	}
}

// TestImagesAgain: after a connection that broke in the middle they are sent
// from the beginning.
func TestImagesAgain(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		packed, id := imageOf(b.T, builtRef)
		way := &cutting{Dialer: b.Op.Dialer}
		b.Op.Dialer = way
		sent := 0
		images := &release.Images{IDs: map[string]string{builtRef: id}, From: "this computer", Send: func(_ context.Context, to io.Writer) error {
			if sent++; sent > 1 {
				_, err := to.Write(packed)
				return err
			}
			if _, err := to.Write(packed[:len(packed)/2]); err != nil {
				return err
			}
			way.cut()
			_, err := to.Write(packed[len(packed)/2:])
			return err
		}}
		if err := carryOut(b, "release", waiting(b, "v1", id, images)); err != nil || sent != 2 {
			b.T.Fatalf("sent %d times: %v", sent, err)
		}
		b.Expect("v1", "v1")
	})
}

// TestImagesDoNotCome: they cannot be read, or take longer than a boot may. The
// old one serves, and it is told how far they were.
func TestImagesDoNotCome(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		_, id := imageOf(b.T, builtRef)
		var refused *release.Refused
		unread := &release.Images{IDs: map[string]string{builtRef: id}, From: "this computer", Send: func(context.Context, io.Writer) error { return errors.New("the disk is gone") }}
		if err := carryOut(b, "release", waiting(b, "v2", id, unread)); !errors.As(err, &refused) || refused.Serving != "v1" || !strings.Contains(err.Error(), "the images of this computer: the disk is gone") {
			b.T.Errorf("%v", err)
		}
		b.Expect("v1", "v1")

		told := 0
		b.Op.Emit = func(e release.Event) {
			if e.Kind == release.KindImages && strings.Contains(e.Text, "of 4.0 MB, ") && strings.HasSuffix(e.Text, " left") {
				told++
			}
		}
		slow := &release.Images{IDs: map[string]string{builtRef: id}, Size: 4e6, From: "this computer", Send: func(ctx context.Context, to io.Writer) error {
			for {
				if _, err := to.Write(make([]byte, 1000)); err != nil {
					return err
				}
				time.Sleep(time.Second)
			}
		}}
		began := time.Now()
		err := carryOut(b, "release", waiting(b, "v2", id, slow))
		if !errors.As(err, &refused) || refused.Serving != "v1" || !strings.Contains(err.Error(), "not over within 10m: of the images 0.6 MB had come") {
			b.T.Errorf("%v", err)
		}
		if took := time.Since(began); took > 12*time.Minute || told < 100 {
			b.T.Errorf("it took %s, and was told %d times", took, told)
		}
		b.Expect("v1", "v1")
	})
}
