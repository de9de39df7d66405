package sandbox

import (
	"slices"
	"time"
)

// A Snapshot is what is in the cloud at a moment, for tests and people; the
// API is the way for programs.
type Snapshot struct {
	At          time.Time    `json:"at"`
	Droplets    []Machine    `json:"droplets"`
	ReservedIPs []ReservedIP `json:"reserved_ips"`
	Volumes     []Attachable `json:"volumes"`
	Bills       []Bill       `json:"bills"`
	Issued      []Issued     `json:"issued"`
	// Backups are those of all repositories, oldest first.
	Backups []StateBackup `json:"backups,omitempty"`
}

// A Machine is a droplet from the inside.
type Machine struct {
	ID      int      `json:"id"`
	Name    string   `json:"name"`
	Tags    []string `json:"tags"`
	Status  string   `json:"status"`
	IP      string   `json:"ip"`
	App     string   `json:"app"`
	Release string   `json:"release"`
	Attempt string   `json:"attempt"`
	Boot    string   `json:"boot,omitempty"` // of a stub: running, ok or failed
	Failed  string   `json:"failed_step,omitempty"`
	// Fault is why a stub does not boot a release, or why a real machine did
	// not carry out the last action.
	Fault    string            `json:"fault,omitempty"`
	Warnings []string          `json:"warnings,omitempty"`
	Secrets  []string          `json:"secrets,omitempty"` // names, once opened
	Images   map[string]string `json:"images,omitempty"`
	TLS      bool              `json:"tls"`
	// Guard is a stub's dead-man switch: armed, disarmed, or fired and what came of it.
	Guard string `json:"guard,omitempty"`
	// Passes is the address that a stub passes ACME challenges on to; "": none.
	Passes string `json:"passes,omitempty"`
	// History are the lines that a stub was given to keep, oldest first.
	History []string `json:"history,omitempty"`
	// Rows are what a stub's app has taken, in that order; Phase says whether it
	// takes more: open, frozen, committed or new.
	Rows  []string `json:"rows,omitempty"`
	Phase string   `json:"phase,omitempty"`
	Lent  bool     `json:"lent,omitempty"` // a key of another droplet opens it
	// Mails are those that wait in a stub's queue.
	Mails []Mail `json:"mails,omitempty"`
}

// A ReservedIP is an address and the droplet that it leads to, 0 for none.
type ReservedIP struct {
	IP      string `json:"ip"`
	Region  string `json:"region"`
	Droplet int    `json:"droplet"`
	Locked  bool   `json:"locked"`
	Fault   string `json:"fault,omitempty"` // why Machines did not move it
}

// An Attachable is a volume and the droplet that it is attached to, 0 for none.
type Attachable struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Region  string `json:"region"`
	SizeGiB int    `json:"size_gib"`
	Droplet int    `json:"droplet"`
	Moving  bool   `json:"moving"`          // an attach or a detach is under way
	Fault   string `json:"fault,omitempty"` // why Machines did not carry one out
	// Mounted says that a stub has it mounted; Rows are what is on it.
	Mounted bool     `json:"mounted,omitempty"`
	Rows    []string `json:"rows,omitempty"`
}

// Snapshot looks at everything at once.
func (c *Cloud) Snapshot() Snapshot {
	bills := c.Bills()
	now := c.lock()
	defer c.unlock()
	s := Snapshot{At: now, Droplets: []Machine{}, ReservedIPs: []ReservedIP{}, Volumes: []Attachable{}, Bills: orEmpty(bills), Issued: orEmpty(c.state.Issued)}
	for _, d := range c.state.Droplets {
		s.Droplets = append(s.Droplets, c.machine(d, now))
	}
	for _, b := range c.state.Backups {
		s.Backups = append(s.Backups, *b)
	}
	for _, ip := range c.state.Reserved {
		s.ReservedIPs = append(s.ReservedIPs, ReservedIP{ip.IP, ip.Region, ip.Droplet, ip.Locked, ip.Fault})
	}
	for _, v := range c.state.Volumes {
		s.Volumes = append(s.Volumes, Attachable{v.ID, v.Name, v.Region, v.Size, v.Droplet, c.moving(v) != nil, v.Fault, v.Disk.Mounted, v.Disk.Rows})
	}
	return s
}

func (c *Cloud) machine(d *droplet, now time.Time) Machine {
	s := c.seed(d)
	m := Machine{
		ID: d.ID, Name: d.Name, Tags: d.Tags, Status: d.Status, IP: d.IP,
		App: s.manifest.App, Release: s.manifest.Release, Attempt: s.manifest.Attempt,
		Fault: d.Fault, Warnings: s.warnings, Images: s.manifest.Images,
	}
	if c.real() {
		return m // what goes on inside is not known here
	}
	v := c.status(d, now)
	m.Boot, m.Failed, m.Fault = v["boot"].(string), v["failed_step"].(string), s.fault
	m.Secrets, m.TLS = d.Disk.SecretNames, c.certificate(d) != nil
	if now.Before(d.Disk.Passes.Until) {
		m.Passes = d.Disk.Passes.To
	}
	m.Guard, m.History = c.viewGuard(d.ID), d.Disk.History
	m.Mails = slices.Clone(d.Disk.Queue)
	m.Rows, m.Lent = c.rowsOf(d), now.Before(d.Disk.State.LentUntil)
	if d.Disk.State.Known || s.waits() {
		m.Phase = c.phase(d)
	}
	return m
}
