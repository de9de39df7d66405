package droplets

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"

	"golang.org/x/crypto/ssh"
)

// A HostKey is a droplet's SSH host key, made by the operator before the
// droplet exists: its fingerprint goes into a tag, so every operator with the
// API token can tell the droplet from an impostor at the first contact.
type HostKey struct {
	Private     string // OpenSSH PEM
	Public      string // one authorized_keys line
	Fingerprint string // SHA-256 of the public key, 64 hex digits
}

// NewHostKey makes an ed25519 host key.
func NewHostKey() (HostKey, error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return HostKey{}, err
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		return HostKey{}, err
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		return HostKey{}, err
	}
	return HostKey{
		Private:     string(pem.EncodeToMemory(block)),
		Public:      authorizedLine(key),
		Fingerprint: fingerprint(key),
	}, nil
}

func fingerprint(key ssh.PublicKey) string {
	sum := sha256.Sum256(key.Marshal())
	return hex.EncodeToString(sum[:])
}

// authorizedLine is a key as authorized_keys and the API have it.
func authorizedLine(key ssh.PublicKey) string {
	return string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)))
}
