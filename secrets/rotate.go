package secrets

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/keys"
)

// Rotate gives the file a fresh data key, wrapped for everybody who can read
// it now. All values are encrypted anew by Save. Recipients of a cloud's key
// service are asked over the network.
func (u *Unlocked) Rotate() error {
	dataKey, errs := u.tree.GenerateDataKeyWithKeyServices(localKeys())
	if len(errs) > 0 {
		return fmt.Errorf("%s: a fresh data key: %w", u.Path, errors.Join(errs...))
	}
	u.tree.Metadata.DataKey = dataKey
	u.dataKey, u.cipher = dataKey, aes.NewCipher()
	return nil
}

// A Recipient is somebody who can read a secrets file.
type Recipient struct {
	Kind string `json:"kind"` // age, pgp, kms, … as SOPS calls it
	Name string `json:"name"` // age1…, a fingerprint, a key's address
	// Yours tells that a key at hand opens the file for it. Only age keys are tried.
	Yours bool `json:"yours,omitempty"`
}

// Recipients lists who can read the file. No key is needed for that.
func (f *File) Recipients() ([]Recipient, error) {
	tree, err := parse(f.raw, f.Format)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	var out []Recipient
	for _, group := range tree.Metadata.KeyGroups {
		for _, k := range group {
			r := Recipient{Kind: k.TypeToIdentifier(), Name: k.ToString()}
			if _, isAge := k.(*sopsage.MasterKey); isAge {
				_, err := k.Decrypt()
				r.Yours = err == nil
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// AddRecipient lets an age or SSH public key read the file from now on, and
// tells whether it could not before. The values stay as they are.
func (u *Unlocked) AddRecipient(recipient string) (changed bool, err error) {
	group, err := u.group()
	if err != nil {
		return false, err
	}
	key, err := ageKey(recipient)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(*group, isRecipient(key.Recipient)) {
		return false, nil
	}
	if err := key.Encrypt(u.dataKey); err != nil {
		return false, fmt.Errorf("wrap the data key for %s: %w", key.Recipient, err)
	}
	*group = append(*group, key)
	return true, nil
}

// RemoveRecipient takes an age recipient out, and gives the file a fresh data
// key: whoever has the old one could open what is written later. What that
// recipient has read stays read. The operator cannot lock himself out.
func (u *Unlocked) RemoveRecipient(recipient string) (changed bool, err error) {
	group, err := u.group()
	if err != nil {
		return false, err
	}
	recipient = strings.TrimSpace(recipient)
	rest := slices.DeleteFunc(slices.Clone(*group), isRecipient(recipient))
	if len(rest) == len(*group) {
		return false, nil
	}
	if len(rest) == 0 {
		return false, &InputError{u.Path, "it is the last one who can read the file", "cattle secrets recipients add age1… first"}
	}
	before := *group
	*group = rest
	if err := u.Rotate(); err != nil {
		return false, err
	}
	u.tree.Metadata.DataKey = nil // so that the keys are really tried
	if _, err := u.tree.Metadata.GetDataKeyWithKeyServices(localKeys(), sops.DefaultDecryptionOrder); err != nil {
		*group = before
		return false, &InputError{u.Path, "you could not read the file any more yourself", "cattle secrets recipients add age1… first, with a public key of yours"}
	}
	return true, nil
}

// group is the one that keys are added to. In a file with several, which need
// some of each, adding to one of them is the owner's choice.
func (u *Unlocked) group() (*sops.KeyGroup, error) {
	if n := len(u.tree.Metadata.KeyGroups); n != 1 {
		return nil, &InputError{u.Path, fmt.Sprintf("it has %d key groups, of which several are needed to read it", n), "sops updatekeys " + u.Path + ", after .sops.yaml was changed"}
	}
	return &u.tree.Metadata.KeyGroups[0], nil
}

func isRecipient(recipient string) func(keys.MasterKey) bool {
	return func(k keys.MasterKey) bool {
		_, isAge := k.(*sopsage.MasterKey)
		return isAge && k.ToString() == recipient
	}
}

// ageKey reads a recipient that somebody typed. A private key is not repeated.
func ageKey(recipient string) (*sopsage.MasterKey, error) {
	recipient = strings.TrimSpace(recipient)
	if strings.Contains(strings.ToUpper(recipient), "SECRET-KEY") {
		return nil, &InputError{"recipient", "this is a private key, which nobody else may see",
			"name the public one, age1…; if others could see what you typed, make a new key: age-keygen"}
	}
	k, err := sopsage.MasterKeyFromRecipient(recipient)
	if err != nil {
		return nil, &InputError{"recipient", "not a public key of age or SSH: " + recipient, "age1…, as age-keygen -y ~/.config/sops/age/keys.txt prints it"}
	}
	return k, nil
}
