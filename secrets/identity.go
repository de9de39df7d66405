package secrets

import (
	"fmt"
	"log/slog"

	"filippo.io/age"
)

const redacted = "[redacted]"

// A String is text that must not be seen. However it is printed, logged or
// marshalled, it shows as [redacted]; Reveal is the only way to the text, so
// that every use of a secret can be found by searching for it.
type String struct{ text string }

// NewString wraps text.
func NewString(text string) String { return String{text} }

// Reveal returns the text itself.
func (s String) Reveal() string { return s.text }

func (String) String() string               { return redacted }
func (String) GoString() string             { return redacted }
func (String) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (String) LogValue() slog.Value         { return slog.StringValue(redacted) }

// An Identity is a droplet's one-time age key.
type Identity struct {
	// Recipient is the public half, age1….
	Recipient string
	// Key is the private half, AGE-SECRET-KEY-1….
	Key String
}

// NewIdentity makes a fresh X25519 age key.
func NewIdentity() (Identity, error) {
	k, err := age.GenerateX25519Identity()
	if err != nil {
		return Identity{}, fmt.Errorf("make the droplet's age key: %w", err)
	}
	return identity(k), nil
}

// ParseIdentity reads the private half that Key.Reveal gave.
func ParseIdentity(key string) (Identity, error) {
	k, err := age.ParseX25519Identity(key)
	if err != nil {
		// The library's error may quote what it was given.
		return Identity{}, fmt.Errorf("not an age identity")
	}
	return identity(k), nil
}

func identity(k *age.X25519Identity) Identity {
	return Identity{Recipient: k.Recipient().String(), Key: NewString(k.String())}
}
