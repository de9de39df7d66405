package secrets

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"filippo.io/age"
	sopsage "github.com/getsops/sops/v3/age"
)

// KeyFile is where sops looks for the operator's age keys, and so where one
// that is made belongs: SOPS_AGE_KEY_FILE, or sops/age/keys.txt in the user's
// configuration folder.
func KeyFile(env func(string) string) (string, error) {
	if file := env(sopsage.SopsAgeKeyFileEnv); file != "" {
		return file, nil
	}
	folder := env("XDG_CONFIG_HOME")
	home := env("HOME")
	switch {
	case folder != "":
	case home == "":
		return "", &InputError{"HOME", "it is not set, so there is no place for an age key", "export " + sopsage.SopsAgeKeyFileEnv + "=/path/to/keys.txt"}
	case runtime.GOOS == "darwin": // as os.UserConfigDir has it, which sops asks
		folder = filepath.Join(home, "Library", "Application Support")
	default:
		folder = filepath.Join(home, ".config")
	}
	return filepath.Join(folder, filepath.FromSlash(sopsage.SopsAgeKeyUserConfigPath)), nil
}

// OwnRecipients are the public halves of the operator's age keys at hand, in
// SOPS_AGE_KEY and in the KeyFile. None is no error.
func OwnRecipients(env func(string) string) ([]string, error) {
	own, err := recipientsIn(sopsage.SopsAgeKeyEnv, strings.NewReader(env(sopsage.SopsAgeKeyEnv)))
	if err != nil {
		return nil, err
	}
	path, err := KeyFile(env)
	if err != nil {
		return own, nil // nowhere to look: nothing found
	}
	raw, err := readFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return own, nil
	}
	if err != nil {
		return nil, err
	}
	more, err := recipientsIn(path, strings.NewReader(string(raw)))
	return append(own, more...), err
}

// recipientsIn reads age identities. What the library says of a bad line may
// quote it, so it is not passed on.
func recipientsIn(where string, r io.Reader) ([]string, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		ids, err := age.ParseIdentities(strings.NewReader(line))
		if err != nil {
			return nil, &InputError{where, "it has a line that is no age key", "take that line out; keys begin with AGE-SECRET-KEY-"}
		}
		for _, id := range ids {
			if public, ok := recipientOf(id); ok {
				out = append(out, public)
			}
		}
	}
	return out, nil
}

func recipientOf(id age.Identity) (string, bool) {
	switch id := id.(type) {
	case *age.X25519Identity:
		return id.Recipient().String(), true
	case *age.HybridIdentity:
		return id.Recipient().String(), true
	}
	return "", false
}

// MakeKey makes an age key and puts it at the end of the file at path, which
// nobody else may read. The form is age-keygen's.
func MakeKey(path string) (recipient string, err error) {
	id, err := NewIdentity()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return "", err
	}
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		fmt.Fprintln(f) // its last line may have no end; what fails here fails again below
	}
	_, err = fmt.Fprintf(f, "# created: %s\n# public key: %s\n%s\n", time.Now().Format(time.RFC3339), id.Recipient, id.Key.Reveal())
	return id.Recipient, errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close())
}
