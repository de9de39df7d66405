package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// standInDocker is the program docker in scripts and in what documents show: no
// daemon runs where tests do. It makes images of one layer, the Dockerfile and
// the arguments, under $HOME/.docker-images, and says what docker says.
// DOCKER_IS is "down" or "denied". What a real builder does, the tests of make
// builds hold.
func standInDocker() {
	args := os.Args[1:]
	if err := docker(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func docker(args []string) error {
	state := os.Getenv("DOCKER_IS")
	switch {
	case args[0] == "--version":
		fmt.Println("Docker version 28.2.2, build stand-in")
	case state == "down":
		return fmt.Errorf("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
	case args[0] == "version":
		fmt.Println("28.2.2")
	case args[0] == "build":
		return dockerBuild(args[1:])
	case args[0] == "push" && state == "denied":
		return fmt.Errorf("denied: installation not allowed to Create organization package")
	case args[0] == "push":
		fmt.Printf("v: digest: sha256:%x size: 528\n", sha256.Sum256([]byte(args[1])))
	case args[0] == "image" && args[1] == "inspect":
		if _, err := os.Stat(dockerImage(args[len(args)-1])); err != nil {
			return fmt.Errorf("Error: No such image: %s", args[len(args)-1])
		}
		fmt.Println("linux/amd64")
	case args[0] == "image" && args[1] == "save":
		return dockerSave(args[2:])
	default:
		return fmt.Errorf("docker: '%s' is not a docker command", args[0])
	}
	return nil
}

func dockerImage(ref string) string {
	return filepath.Join(os.Getenv("HOME"), ".docker-images", strings.NewReplacer("/", "_", ":", "_").Replace(ref))
}

func dockerBuild(args []string) error {
	given := func(name string) string { return args[slices.Index(args, name)+1] }
	text, err := os.ReadFile(given("--file"))
	if err != nil {
		return err
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		fmt.Printf("#%d %s\n", i+1, line)
		if line == "RUN false" {
			return fmt.Errorf("ERROR: failed to solve: process \"/bin/sh -c false\" did not complete successfully: exit code: 1")
		}
	}
	file := dockerImage(given("--tag"))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, append(text, strings.Join(args[:len(args)-1], "\n")...), 0o600)
}

func dockerSave(refs []string) error {
	w := tar.NewWriter(os.Stdout)
	add := func(name string, text []byte) {
		w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})
		w.Write(text)
	}
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	var list []entry
	for _, ref := range refs {
		text, err := os.ReadFile(dockerImage(ref))
		if err != nil {
			return err
		}
		var layer bytes.Buffer
		in := tar.NewWriter(&layer)
		in.WriteHeader(&tar.Header{Name: "app", Mode: 0o644, Size: int64(len(text))})
		in.Write(text)
		in.Close()
		diff := fmt.Sprintf("%x", sha256.Sum256(layer.Bytes()))
		config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}`, diff)
		id := fmt.Sprintf("%x", sha256.Sum256(config))
		add("blobs/sha256/"+diff, layer.Bytes())
		add("blobs/sha256/"+id, config)
		list = append(list, entry{"blobs/sha256/" + id, []string{ref}, []string{"blobs/sha256/" + diff}})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	add("manifest.json", text)
	return w.Close()
}
