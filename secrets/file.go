// Package secrets reads SOPS files, changes them, and seals them, for one
// droplet at a time, to that droplet's one-time age key. It is the only room
// that knows sops and age.
//
// No value is decrypted on the way to a droplet: sealing opens the file's data
// key with one of the operator's keys and wraps it again for the droplet alone,
// which is what `sops updatekeys` does. An Unlocked file has its values in
// plain, in memory, for as long as somebody changes them.
package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/cmd/sops/common"
	"github.com/getsops/sops/v3/cmd/sops/formats"
	"github.com/getsops/sops/v3/config"
)

// Format is how a secrets file is written down; the values are the ones that
// the sops command takes for --input-type.
type Format string

const (
	Dotenv Format = "dotenv"
	YAML   Format = "yaml"
	JSON   Format = "json"
)

// A File is an encrypted SOPS file of flat NAME: value pairs. It is read-only
// and safe for concurrent use: every operation parses the bytes anew.
type File struct {
	Path   string
	Format Format
	// Names are the names of the secrets, in the file's order.
	Names []string

	raw []byte
}

// An InputError is a fault of the secrets file itself, for the user to mend.
type InputError struct {
	Path string
	Msg  string
	Hint string // what to type, or empty
}

// missing is the fault of a file that is not there.
type missing struct{ InputError }

func (e *missing) Unwrap() []error { return []error{&e.InputError, os.ErrNotExist} }

func (e *InputError) Error() string { return e.Path + ": " + e.Msg }

// Advice is the hint, for rooms that cannot know this type.
func (e *InputError) Advice() string { return e.Hint }

// nameRE is what a POSIX shell and Docker Compose take for a variable's name.
var nameRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// encryptedValue is how SOPS writes a value that it has encrypted.
const encryptedValue = "ENC["

// Read reads and checks a secrets file: encrypted by SOPS, flat, every value
// encrypted, names that an environment can carry. Nothing is decrypted and no
// key is needed. Faults of the file are *InputError.
func Read(path string) (*File, error) {
	raw, err := readFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &missing{InputError{path, "no such file", "cattle secrets set NAME makes it"}}
	}
	if err != nil {
		return nil, err
	}
	format, err := formatOf(path)
	if err != nil {
		return nil, err
	}
	if line := conflict(raw); line > 0 {
		return nil, &InputError{path, fmt.Sprintf("git left a merge conflict in it, at line %d; no two versions of it can be mixed", line),
			"take one side whole, git checkout --ours " + path + " (or --theirs), and set what the other one had: cattle secrets set NAME"}
	}
	f := &File{Path: path, Format: format, raw: raw}
	tree, err := parse(raw, format)
	if errors.Is(err, sops.MetadataNotFound) {
		return nil, &InputError{path, "not encrypted: it has no SOPS metadata", "sops encrypt --in-place " + path}
	}
	if err != nil {
		return nil, &InputError{path, err.Error(), "sops decrypt " + path + " shows what sops makes of it"}
	}
	f.Names, err = names(path, tree)
	return f, err
}

// Names lists the names of the secrets in the file at path, in its order.
func Names(path string) ([]string, error) {
	f, err := Read(path)
	if err != nil {
		return nil, err
	}
	return f.Names, nil
}

// conflict is the line at which git left a merge conflict, 0 without one.
func conflict(raw []byte) int {
	n := 0
	for line := range bytes.Lines(raw) {
		n++
		if bytes.HasPrefix(line, []byte("<<<<<<< ")) || bytes.HasPrefix(line, []byte(">>>>>>> ")) {
			return n
		}
	}
	return 0
}

func formatOf(path string) (Format, error) {
	switch formats.FormatForPath(path) {
	case formats.Dotenv:
		return Dotenv, nil
	case formats.Yaml:
		return YAML, nil
	case formats.Json:
		return JSON, nil
	}
	return "", &InputError{path, "a secrets file ends in .env, .yaml or .json", ""}
}

func storeFor(format Format) (common.Store, error) {
	switch format {
	case Dotenv, YAML, JSON:
		return common.StoreForFormat(formats.FormatFromString(string(format)), config.NewStoresConfig()), nil
	}
	return nil, fmt.Errorf("unknown secrets format %q", format)
}

func parse(raw []byte, format Format) (*sops.Tree, error) {
	store, err := storeFor(format)
	if err != nil {
		return nil, err
	}
	tree, err := store.LoadEncryptedFile(bytes.Clone(raw))
	if err != nil {
		return nil, err
	}
	return &tree, nil
}

func names(path string, tree *sops.Tree) ([]string, error) {
	if len(tree.Branches) != 1 {
		return nil, &InputError{path, "more than one YAML document", "keep one document of NAME: value lines"}
	}
	var out []string
	for _, item := range tree.Branches[0] {
		if _, comment := item.Key.(sops.Comment); comment {
			continue
		}
		name := fmt.Sprint(item.Key)
		if err := checkItem(path, name, item.Value); err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	return out, nil
}

func checkItem(path, name string, value any) error {
	edit := "cattle secrets edit"
	if !nameRE.MatchString(name) {
		return &InputError{path, fmt.Sprintf("%q cannot be the name of an environment variable", name), edit}
	}
	text, ok := value.(string)
	if !ok {
		return &InputError{path, fmt.Sprintf("%s is not a single value; secrets are flat NAME: value pairs", name), edit}
	}
	// An empty string has nothing to encrypt: SOPS leaves it as it is.
	if text != "" && !strings.HasPrefix(text, encryptedValue) {
		return &InputError{path, fmt.Sprintf("the value of %s is not encrypted", name), "sops encrypt --in-place " + path + ", and change the value: it was readable"}
	}
	return nil
}

// Bytes are the file as it was read, still encrypted.
func (f *File) Bytes() []byte { return bytes.Clone(f.raw) }
