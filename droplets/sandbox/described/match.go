package described

import "strings"

// A template is a path of the description: its parts, of which some stand for
// any value.
type template struct {
	path  string
	parts []string
}

func newTemplate(path string) template { return template{path, strings.Split(path, "/")} }

// match finds the template of a path, and what its parameters are. Of several
// the one with the most literal parts wins, as in the API.
func match(all []template, path string) (name string, values map[string]string) {
	parts := strings.Split(path, "/")
	var found *template
	best := -1
	for i := range all {
		if literal := all[i].fits(parts); literal > best {
			found, best = &all[i], literal
		}
	}
	if found == nil {
		return "", nil
	}
	values = map[string]string{}
	for i, part := range found.parts {
		if strings.HasPrefix(part, "{") {
			values[strings.Trim(part, "{}")] = parts[i]
		}
	}
	return found.path, values
}

// fits counts the literal parts of a template that fits a path; -1 for another.
func (t *template) fits(parts []string) (literal int) {
	if len(parts) != len(t.parts) {
		return -1
	}
	for i, want := range t.parts {
		switch {
		case strings.HasPrefix(want, "{") && parts[i] != "":
		case want != parts[i]:
			return -1
		default:
			literal++
		}
	}
	return literal
}
