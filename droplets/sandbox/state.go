package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// state is all that survives a restart.
type state struct {
	NextID   int                 `json:"next_id"`
	NextIP   int                 `json:"next_ip"`
	Droplets []*droplet          `json:"droplets"`
	Actions  []*action           `json:"actions"`
	Reserved []*reservedIP       `json:"reserved_ips"`
	Tags     []*tag              `json:"tags"`
	Keys     []*sshKey           `json:"ssh_keys"`
	Walls    []*firewall         `json:"firewalls"`
	Domains  []*domain           `json:"domains"`
	Images   []*image            `json:"snapshots"` // the account's own
	Origins  map[int]origin      `json:"origins"`   // of these, by id
	Bills    []Bill              `json:"bills"`     // of droplets that are gone
	Issued   []Issued            `json:"issued"`
	Pulled   map[string]string   `json:"pulled"`             // digest to reference
	Groups   []*project          `json:"projects,omitempty"` // beside the default one
	Projects map[string]resource `json:"project_resources"`  // by URN
	VPCs     map[string]string   `json:"vpcs,omitempty"`     // further ones, with their region
	Volumes  []*volume           `json:"volumes,omitempty"`
	// Published is by how many revisions the archive of packages was moved on.
	Published int `json:"published,omitempty"`
	// Backups are in repositories that outlive droplets, oldest first.
	Backups []*StateBackup `json:"backups,omitempty"`
	// RelayAway has all mail wait on droplets.
	RelayAway bool `json:"relay_away,omitempty"`
}

func (s *state) id() int {
	s.NextID++
	return s.NextID
}

// claim makes the state folder and keeps every other cloud out of it, until
// Close or the end of this process.
func (c *Cloud) claim() error {
	if c.opt.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(c.opt.Dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(c.opt.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	taken, err := lockFile(f)
	if err == nil && !taken {
		err = fmt.Errorf("another sandbox uses %s", c.opt.Dir)
	}
	if err != nil {
		f.Close()
		return err
	}
	c.folder = f
	return nil
}

// InUse tells whether a cloud that lives has dir as its state folder, and
// whether dir has the lock file of one at all.
func InUse(dir string) (used, locked bool, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	defer f.Close()
	free, err := lockFile(f)
	return !free, true, err
}

// release gives the state folder back.
func (c *Cloud) release() error {
	if c.folder == nil {
		return nil
	}
	f := c.folder
	c.folder = nil
	return f.Close()
}

// load reads the state folder, or begins a new account.
func (c *Cloud) load() error {
	c.state = state{NextID: 3164443, Pulled: map[string]string{}, Projects: map[string]resource{}}
	if c.opt.State != nil {
		return c.begin(c.opt.State)
	}
	if err := c.claim(); err != nil {
		return err
	}
	if err := c.loadCA(); err != nil {
		return err
	}
	if !c.keeps() {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(c.opt.Dir, "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(b, &c.state)
}

// keeps says whether there is a state to read and write: real machines end
// with the process, and an account that still had them would lie.
func (c *Cloud) keeps() bool { return c.opt.Dir != "" && !c.real() }

// save writes the state when it has changed. The cloud must be locked.
func (c *Cloud) save() error {
	if !c.dirty || c.closed || !c.keeps() {
		return nil
	}
	b, err := json.Marshal(&c.state)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(c.opt.Dir, "state.json"), b); err != nil {
		return err
	}
	c.dirty = false
	return nil
}

// writeFile replaces a file in one step, so that a crash leaves the old one
// or the new one. Keys are in it, so nobody else may read it.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// stamp is how the API writes a time.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
