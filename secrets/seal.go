package secrets

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/keyservice"
)

// A KeyError says that none of the operator's keys opens the file.
type KeyError struct {
	Path string
	Err  error
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("%s: none of your keys opens it", e.Path)
}

func (e *KeyError) Unwrap() error { return e.Err }

// Seal returns the file with its data key wrapped for recipient alone: the
// values are the same ciphertext, every other recipient is gone. The data key
// is opened with whatever key type the file was made for, found as the sops
// command finds it (SOPS_AGE_KEY_FILE, cloud credentials, gpg and so on).
// It may call a cloud's key service, so it can take as long as that does.
func (f *File) Seal(recipient string) ([]byte, error) {
	tree, err := parse(f.raw, f.Format)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	services := localKeys()
	dataKey, err := tree.Metadata.GetDataKeyWithKeyServices(services, sops.DefaultDecryptionOrder)
	if err != nil {
		return nil, &KeyError{f.Path, err}
	}
	droplet, err := sopsage.MasterKeyFromRecipient(recipient)
	if err != nil {
		return nil, fmt.Errorf("the droplet's age key: %w", err)
	}
	tree.Metadata.KeyGroups = []sops.KeyGroup{{droplet}}
	tree.Metadata.ShamirThreshold = 0
	if errs := tree.Metadata.UpdateMasterKeysWithKeyServices(dataKey, services); len(errs) > 0 {
		return nil, fmt.Errorf("seal %s: %w", f.Path, errors.Join(errs...))
	}
	store, err := storeFor(f.Format)
	if err != nil {
		return nil, err
	}
	return store.EmitEncryptedFile(*tree)
}

// Open decrypts a sealed file with a droplet's identity and no other key: what
// the sops command does on the droplet, MAC included. The stub machine of the
// sandbox uses it; the operator's side never does.
func Open(sealed []byte, format, key string) (map[string]string, error) {
	tree, err := parse(sealed, Format(format))
	if err != nil {
		return nil, err
	}
	var ids sopsage.ParsedIdentities
	if err := ids.Import(key); err != nil {
		return nil, errors.New("not an age identity")
	}
	service := keyservice.NewCustomLocalClient(ageOnly{ids})
	dataKey, err := tree.Metadata.GetDataKeyWithKeyServices([]keyservice.KeyServiceClient{service}, nil)
	if err != nil {
		return nil, errors.New("the key does not open the sealed secrets")
	}
	if err := decrypt(tree, dataKey, aes.NewCipher()); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, item := range tree.Branches[0] {
		if name, ok := item.Key.(string); ok {
			values[name] = fmt.Sprint(item.Value)
		}
	}
	return values, nil
}

// decrypt opens the values in place and verifies the file's MAC over them.
func decrypt(tree *sops.Tree, dataKey []byte, cipher aes.Cipher) error {
	mac, err := tree.Decrypt(dataKey, cipher)
	if err != nil {
		return err
	}
	want, err := cipher.Decrypt(tree.Metadata.MessageAuthenticationCode, dataKey, tree.Metadata.LastModified.Format(time.RFC3339))
	if err != nil {
		return err
	}
	wantMAC, ok := want.(string)
	if !ok || subtle.ConstantTimeCompare([]byte(wantMAC), []byte(mac)) != 1 {
		return errors.New("the sealed secrets were changed: their MAC does not match")
	}
	return nil
}

// ageOnly is a key service that opens age keys with given identities, and
// looks nowhere else: not in the environment, not in the home folder.
type ageOnly struct{ ids sopsage.ParsedIdentities }

func (s ageOnly) Decrypt(_ context.Context, req *keyservice.DecryptRequest) (*keyservice.DecryptResponse, error) {
	k := req.GetKey().GetAgeKey()
	if k == nil {
		return nil, errors.New("not an age key")
	}
	master := &sopsage.MasterKey{Recipient: k.Recipient, EncryptedKey: string(req.Ciphertext)}
	s.ids.ApplyToMasterKey(master)
	plain, err := master.Decrypt()
	if err != nil {
		return nil, err
	}
	return &keyservice.DecryptResponse{Plaintext: plain}, nil
}

func (s ageOnly) Encrypt(context.Context, *keyservice.EncryptRequest) (*keyservice.EncryptResponse, error) {
	return nil, errors.New("this key service only decrypts")
}
