package sandbox

import (
	"context"
	"net"
	"net/netip"
)

// Machines is what is behind the API in place of the stub machines: whatever
// boots a droplet's disk for real. The cloud calls the methods that name a
// droplet one at a time for each droplet, Assign one at a time for each
// address, and holds nothing meanwhile. Different droplets and addresses, and
// Dial, are served at the same time. An error is the action's failure: it ends
// as errored, and Snapshot says why. The context ends when the cloud closes;
// Close waits until the last call has returned.
type Machines interface {
	// Create makes the disk and boots it. It returns when the machine has
	// power, not when it has booted. The machine may ask for its metadata
	// before Create returns.
	Create(ctx context.Context, spec Spec) error
	PowerOn(ctx context.Context, id int) error
	// Shutdown asks the machine to, waits until it is off, and cuts it after a bound.
	Shutdown(ctx context.Context, id int) error
	// PowerOff cuts it.
	PowerOff(ctx context.Context, id int) error
	// Reboot asks the machine to reboot and waits until it has begun again.
	Reboot(ctx context.Context, id int) error
	// Destroy takes the machine away with its disk. One that is not there is no error.
	Destroy(ctx context.Context, id int) error
	// Snapshot keeps a copy of the disk as an image. The machine may be on.
	// One that fails leaves nothing.
	Snapshot(ctx context.Context, id, image int) error
	// DeleteImage forgets what Snapshot kept. One that is not there is no
	// error. Machines that were made from it go on.
	DeleteImage(ctx context.Context, image int) error
	// AttachVolume gives a machine, on or off, a volume as a disk. One that no
	// machine had yet is empty, but for its file system.
	AttachVolume(ctx context.Context, id int, v Volume) error
	// DetachVolume takes it away, mounted or not. One that is not there is no
	// error; Destroy does it too.
	DetachVolume(ctx context.Context, id int, v Volume) error
	// DeleteVolume forgets what is on a volume that no machine has.
	DeleteVolume(ctx context.Context, volume string) error
	// Assign lets a reserved address lead to a droplet's own; to the zero
	// Addr: nowhere.
	Assign(ctx context.Context, ip, to netip.Addr) error
	// Dial connects, from within the machines' network, to an IP and port there.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// Spec is the machine that a droplet asks for.
type Spec struct {
	ID   int
	Name string
	// Base is the slug of the public image, "debian-13-x64"; of a machine from
	// a snapshot it is the image that the snapshot goes back to, for what is
	// not on the disk.
	Base          string
	Image         int // id of a snapshot to start from; 0: from Base
	IP, PrivateIP netip.Addr
	VCPUs         int
	MemoryMiB     int
	DiskGiB       int
	// Stopped is to be called when the machine has powered itself off, at any
	// time from Create on and from any goroutine. It does not block for long.
	// What Shutdown, PowerOff and Reboot did needs no call.
	Stopped func()
}

// real says whether machines are behind the API that are no stubs.
func (c *Cloud) real() bool { return c.opt.Machines != nil }

// spec is what a droplet's machine is made from.
func (c *Cloud) spec(d *droplet) Spec {
	s := c.shelf.size(d.Size)
	spec := Spec{
		ID: d.ID, Name: d.Name, IP: address(d.IP), PrivateIP: address(d.PrivateIP),
		VCPUs: s.VCPUs, MemoryMiB: s.Memory, DiskGiB: s.Disk,
		Stopped: func() { c.stopped(d.ID) },
	}
	base := d.Image
	if origin, own := c.state.Origins[d.Image]; own {
		spec.Image, base = d.Image, origin.Base
	}
	for _, i := range c.shelf.images {
		if i.ID == base {
			spec.Base = *i.Slug
		}
	}
	return spec
}

// stopped notes that a machine has powered itself off. While an action is
// being carried out that turns it off or restarts it, the action has the say;
// one that starts it ends with the machine off.
func (c *Cloud) stopped(id int) {
	c.lock()
	defer c.unlock()
	d := c.droplet(id)
	if d == nil || c.closed {
		return
	}
	switch c.carried(id) {
	case "power_off", "shutdown", "reboot", "power_cycle", "destroy":
		return
	case "create", "power_on":
		d.stopped = true
		return
	}
	if d.Status == "active" {
		d.Status = "off"
		c.touch()
	}
}

// carried is the type of the action that a droplet's machine is carrying out,
// empty without one.
func (c *Cloud) carried(droplet int) string {
	if a := c.pending(droplet); a != nil && a.carried {
		return a.Type
	}
	return ""
}

// address reads an address that the cloud itself has written.
func address(s string) netip.Addr {
	a, _ := netip.ParseAddr(s)
	return a
}
