package sandbox

import (
	"net/http"
	"slices"
	"strconv"

	"golang.org/x/crypto/ssh"
)

// An sshKey is a public key of the account.
type sshKey struct {
	ID          int    `json:"id"`
	Fingerprint string `json:"fingerprint"` // MD5, pairs of hex digits with colons
	PublicKey   string `json:"public_key"`
	Name        string `json:"name"`
}

// key finds a key by id or fingerprint.
func (c *Cloud) key(name string) *sshKey {
	for _, k := range c.state.Keys {
		if strconv.Itoa(k.ID) == name || k.Fingerprint == name {
			return k
		}
	}
	return nil
}

func (c *Cloud) getKeys(q *call) reply { return page(q, "ssh_keys", c.state.Keys) }

func (c *Cloud) getKey(q *call) reply {
	if k := c.key(q.PathValue("key")); k != nil {
		return ok(obj{"ssh_key": k})
	}
	return notFound()
}

func (c *Cloud) postKeys(q *call) reply {
	var in sshKey
	if err := q.decode(&in); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(in.PublicKey))
	if err != nil {
		return unprocessable("Key invalid, key should be of the format `type key [comment]`")
	}
	in.Fingerprint = ssh.FingerprintLegacyMD5(pub)
	switch {
	case in.Name == "":
		return unprocessable("Name can't be blank")
	case c.key(in.Fingerprint) != nil:
		return unprocessable("SSH Key is already in use on your account")
	}
	in.ID = c.state.id()
	c.state.Keys = append(c.state.Keys, &in)
	c.touch()
	return reply{http.StatusCreated, obj{"ssh_key": &in}}
}

func (c *Cloud) putKey(q *call) reply {
	k := c.key(q.PathValue("key"))
	if k == nil {
		return notFound()
	}
	var in sshKey
	if err := q.decode(&in); err != nil || in.Name == "" {
		return unprocessable("Name can't be blank")
	}
	k.Name = in.Name
	c.touch()
	return ok(obj{"ssh_key": k})
}

// deleteKey forgets a key; droplets that were made with it keep it.
func (c *Cloud) deleteKey(q *call) reply {
	k := c.key(q.PathValue("key"))
	if k == nil {
		return notFound()
	}
	c.state.Keys = slices.DeleteFunc(c.state.Keys, func(o *sshKey) bool { return o == k })
	c.touch()
	return noContent()
}
