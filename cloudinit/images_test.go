package cloudinit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const imageID = "sha256:abababababababababababababababababababababababababababababababab"

// standInDocker keeps one image in the folder $STORE: its reference, Docker's
// own id of it, and the config's digest, which is another one in containerd's store.
const standInDocker = `#!/bin/bash
case "$1 $2" in
"image inspect") [[ $5 == "$(cat $STORE/ref)" ]] && cat $STORE/id ;;
"image load") cat >$STORE/loaded && cp $STORE/coming/* $STORE/ && echo "Loaded image: $(cat $STORE/ref)" ;;
"image save")
	hex=$(cat $STORE/config)
	printf '[{"Config":"blobs/sha256/%s","RepoTags":["%s"],"Layers":[]}]' "${hex#sha256:}" "$3" >$STORE/manifest.json
	tar --create --directory $STORE manifest.json
	;;
esac
`

// dockerThatGets runs the droplet's script on a Docker into which an image would come
// with that id and that config.
func dockerThatGets(id, config string) func(t *testing.T, args ...string) (string, int) {
	var dir string
	return func(t *testing.T, args ...string) (string, int) {
		t.Helper()
		if dir == "" {
			dir = t.TempDir()
			for name, text := range map[string]string{"list": "me/blog:v1 " + imageID + "\n", "store/coming/ref": "me/blog:v1", "store/coming/id": id, "store/coming/config": config, "bin/docker": standInDocker} {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(script(t, "images"))
			if err != nil {
				t.Fatal(err)
			}
			here := strings.NewReplacer("PATH=", "PATH="+dir+"/bin:", "/etc/cattle/images", dir+"/list").Replace(string(text))
			if err := os.WriteFile(dir+"/images", []byte(here), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), dir+"/images", args...)
		cmd.Env, cmd.Stdin, cmd.WaitDelay = append(os.Environ(), "STORE="+dir+"/store"), strings.NewReader("an archive"), time.Second
		out, _ := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), cmd.ProcessState.ExitCode()
	}
}

// TestBroughtImages: the droplet takes the image that it waits for, in either
// kind of store, and no other one.
func TestBroughtImages(t *testing.T) {
	other := "sha256:" + strings.Repeat("cd", 32)
	for name, tt := range map[string]struct {
		id, config string
		taken      bool
	}{
		"docker's own store": {imageID, imageID, true},
		"containerd's store": {other, imageID, true},
		"another image":      {other, other, false},
	} {
		t.Run(name, func(t *testing.T) {
			run := dockerThatGets(tt.id, tt.config)
			if out, exit := run(t, "list"); exit != 0 || out != "me/blog:v1 "+imageID {
				t.Errorf("list: %d, %s", exit, out)
			}
			if out, exit := run(t, "wait", "1"); exit != 1 || out != "me/blog:v1 was not brought within 1 s" {
				t.Errorf("wait, before: %d, %s", exit, out)
			}
			out, exit := run(t, "load")
			if !tt.taken {
				if exit != 1 || !strings.HasSuffix(out, "me/blog:v1 came as "+other+", and not as "+imageID) {
					t.Errorf("load: %d, %s", exit, out)
				}
				if _, exit := run(t, "wait", "1"); exit != 1 {
					t.Errorf("wait, after: %d", exit)
				}
				return
			}
			if exit != 0 {
				t.Fatalf("load: %d, %s", exit, out)
			}
			if out, exit := run(t, "wait", "1"); exit != 0 {
				t.Errorf("wait, after: %d, %s", exit, out)
			}
			if out, exit := run(t, "load"); exit != 0 || out != "" {
				t.Errorf("load, again: %d, %s", exit, out)
			}
			if _, exit := run(t, "save", "me/blog:v1"); exit != 0 {
				t.Errorf("save: %d", exit)
			}
			if _, exit := run(t, "eat"); exit != 64 {
				t.Errorf("no command: %d", exit)
			}
		})
	}
}

// TestBrought: a droplet that waits for images has the list, the script and the
// step; what is brought is not among what is pulled. Another one has none of it.
func TestBrought(t *testing.T) {
	in := shortest("debian-13-x64")
	ref := in.Stack.Images[0]
	plain := render(t, in)
	in.Brought = map[string]string{ref: imageID}
	brought := render(t, in)
	files := func(u *UserData) map[string]string {
		out := map[string]string{}
		for _, f := range u.Files() {
			out[f.Path] = string(f.Content)
		}
		return out
	}
	was, is := files(plain), files(brought)
	if is["/etc/cattle/images"] != ref+" "+imageID+"\n" || is["/opt/cattle/images"] == "" || !strings.Contains(is["/etc/cattle/settings"], "do_images() { /opt/cattle/images wait ") {
		t.Errorf("%q\n%s", is["/etc/cattle/images"], is["/etc/cattle/settings"])
	}
	if !strings.Contains(is["/etc/cattle/settings"], "\nIMAGES=()\n") || strings.Contains(was["/etc/cattle/settings"], "\nIMAGES=()\n") {
		t.Errorf("pulled: %s", is["/etc/cattle/settings"])
	}
	if was["/etc/cattle/images"]+was["/opt/cattle/images"] != "" || strings.Contains(was["/etc/cattle/settings"], "do_images") {
		t.Error("a droplet that waits for none has them too")
	}
	if plain.Digest() == brought.Digest() {
		t.Error("the image is not part of the machine's digest")
	}
}
