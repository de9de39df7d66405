package secrets

import (
	"errors"
	"fmt"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/version"
)

// A Pair is one secret by name.
type Pair struct {
	Name  string
	Value String
}

// Encrypt makes a SOPS file of the pairs for the age recipients, as
// `sops encrypt` would. The plain values are in memory alone.
func Encrypt(format Format, pairs []Pair, recipients ...string) ([]byte, error) {
	store, err := storeFor(format)
	if err != nil {
		return nil, err
	}
	var group sops.KeyGroup
	for _, r := range recipients {
		k, err := sopsage.MasterKeyFromRecipient(r)
		if err != nil {
			return nil, fmt.Errorf("age recipient %s: %w", r, err)
		}
		group = append(group, k)
	}
	var branch sops.TreeBranch
	for _, p := range pairs {
		branch = append(branch, sops.TreeItem{Key: p.Name, Value: p.Value.Reveal()})
	}
	tree := sops.Tree{
		Branches: sops.TreeBranches{branch},
		Metadata: sops.Metadata{KeyGroups: []sops.KeyGroup{group}, Version: version.Version, LastModified: time.Now().UTC()},
	}
	if err := encrypt(&tree); err != nil {
		return nil, err
	}
	return store.EmitEncryptedFile(tree)
}

// encrypt closes the values in place, under a fresh data key.
func encrypt(tree *sops.Tree) error {
	dataKey, errs := tree.GenerateDataKeyWithKeyServices(localKeys())
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return closeTree(tree, dataKey, aes.NewCipher())
}

// closeTree encrypts the values in place and writes down their MAC.
func closeTree(tree *sops.Tree, dataKey []byte, cipher aes.Cipher) error {
	mac, err := tree.Encrypt(dataKey, cipher)
	if err != nil {
		return err
	}
	tree.Metadata.MessageAuthenticationCode, err = cipher.Encrypt(mac, dataKey, tree.Metadata.LastModified.Format(time.RFC3339))
	return err
}
