package look

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"cattle/droplets"
)

// maxAnswer bounds what a droplet may answer to a question, in bytes.
const maxAnswer = 1 << 20

// A Container is one of the app's on a droplet.
type Container struct {
	Service string
	Name    string
	State   string // in docker's words: running, exited, restarting, …
}

const serviceLabel = "com.docker.compose."

// Containers are those of the app's services, by service and name. Those that
// cron makes for one run are not among them.
func Containers(ctx context.Context, m *droplets.Machine, app string) (all []Container, err error) {
	lines, err := answer(ctx, m, "docker", "container", "ls", "--all",
		"--filter", "label="+serviceLabel+"project="+app, "--filter", "label="+serviceLabel+"oneoff=False",
		"--format", `{{.Label "`+serviceLabel+`service"}} {{.Names}} {{.State}}`)
	for _, line := range lines {
		if words := strings.Fields(droplets.Printable(line)); len(words) == 3 {
			all = append(all, Container{words[0], words[1], words[2]})
		}
	}
	slices.SortFunc(all, func(a, b Container) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return all, err
}

// A NoServiceError is a service that the droplet does not have, or that does
// not run there.
type NoServiceError struct {
	Service, State string   // State is empty for one that is not there
	Have           []string // what there is instead
}

func (e *NoServiceError) Error() string {
	if e.State != "" {
		return fmt.Sprintf("the service %s is %s", e.Service, e.State)
	}
	return fmt.Sprintf("there is no service %q on the droplet", e.Service)
}

// Running is the first container of a service that runs. A *NoServiceError
// says that there is none.
func Running(ctx context.Context, m *droplets.Machine, app, service string) (Container, error) {
	all, err := Containers(ctx, m, app)
	if err != nil {
		return Container{}, err
	}
	refused := &NoServiceError{Service: service}
	for _, c := range all {
		switch {
		case c.Service != service:
			refused.Have = append(refused.Have, c.Service)
		case c.State == "running":
			return c, nil
		default:
			refused.State = c.State
		}
	}
	refused.Have = slices.Compact(refused.Have)
	return Container{}, refused
}

// Exec is the command that runs words in a container, with a terminal or
// without. user is docker's: a name or an id, "" for the image's own.
func Exec(c Container, user string, terminal bool, words []string) string {
	line := []string{"docker", "exec", "--interactive"}
	if terminal {
		line = append(line, "--tty")
	}
	if user != "" {
		line = append(line, "--user="+user)
	}
	return droplets.Quote(append(append(line, c.Name), words...)...)
}

// address is where a container is reached from its droplet.
func address(ctx context.Context, m *droplets.Machine, c Container) (string, error) {
	lines, err := answer(ctx, m, "docker", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{println .IPAddress}}{{end}}", c.Name)
	if err != nil {
		return "", err
	}
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			return line, nil
		}
	}
	return "", fmt.Errorf("the container %s has no address: its network is the host's, or none", c.Name)
}

// manifest is what of /etc/cattle/release.json is of interest here.
type manifest struct {
	Services []string `json:"services"`
}

func readManifest(ctx context.Context, m *droplets.Machine) (out manifest, err error) {
	err = m.Command(ctx, []string{"cat", "/etc/cattle/release.json"}, nil, func(r io.Reader) error {
		return json.NewDecoder(io.LimitReader(r, maxAnswer)).Decode(&out)
	})
	return out, err
}

// answer are the lines that a command prints.
func answer(ctx context.Context, m *droplets.Machine, words ...string) (lines []string, err error) {
	err = m.Command(ctx, words, nil, func(r io.Reader) error {
		s := bufio.NewScanner(io.LimitReader(r, maxAnswer))
		s.Buffer(nil, maxAnswer)
		for s.Scan() {
			lines = append(lines, s.Text())
		}
		return s.Err()
	})
	return lines, err
}
