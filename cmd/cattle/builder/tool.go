// Package builder has the operator's own docker or podman make images, push
// them, and pack them into one file. What the tools print goes to whoever
// listens, line by line; nothing is asked of a terminal.
package builder

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/distribution/reference"

	"cattle/profiles"
)

// A Tool is docker or podman on this computer. It may be used by one goroutine
// at a time.
type Tool struct {
	// Name is what it is: docker or podman, whatever it is called.
	Name string
	// Tell gets each line that the tool prints; nil: nobody listens.
	Tell func(line string)

	path string
}

// MissingError says that there is no tool to build with.
type MissingError struct{ Wanted string }

func (e *MissingError) Error() string {
	if e.Wanted != "" {
		return "there is no " + e.Wanted + " on this computer"
	}
	return "there is neither docker nor podman on this computer"
}

// Find takes the program that is wanted, or, when none is, docker, or podman
// where there is no docker.
func Find(ctx context.Context, wanted string) (*Tool, error) {
	names := []string{"docker", "podman"}
	if wanted != "" {
		names = []string{wanted}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return &Tool{Name: kind(ctx, path), path: path}, nil
		}
	}
	return nil, &MissingError{wanted}
}

// kind is what a program says that it is: podman may be installed as docker.
func kind(ctx context.Context, path string) string {
	out, _ := exec.CommandContext(ctx, path, "--version").Output()
	switch text := strings.ToLower(string(out)); {
	case strings.Contains(text, "podman"):
		return "podman"
	case strings.Contains(text, "docker"):
		return "docker"
	}
	return strings.TrimSuffix(filepath.Base(path), ".exe")
}

// A DownError is a tool that is there and cannot work.
type DownError struct{ Tool, Reason string }

func (e *DownError) Error() string { return e.Tool + " does not work: " + e.Reason }

// Denied tells that the user may not talk to the daemon.
func (e *DownError) Denied() bool { return strings.Contains(e.Reason, "permission denied") }

// Ping asks whether the tool can work. The error is *DownError.
func (t *Tool) Ping(ctx context.Context) error {
	_, err := t.output(ctx, "version", "--format", "{{.Server.Version}}")
	if t.Name == "podman" { // which needs no server
		_, err = t.output(ctx, "info", "--format", "{{.Version.Version}}")
	}
	var failed *failure
	if errors.As(err, &failed) {
		return &DownError{t.Name, strings.TrimSuffix(failed.last(), ". Is the docker daemon running?")}
	}
	return err
}

// A BuildError is a build that failed: the Dockerfile's own fault, as a rule.
type BuildError struct {
	Ref  string
	Exit int
	Tail string // last lines of what the builder printed
}

func (e *BuildError) Error() string {
	return fmt.Sprintf("building %s failed with exit status %d", e.Ref, e.Exit)
}

// Build makes an image for droplets. The error is *BuildError when the build
// itself failed.
func (t *Tool) Build(ctx context.Context, o profiles.Order) error {
	args := []string{"build", "--platform", profiles.Platform, "--tag", Full(o.Ref), "--file", o.Dockerfile}
	if o.Target != "" {
		args = append(args, "--target", o.Target)
	}
	for _, arg := range o.Args {
		args = append(args, "--build-arg", arg)
	}
	err := t.run(ctx, append(args, o.Context)...)
	var failed *failure
	if errors.As(err, &failed) {
		return &BuildError{o.Ref, failed.exit, failed.tail}
	}
	if err != nil {
		return err
	}
	return t.checkPlatform(ctx, o.Ref)
}

// checkPlatform refuses what no droplet could run. A Dockerfile may choose
// another platform than the one that it is built for.
func (t *Tool) checkPlatform(ctx context.Context, ref string) error {
	is, err := t.output(ctx, "image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", Full(ref))
	var failed *failure
	switch {
	case errors.As(err, &failed):
		return &BuildError{Ref: ref, Tail: t.Name + " has built it and kept no image: " + failed.last() +
			"\nwith a builder of docker buildx: docker buildx use default"}
	case err != nil:
		return err
	case is != profiles.Platform:
		return &BuildError{Ref: ref, Tail: "the image is for " + is + ", and droplets are " + profiles.Platform}
	}
	return nil
}

// A PushError is a registry that did not take an image.
type PushError struct {
	Tool, Ref, Server string
	Denied            bool // for want of a login
	Tail              string
}

func (e *PushError) Error() string {
	if e.Denied {
		return e.Server + " does not let you push " + e.Ref
	}
	return "pushing " + e.Ref + " to " + e.Server + " failed"
}

var (
	pushedDigest = regexp.MustCompile(`digest: (sha256:[0-9a-f]{64})`)
	anyDigest    = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	// The words of docker, podman and registries for a login that is wrong or missing.
	refusal = regexp.MustCompile(`(?i)unauthorized|authentication required|denied|no basic auth credentials|incorrect username|\b40[13]\b`)
)

// Push hands an image to its registry and returns the digest that it has there.
func (t *Tool) Push(ctx context.Context, ref, scratch string) (digest string, err error) {
	if t.Name == "podman" {
		digest, err = t.pushPodman(ctx, ref, filepath.Join(scratch, "digest"))
	} else {
		digest, err = t.pushDocker(ctx, ref)
	}
	var failed *failure
	switch {
	case errors.As(err, &failed):
		return "", &PushError{t.Name, ref, serverOf(ref), refusal.MatchString(failed.tail), failed.tail}
	case err != nil:
		return "", err
	case !anyDigest.MatchString(digest):
		return "", fmt.Errorf("%s pushed %s and did not tell its digest", t.Name, ref)
	}
	return digest, nil
}

func (t *Tool) pushDocker(ctx context.Context, ref string) (digest string, err error) {
	listener := *t
	listener.Tell = func(line string) {
		if m := pushedDigest.FindStringSubmatch(line); m != nil {
			digest = m[1]
		}
		t.tell(line)
	}
	err = listener.run(ctx, "push", Full(ref))
	return digest, err
}

func (t *Tool) pushPodman(ctx context.Context, ref, file string) (string, error) {
	if err := t.run(ctx, "push", "--digestfile", file, Full(ref)); err != nil {
		return "", err
	}
	text, err := profiles.ReadFile(file)
	return strings.TrimSpace(string(text)), err
}

// Full is a reference with its registry and its tag. podman would take a short
// one for an image of this computer alone.
func Full(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref // the profile's check has told it
	}
	return reference.TagNameOnly(named).String()
}

func serverOf(ref string) string {
	server, _, _ := strings.Cut(Full(ref), "/")
	return server
}
