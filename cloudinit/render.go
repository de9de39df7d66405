package cloudinit

import (
	"errors"
	"fmt"

	"cattle/profiles"
)

// Input is all that user-data is made of.
type Input struct {
	Profile *profiles.Profile
	Stack   *profiles.Stack
	// Release is the version; Attempt is the id of this try at it, 16
	// lower-case hex digits.
	Release, Attempt string
	HostKey          HostKey
	Sealed           *Sealed           // nil without secrets
	Images           map[string]string // reference to digest
	// Brought are images that the operator brings over SSH: reference to id, the
	// SHA-256 of the config. Nothing pulls them.
	Brought map[string]string
	SOPS    Download // zero: DefaultSOPS()
	// Bake makes the user-data of a droplet that installs and pulls, starts
	// nothing of the app, and becomes a snapshot. Release and the Stack may be
	// empty then: packages alone.
	Bake bool
}

// HostKey is the SSH host key that the caller made for this attempt.
type HostKey struct {
	Private string // OpenSSH PEM
	Public  string // one line, as in authorized_keys
}

// String keeps the private half out of logs.
func (k HostKey) String() string { return k.Public }

// GoString does so for %#v.
func (k HostKey) GoString() string { return k.Public }

// Sealed are the secrets, encrypted to one droplet's key.
type Sealed struct {
	Bytes    []byte   // a SOPS file
	Format   string   // dotenv, yaml or json
	Names    []string // of the secrets in it; nil: not known, not checked
	Identity string   // the age identity; rendered only when the profile delivers by user-data
}

// String keeps the identity out of logs.
func (s *Sealed) String() string {
	return fmt.Sprintf("%d sealed secrets (%s)", len(s.Names), s.Format)
}

// GoString does so for %#v.
func (s *Sealed) GoString() string { return s.String() }

// Render makes the user-data. The same input gives the same bytes. The error
// is a *TooLargeError when the result is more than the cloud takes; then the
// UserData is given too, to look at. Safe for concurrent use.
func Render(in Input) (*UserData, error) {
	if in.Profile == nil || in.Stack == nil {
		return nil, errors.New("render: profile and stack are both needed")
	}
	files, err := tree(in)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", in.Profile.App, err)
	}
	neutral, err := tree(in.withoutAttempt())
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", in.Profile.App, err)
	}
	u := &UserData{app: in.Profile.App, attempt: in.Attempt, files: files, digest: digest(neutral)}
	u.bytes, u.parts = cloudConfig(in, files)
	if len(u.bytes) > MaxSize {
		return u, &TooLargeError{Size: len(u.bytes), Largest: u.Parts()[:5]}
	}
	return u, nil
}

// withoutAttempt leaves out what differs between two attempts at one release,
// so that equal machines have equal digests.
func (in Input) withoutAttempt() Input {
	in.Attempt, in.HostKey = "", HostKey{}
	if in.Sealed != nil {
		in.Sealed = &Sealed{Format: in.Sealed.Format, Names: in.Sealed.Names}
	}
	return in
}
