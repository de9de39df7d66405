package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"
)

// A dockerContainer is one as docker's formats see it.
type dockerContainer struct {
	ID, Names, Image, State, Status string
	NetworkSettings                 struct{ Networks map[string]dockerNetwork }
	labels                          map[string]string
}

type dockerNetwork struct{ IPAddress string }

// Label is a function of docker's formats.
func (c dockerContainer) Label(name string) string { return c.labels[name] }

func containerID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// containers are those of the app, once compose has made them. Names and
// labels are compose's, for a project of the app's name.
func (p place) containers() (out []dockerContainer) {
	p.with(func(d *droplet, now time.Time) {
		m := p.cloud.seed(d).manifest
		listed := p.cloud.services(d, p.cloud.vitals(d, now), now)
		for i := range listed {
			service := m.Services[i]
			name := fmt.Sprintf("%s-%s-1", m.App, service)
			c := dockerContainer{ID: containerID(name)[:12], Names: name, Image: service, labels: map[string]string{
				"com.docker.compose.project": m.App, "com.docker.compose.service": service, "com.docker.compose.oneoff": "False"}}
			state, _ := listed[i]["state"].(string)
			c.State = strings.TrimSuffix(state, Babble) // docker itself never babbles
			c.Status = "Up " + now.Sub(p.cloud.vitals(d, now).appAt).Round(time.Second).String()
			if c.State == "exited" {
				c.Status = fmt.Sprintf("Exited (%v) ", listed[i]["exit"])
			}
			c.NetworkSettings.Networks = map[string]dockerNetwork{m.App + "_default": {containerAddress(i)}}
			out = append(out, c)
		}
	})
	return out
}

// containerAddress is of the first network of the pool that a droplet's
// daemon.json names.
func containerAddress(i int) string { return fmt.Sprintf("172.20.0.%d", i+2) }

func (p place) docker(ctx context.Context, args []string) int {
	if len(args) > 0 && args[0] == "container" {
		args = args[1:]
	}
	up := false
	p.with(func(d *droplet, now time.Time) { b := p.cloud.boot(d); up = b.done("docker", now) })
	switch {
	case !up:
		return p.fail(exitNotFound, "bash: line 1: docker: command not found")
	case len(args) == 0:
		return p.fail(1, "docker: 'docker' needs a command")
	}
	switch args[0] {
	case "ls", "ps":
		return p.dockerList(args[1:])
	case "inspect":
		return p.dockerInspect(args[1:])
	case "exec":
		return p.dockerExec(ctx, args[1:])
	case "cp":
		return p.dockerCopy(args[1:])
	}
	return p.fail(1, "docker: '%s' is not a docker command.\nSee 'docker --help'", args[0])
}

func (p place) dockerList(args []string) int {
	given, _, unknown := options(args, map[string]string{"--all": "all", "-a": "all", "--filter": "filter=", "-f": "filter=", "--format": "format="})
	if unknown != "" {
		return p.fail(125, "unknown flag: %s", unknown)
	}
	list := slices.DeleteFunc(p.containers(), func(c dockerContainer) bool {
		_, all := given["all"]
		return !all && c.State != "running" || !c.fits(given["filter"])
	})
	if format, ok := given["format"]; ok {
		for _, c := range list {
			if err := render(p.stdout, format, c); err != nil {
				return p.fail(1, "template parsing error: %v", err)
			}
		}
		return 0
	}
	t := tabwriter.NewWriter(p.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "CONTAINER ID\tIMAGE\tSTATUS\tNAMES")
	for _, c := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.ID, c.Image, c.Status, c.Names)
	}
	t.Flush()
	return 0
}

// fits tells whether a container has the labels of all filters.
func (c dockerContainer) fits(filters string) bool {
	for _, f := range splitLines(filters) {
		label, isLabel := strings.CutPrefix(f, "label=")
		name, value, valued := strings.Cut(label, "=")
		have, there := c.labels[name]
		if !isLabel || !there || valued && have != value {
			return false
		}
	}
	return true
}

func render(w io.Writer, format string, c dockerContainer) error {
	t, err := template.New("").Parse(format)
	if err == nil {
		err = t.Execute(w, c)
	}
	if err == nil {
		_, err = fmt.Fprintln(w)
	}
	return err
}

// one finds a container by its name, and says that it is not there.
func (p place) one(name string) (c dockerContainer, ok bool) {
	for _, c := range p.containers() {
		if c.Names == name || c.ID == name {
			return c, true
		}
	}
	p.fail(1, "Error response from daemon: No such container: %s", name)
	return c, false
}

func (p place) dockerInspect(args []string) int {
	given, rest, unknown := options(args, map[string]string{"--format": "format=", "-f": "format="})
	if unknown != "" || len(rest) != 1 || given["format"] == "" {
		return p.fail(125, "inspect: this stub wants --format and one name")
	}
	c, ok := p.one(rest[0])
	if !ok {
		return 1
	}
	if err := render(p.stdout, given["format"], c); err != nil {
		return p.fail(1, "template parsing error: %v", err)
	}
	return 0
}

func (p place) dockerExec(ctx context.Context, args []string) int {
	given, rest, unknown := options(args, map[string]string{"--interactive": "stdin", "-i": "stdin", "--tty": "tty", "-t": "tty",
		"--user": "user=", "-u": "user=", "+": "ends"})
	switch {
	case unknown != "":
		return p.fail(125, "unknown flag: %s", unknown)
	case len(rest) < 2:
		return p.fail(1, "docker: 'docker exec' requires at least 2 arguments")
	}
	c, ok := p.one(rest[0])
	if !ok {
		return 1
	}
	if c.State != "running" {
		return p.fail(1, "Error response from daemon: container %s is not running", c.ID)
	}
	inside := place{p.session, c.Names}
	if _, wanted := given["stdin"]; !wanted {
		detached := *p.session
		detached.stdin = strings.NewReader("")
		inside.session = &detached
	}
	if _, wanted := given["tty"]; wanted && p.terminal == nil {
		return p.fail(1, "the input device is not a TTY")
	}
	words := rest[1:]
	if words[0] == "id" && given["user"] != "" {
		fmt.Fprintln(p.stdout, "user", given["user"])
		return 0
	}
	if inside.common(words[0]) == nil {
		return p.fail(exitNotFound, "OCI runtime exec failed: exec failed: unable to start container process: exec: %q: executable file not found in $PATH: unknown", words[0])
	}
	return inside.command(ctx, words)
}

// dockerCopy knows a `-` on one side: a tar on standard output or input.
func (p place) dockerCopy(args []string) int {
	_, rest, unknown := options(args, map[string]string{"--follow-link": "follow", "-L": "follow"})
	if unknown != "" || len(rest) != 2 || (rest[0] == "-") == (rest[1] == "-") {
		return p.fail(1, "docker cp: this stub wants CONTAINER:PATH and -")
	}
	out := rest[1] == "-"
	end := rest[1]
	if out {
		end = rest[0]
	}
	name, at, _ := strings.Cut(end, ":")
	c, ok := p.one(name)
	if !ok {
		return 1
	}
	inside, at := place{p.session, c.Names}, path.Clean(at)
	switch {
	case out && !inside.archive(at), !out && !inside.files()[at].Folder:
		return p.fail(1, "Error response from daemon: Could not find the file %s in container %s", at, name)
	case out:
		return 0
	}
	if err := inside.unarchive(at); err != nil {
		return p.fail(1, "Error response from daemon: %v", err)
	}
	return 0
}
