package sandbox

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// disk is what a machine keeps when its power goes, and when the sandbox is
// restarted.
type disk struct {
	OnAt   time.Time `json:"on_at"`   // when the power came on; zero while it is off
	BootAt time.Time `json:"boot_at"` // when the boot script began; zero before
	// BootFault is what the release's behaviour was when the boot began.
	BootFault Behaviour `json:"boot_fault"`

	Key          string    `json:"key,omitempty"` // age identity
	KeyAt        time.Time `json:"key_at"`
	SecretsFault string    `json:"secrets_fault,omitempty"`
	SecretNames  []string  `json:"secret_names,omitempty"` // never values

	BroughtAt time.Time `json:"brought_at,omitzero"` // when it had all images that it waits for

	// Done are the boot steps whose work was on the disk from the beginning,
	// because it is a copy of one where they had been done.
	Done []string `json:"done,omitempty"`
	// Archive is the revision of the packages that it has, see archive.
	Archive int `json:"archive,omitempty"`

	Certificates []byte    `json:"certificates,omitempty"` // tar of etc/letsencrypt
	IssueAt      time.Time `json:"issue_at"`               // when the certificate that was asked for comes
	IssueFault   string    `json:"issue_fault,omitempty"`
	RetryAt      time.Time `json:"retry_at"` // of the timer on the droplet
	Passes       passes    `json:"passes,omitzero"`

	History  []string `json:"history,omitempty"`  // a line a release, oldest first
	Manifest string   `json:"manifest,omitempty"` // a line
	// Files are those that somebody copied there, by "CONTAINER:PATH"; those of
	// the machine itself by ":PATH".
	Files map[string]keptFile `json:"files,omitempty"`
	State stateDisk           `json:"state,omitzero"`
	// Queue is what the relay has not taken yet; TookMail are the names of what
	// came from other machines.
	Queue    []Mail   `json:"queue,omitempty"`
	TookMail []string `json:"took_mail,omitempty"`
}

// powerOn starts a machine. The boot script runs at the first start, and
// again when it was cut off.
func (c *Cloud) powerOn(d *droplet, at time.Time) {
	if c.real() {
		return
	}
	d.Disk.OnAt = at
	c.flush(d, at)
	if !d.Disk.BootAt.IsZero() {
		return
	}
	d.Disk.BootAt = at.Add(d.Latency.Boot)
	d.Disk.BootFault = c.behaviour(d)
	if d.Disk.Archive == 0 {
		d.Disk.Archive = c.archive(at)
	}
	s := c.seed(d)
	if key, there := s.files[keyPath]; there && d.Disk.Key == "" {
		c.takeKey(d, string(key), at)
	}
}

// powerOff stops a machine and cuts its connections.
func (c *Cloud) powerOff(d *droplet, at time.Time) {
	if c.real() {
		return
	}
	if run := c.boot(d); run.ended.IsZero() || run.ended.After(at) {
		d.Disk.BootAt = time.Time{}
	}
	d.Disk.OnAt, d.Disk.Passes = time.Time{}, passes{}
	c.unmountAll(d)
	c.dropGuard(d.ID)
	c.net.cut(d.ID)
}

// takeKey puts the age identity down and opens the sealed secrets with it, as
// the boot step secrets does.
func (c *Cloud) takeKey(d *droplet, key string, at time.Time) {
	s := c.seed(d)
	d.Disk.Key, d.Disk.KeyAt = key, at
	d.Disk.SecretsFault, d.Disk.SecretNames = "", nil
	if s.manifest.Secrets == nil {
		return
	}
	sealed, there := s.files[s.manifest.Secrets.File]
	switch {
	case !there:
		d.Disk.SecretsFault = s.manifest.Secrets.File + ": no such file"
	case c.opt.Open == nil:
		d.Disk.SecretsFault = "sops: this sandbox cannot open secrets"
	default:
		values, err := c.opt.Open(sealed, s.manifest.Secrets.Format, strings.TrimSpace(key))
		if err != nil {
			d.Disk.SecretsFault = "sops: " + err.Error()
		}
		for name := range values {
			d.Disk.SecretNames = append(d.Disk.SecretNames, name)
		}
		slices.Sort(d.Disk.SecretNames)
	}
}

// vitals is what of a machine runs at a time.
type vitals struct {
	boot  bootRun
	sshd  bool
	nginx bool
	app   bool
	appAt time.Time // since when the app runs
}

// vitals looks at a machine. After a start that is not the first, units bring
// everything back: nginx with sshd, the app one step later.
func (c *Cloud) vitals(d *droplet, now time.Time) vitals {
	v := vitals{}
	if d.Status != "active" || d.Disk.OnAt.IsZero() {
		return v
	}
	v.boot = c.boot(d)
	up := d.Disk.OnAt.Add(d.Latency.Boot)
	v.sshd = !now.Before(up)
	v.nginx = v.sshd && v.boot.done("nginx", now)
	v.appAt = v.boot.at("app")
	if d.Disk.OnAt.After(d.Disk.BootAt) {
		v.appAt = up.Add(d.Latency.Step)
	}
	begun, may := c.starts(d)
	v.appAt = later(v.appAt, begun)
	v.app = may && v.nginx && v.boot.done("app", now) && !now.Before(v.appAt)
	return v
}

// at finds the droplet that an address leads to, and whether it is a
// reserved one.
func (c *Cloud) at(addr netip.Addr) (d *droplet, live bool) {
	s := addr.String()
	if ip := c.reserved(s); ip != nil {
		return c.droplet(ip.Droplet), true
	}
	for _, d := range c.state.Droplets {
		if d.IP == s {
			return d, false
		}
	}
	return nil, false
}
