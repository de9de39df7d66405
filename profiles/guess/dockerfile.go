package guess

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"cattle/profiles"
)

// A Dockerfile is what one says of its last stage.
type Dockerfile struct {
	Port   string // of the first EXPOSE, or ""
	Health string // the path that HEALTHCHECK asks by HTTP, or ""
}

var (
	continued   = regexp.MustCompile(`\\[ \t]*\r?\n`)
	instruction = regexp.MustCompile(`(?i)^\s*(FROM|ARG|ENV|EXPOSE|HEALTHCHECK)\s+(.*)$`)
	reference   = regexp.MustCompile(`\$\{?(\w+)(?::-([^}]*))?\}?`)
	exposed     = regexp.MustCompile(`^([0-9]{1,5})(/tcp)?$`)
)

// readDockerfile reads the one at path; nil where there is none.
func readDockerfile(path string) (*Dockerfile, error) {
	text, err := profiles.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d, values := &Dockerfile{}, map[string]string{}
	for line := range strings.Lines(continued.ReplaceAllString(string(text), " ")) {
		if m := instruction.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			d.read(strings.ToUpper(m[1]), m[2], values)
		}
	}
	return d, nil
}

func (d *Dockerfile) read(what, rest string, values map[string]string) {
	rest = reference.ReplaceAllStringFunc(rest, func(ref string) string {
		m := reference.FindStringSubmatch(ref)
		if value, known := values[m[1]]; known && value != "" {
			return value
		}
		return m[2]
	})
	switch what {
	case "FROM":
		*d = Dockerfile{}
	case "ARG", "ENV":
		for _, pair := range strings.Fields(rest) {
			if name, value, ok := strings.Cut(pair, "="); ok {
				values[name] = strings.Trim(value, `"'`)
			}
		}
		if words := strings.Fields(rest); len(words) == 2 && !strings.Contains(words[0], "=") {
			values[words[0]] = words[1] // ENV PORT 8000
		}
	case "EXPOSE":
		for _, word := range strings.Fields(rest) {
			if m := exposed.FindStringSubmatch(word); m != nil && d.Port == "" {
				d.Port = m[1]
			}
		}
	case "HEALTHCHECK":
		if path, ok := profiles.HealthPath(rest); ok {
			d.Health = path
		}
	}
}
