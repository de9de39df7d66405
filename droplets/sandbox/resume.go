package sandbox

import (
	"encoding/json"
	"time"
)

// A kept is a whole cloud in memory, to go on from.
type kept struct {
	At     time.Time            `json:"at"`
	CA     []byte               `json:"ca"`  // certificate, PEM
	Key    []byte               `json:"key"` // of the authority, PEM
	State  state                `json:"state"`
	Broken map[string]Behaviour `json:"broken"`
}

// State is all that another cloud needs to go on from this moment, see
// Options.State. Keys are in it. Faults, the logs of calls and changes, and
// open connections are not.
func (c *Cloud) State() ([]byte, error) {
	now := c.lock()
	defer c.unlock()
	return json.Marshal(kept{now, c.ca.pem, block("EC PRIVATE KEY", c.ca.secret), c.state, c.broken})
}

// StateTime is the moment of a state: a cloud that goes on from it in a
// synctest bubble must not begin before.
func StateTime(state []byte) (time.Time, error) {
	var k struct {
		At time.Time `json:"at"`
	}
	err := json.Unmarshal(state, &k)
	return k.At, err
}

// begin takes the state of another cloud.
func (c *Cloud) begin(from []byte) error {
	var k kept
	if err := json.Unmarshal(from, &k); err != nil {
		return err
	}
	c.state = k.State
	if k.Broken != nil {
		c.broken = k.Broken
	}
	return c.useCA(k.CA, k.Key)
}
