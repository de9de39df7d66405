package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"cattle/droplets"
	"cattle/profiles"
	"cattle/secrets"
)

// An identity is what one attempt at a release has for itself: its id, the
// host key and the age key of its droplet. A fresh one is made for each
// attempt and forgotten; `cattle render --identity FILE` keeps it, so that the
// same input renders to the same bytes and the secrets can be opened.
type identity struct {
	attempt string
	hostKey droplets.HostKey
	age     secrets.Identity
	// sealed are secrets files that were sealed to age before, by the SHA-256 of
	// their bytes: age mixes in fresh randomness each time.
	sealed map[string][]byte
}

func newIdentity() (*identity, error) {
	var id [8]byte
	rand.Read(id[:])
	host, err := droplets.NewHostKey()
	if err != nil {
		return nil, err
	}
	key, err := secrets.NewIdentity()
	if err != nil {
		return nil, err
	}
	return &identity{attempt: hex.EncodeToString(id[:]), hostKey: host, age: key, sealed: map[string][]byte{}}, nil
}

// identityFile is the form on disk, mode 0600.
type identityFile struct {
	Attempt string            `json:"attempt"`
	HostKey droplets.HostKey  `json:"host_key"`
	Age     string            `json:"age_key"`
	Sealed  map[string][]byte `json:"sealed,omitempty"`
}

// attemptRE is an attempt's id: it is part of tags and scripts.
var attemptRE = regexp.MustCompile(`^[0-9a-f]{16}$`)

// loadIdentity reads the identity kept at path, or makes one.
func loadIdentity(path string) (*identity, error) {
	raw, err := profiles.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return newIdentity()
	}
	if err != nil {
		return nil, &usageError{"--identity: " + err.Error(), "name a plain file that cattle wrote, or one that does not exist yet: --identity identity.json"}
	}
	var f identityFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, &usageError{path + " is not an identity that cattle wrote", "name a file that does not exist yet: --identity identity.json"}
	}
	key, err := secrets.ParseIdentity(f.Age)
	if err != nil || !attemptRE.MatchString(f.Attempt) {
		return nil, &usageError{path + " is not an identity that cattle wrote", "name a file that does not exist yet: --identity identity.json"}
	}
	if f.Sealed == nil {
		f.Sealed = map[string][]byte{}
	}
	return &identity{attempt: f.Attempt, hostKey: f.HostKey, age: key, sealed: f.Sealed}, nil
}

// save keeps the identity at path, readable by its owner alone.
func (id *identity) save(path string) error {
	raw, err := json.MarshalIndent(identityFile{id.attempt, id.hostKey, id.age.Key.Reveal(), id.sealed}, "", "  ")
	if err != nil {
		return err
	}
	err = replace(path, func(f io.Writer) error {
		_, err := f.Write(raw)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the identity in %s: %w", path, err)
	}
	return nil
}

// seal wraps the secrets file for this identity's age key.
func (id *identity) seal(f *secrets.File) ([]byte, error) {
	sum := sha256.Sum256(f.Bytes())
	name := hex.EncodeToString(sum[:])
	if kept, ok := id.sealed[name]; ok {
		return kept, nil
	}
	sealed, err := f.Seal(id.age.Recipient)
	if err == nil {
		id.sealed[name] = sealed
	}
	return sealed, err
}
