package secrets

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getsops/sops/v3"
)

// Names are the names in the file, in its order.
func (u *Unlocked) Names() []string { return namesOf(u.tree.Branches[0]) }

func namesOf(branch sops.TreeBranch) []string {
	var out []string
	for _, item := range branch {
		if name, ok := item.Key.(string); ok {
			out = append(out, name)
		}
	}
	return out
}

// Set gives name a value; a new name goes to the end. It tells whether
// anything is different now. A name or value that no environment can carry is
// an *InputError that repeats neither.
func (u *Unlocked) Set(name string, value String) (changed bool, err error) {
	if err := CheckName(name); err != nil {
		return false, err
	}
	if why := badValue(value.text); why != "" {
		return false, &InputError{u.Path, "the value of " + name + " " + why, "encode it, as base64 does, and have the app decode it"}
	}
	branch := u.tree.Branches[0]
	i := slices.IndexFunc(branch, func(item sops.TreeItem) bool { return item.Key == name })
	if i < 0 {
		u.tree.Branches[0] = append(branch, sops.TreeItem{Key: name, Value: value.text})
		return true, nil
	}
	if branch[i].Value == value.text {
		return false, nil
	}
	branch[i].Value = value.text
	return true, nil
}

// Remove takes a name out, and tells whether it was there.
func (u *Unlocked) Remove(name string) bool {
	before := len(u.tree.Branches[0])
	u.tree.Branches[0] = slices.DeleteFunc(u.tree.Branches[0], func(item sops.TreeItem) bool { return item.Key == name })
	return len(u.tree.Branches[0]) < before
}

// reserved begins the names that SOPS keeps for itself.
const reserved = "sops"

// CheckName is why a name cannot be a secret's, an *InputError, or nil. The
// name is not repeated: it may be a value that was typed in the wrong place.
func CheckName(name string) error {
	switch {
	case !nameRE.MatchString(name):
		return &InputError{"NAME", "letters, digits and _ make the name of a secret, and no digit begins it", "cattle secrets set DB_PASSWORD"}
	case name == reserved || strings.HasPrefix(name, reserved+"_"):
		return &InputError{"NAME", "sops keeps the names that begin with sops_ for itself", "choose another name"}
	}
	return nil
}

// badValue says why a value cannot be in an environment.
func badValue(text string) string {
	switch {
	case strings.ContainsRune(text, 0):
		return "has a zero byte, which no environment can carry"
	case !utf8.ValidString(text):
		return "is not text in UTF-8"
	}
	return ""
}

// Text is the whole file in plain, as an editor shows it.
func (u *Unlocked) Text() (String, error) {
	store, err := storeFor(u.Format)
	if err != nil {
		return String{}, err
	}
	if len(u.tree.Branches[0]) == 0 {
		return String{}, nil // the yaml store would write {}
	}
	raw, err := store.EmitPlainFile(u.tree.Branches)
	return NewString(string(raw)), err
}

// A Change is what an edit did, by the names of the secrets.
type Change struct {
	Added   []string `json:"added,omitempty"`
	Changed []string `json:"changed,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// SetText takes what Text gave, edited; nil where that is the same. A fault is
// an *InputError that tells a line or a name, never a value.
func (u *Unlocked) SetText(edited String) (*Change, error) {
	before, err := u.Text()
	if err != nil || edited == before {
		return nil, err
	}
	shown, err := u.plain(before.text)
	if err != nil {
		return nil, err
	}
	branch, err := u.plain(edited.text)
	if err != nil {
		return nil, err
	}
	stored := u.tree.Branches[0]
	u.tree.Branches[0] = keep(stored, shown, branch)
	return compare(stored, branch), nil
}

func compare(before, after sops.TreeBranch) *Change {
	c := &Change{}
	values := map[any]any{}
	for _, item := range before {
		values[item.Key] = item.Value
	}
	for _, name := range namesOf(after) {
		switch old, was := values[name]; {
		case !was:
			c.Added = append(c.Added, name)
		case old != valueOf(after, name):
			c.Changed = append(c.Changed, name)
		}
	}
	for _, name := range namesOf(before) {
		if !slices.Contains(namesOf(after), name) {
			c.Removed = append(c.Removed, name)
		}
	}
	return c
}

func valueOf(branch sops.TreeBranch, name string) any {
	i := slices.IndexFunc(branch, func(item sops.TreeItem) bool { return item.Key == name })
	return branch[i].Value
}

// keep gives the values that were not touched as they were: written out and
// read back some are not the same, such as a dotenv's \n of two characters.
func keep(stored, shown, edited sops.TreeBranch) sops.TreeBranch {
	for i, item := range edited {
		j := slices.IndexFunc(shown, func(s sops.TreeItem) bool { return s.Key == item.Key && s.Value == item.Value })
		k := slices.IndexFunc(stored, func(s sops.TreeItem) bool { return s.Key == item.Key })
		if j >= 0 && k >= 0 {
			edited[i].Value = stored[k].Value
		}
	}
	return edited
}

var lineNumber = regexp.MustCompile(`line (\d+)`)

// plain reads text in plain. What the stores say of a fault may quote the
// value, so it is not passed on.
func (u *Unlocked) plain(text string) (sops.TreeBranch, error) {
	if strings.TrimSpace(text) == "" {
		return sops.TreeBranch{}, nil
	}
	if err := u.lines(text); err != nil {
		return nil, err
	}
	store, err := storeFor(u.Format)
	if err != nil {
		return nil, err
	}
	branches, err := store.LoadPlainFile(bytes.Clone([]byte(text)))
	if err != nil {
		where := ""
		if m := lineNumber.FindStringSubmatch(err.Error()); m != nil {
			where = ", at line " + m[1]
		}
		return nil, &InputError{u.Path, "what you wrote is not valid " + string(u.Format) + where, "write NAME and value as they stand in the other lines"}
	}
	if len(branches) != 1 {
		return nil, &InputError{u.Path, "what you wrote has more than one YAML document", "keep one document of NAME: value lines"}
	}
	return branches[0], u.checkPlain(branches[0])
}

// lines finds the line of a dotenv file that has no name.
func (u *Unlocked) lines(text string) error {
	if u.Format != Dotenv {
		return nil
	}
	for i, line := range strings.Split(text, "\n") {
		name, _, found := strings.Cut(line, "=")
		if line == "" || line[0] == '#' {
			continue
		}
		if !found || CheckName(name) != nil {
			return &InputError{u.Path, fmt.Sprintf("line %d does not begin with NAME=", i+1), "a value of several lines is written in one, with \\n"}
		}
	}
	return nil
}

func (u *Unlocked) checkPlain(branch sops.TreeBranch) error {
	seen := map[string]bool{}
	for i, item := range branch {
		if _, comment := item.Key.(sops.Comment); comment {
			continue
		}
		name, _ := item.Key.(string)
		if CheckName(name) != nil {
			return &InputError{u.Path, fmt.Sprintf("the name of secret %d is none: letters, digits and _, no digit first, and not sops_", i+1), "such as DB_PASSWORD"}
		}
		if seen[name] {
			return &InputError{u.Path, name + " is given twice", "keep one of them"}
		}
		seen[name] = true
		switch v := item.Value.(type) {
		case string:
			if why := badValue(v); why != "" {
				return &InputError{u.Path, "the value of " + name + " " + why, "encode it, as base64 does, and have the app decode it"}
			}
		case int, float64, bool:
		default:
			return &InputError{u.Path, name + " is not a single value; secrets are flat NAME: value pairs", "put quotes around the value"}
		}
	}
	return nil
}
