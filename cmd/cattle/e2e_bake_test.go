//go:build e2e

package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBootedBake bakes the blog, whose registry wants a login from its secrets,
// and searches every byte of the snapshot: for the secrets, for keys, for what
// tells one machine from another. A release begins from it and is sound.
func TestBootedBake(t *testing.T) {
	r := newRig(t)
	r.must(t, exitDone, v1, "release", v1)
	r.must(t, exitDone, v1, "bake")
	images, err := filepath.Glob(filepath.Join(r.sandbox.dir, "machines", "images", "*"))
	if err != nil || len(images) != 1 {
		t.Fatal(images, err)
	}
	files := 0
	err = filepath.WalkDir(images[0], func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		r.search(t, path, b)
		system := !strings.Contains(path, "/usr/") && !strings.Contains(path, "/overlay2/")
		for _, trace := range []string{"AGE-SECRET-KEY-1", "PRIVATE KEY-----", "ENC[AES256_GCM", "blog.example.com"} {
			if system && !strings.HasSuffix(path, "/opt/cattle/sops") && bytes.Contains(b, []byte(trace)) {
				t.Errorf("%s has %s", path, trace)
			}
		}
		return err
	})
	if err != nil || files < 1000 {
		t.Errorf("%d files searched, %v", files, err)
	}
	baked := r.machineID(t, "live")
	out := r.must(t, exitDone, v2, "release", v2)
	if !strings.Contains(out, "from the snapshot of") {
		t.Error("the plan does not say what it begins from")
	}
	live := r.member(t, "live").ID
	r.sound(t, live)
	if id := r.machineID(t, "live"); id == baked || len(id) != 32 {
		t.Errorf("its machine id is %q", id)
	}
	for _, unit := range []string{"docker", "nginx", "postfix"} {
		if state := r.mustIn(t, live, "systemctl is-enabled "+unit); state != "enabled" {
			t.Errorf("%s is %s", unit, state)
		}
	}
	r.mustIn(t, live, "test ! -x /usr/sbin/make-ssl-cert -o -s /etc/ssl/private/ssl-cert-snakeoil.key")
	if out := r.mustIn(t, live, "findmnt --noheadings --output FSTYPE /var/lib/docker/containers"); out != "tmpfs" {
		t.Errorf("containers are noted on %s", out)
	}
}

func (r *rig) machineID(t *testing.T, role string) string {
	return r.mustIn(t, r.member(t, role).ID, "cat /etc/machine-id")
}
