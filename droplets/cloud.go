// Package droplets is what cattle needs of a cloud: a dozen calls, the tags
// that hold a site's whole state, and the verbs that a droplet answers over SSH.
// It is the only room that knows godo and the SSH client.
package droplets

import (
	"context"
	"net"
	"slices"
	"strings"
	"time"
)

// Cloud is the part of DigitalOcean's API that a release needs. Every call is
// one request (lists: one a page of 200), may take as long as the network
// does, and stops when ctx ends. Errors that the API answered are *APIError.
// Implementations are safe for concurrent use.
type Cloud interface {
	// Now is the cloud's own time, as of its latest answer: what all operators
	// agree on, whatever their clocks say. It makes no request.
	Now() time.Time
	Account(ctx context.Context) (Account, error)
	// CountDroplets counts all droplets of the account, whoever made them.
	CountDroplets(ctx context.Context) (int, error)
	// Droplets lists the droplets that carry tag. A droplet that was made or
	// destroyed in the last seconds may be listed wrongly.
	Droplets(ctx context.Context, tag string) ([]Droplet, error)
	Droplet(ctx context.Context, id int) (Droplet, error)
	// Create orders a droplet and returns before it exists. It sends one POST
	// and never repeats it: creating is not idempotent.
	Create(ctx context.Context, spec Spec) (Droplet, error)
	// Destroy orders the end of a droplet; one that is gone already is no error.
	Destroy(ctx context.Context, id int) error
	// Shutdown asks the droplet's system to go down, and PowerOff cuts its
	// power. Both return before it is off.
	Shutdown(ctx context.Context, id int) error
	PowerOff(ctx context.Context, id int) error
	// TakeSnapshot orders a snapshot of the droplet's disk and returns before it
	// exists. Not idempotent: it sends one POST and never repeats it.
	TakeSnapshot(ctx context.Context, id int, name string) error
	// Actions lists a droplet's latest actions, newest first (one page).
	Actions(ctx context.Context, id int) ([]Action, error)

	ReservedIPs(ctx context.Context) ([]ReservedIP, error)
	ReservedIP(ctx context.Context, ip string) (ReservedIP, error)
	// ReserveIP makes a reserved IP that points at the droplet. Not idempotent.
	ReserveIP(ctx context.Context, dropletID int) (ReservedIP, error)
	// Assign orders the move of ip to the droplet and returns before it is done.
	Assign(ctx context.Context, ip string, dropletID int) error
	// ReleaseIP gives a reserved IP back; one that is gone already is no error.
	ReleaseIP(ctx context.Context, ip string) error

	// TagDroplets puts a tag on droplets, making the tag where it does not exist.
	TagDroplets(ctx context.Context, tag string, ids ...int) error
	// DeleteTag ends a tag, on whatever carries it; one that is gone is no error.
	DeleteTag(ctx context.Context, tag string) error

	// Snapshots lists the snapshots of droplets that carry tag. One that was
	// tagged in the last seconds may be missing.
	Snapshots(ctx context.Context, tag string) ([]Snapshot, error)
	Snapshot(ctx context.Context, id int) (Snapshot, error)
	// TagSnapshot puts a tag on a snapshot, making the tag where it does not exist.
	TagSnapshot(ctx context.Context, tag string, id int) error
	// DeleteSnapshot ends a snapshot; one that is gone already is no error.
	DeleteSnapshot(ctx context.Context, id int) error

	SSHKeys(ctx context.Context) ([]SSHKey, error)
	Sizes(ctx context.Context) ([]Size, error)
	// Image is the public image of that slug.
	Image(ctx context.Context, slug string) (Image, error)

	// What a profile may ask for beside its droplets.
	DNS
	Firewalls
	Groups
	// What holds the data of those that keep it on a disk of its own.
	Volumes
}

// Account holds the limits that an order may run into.
type Account struct {
	Email           string
	Status          string // active, warning or locked
	DropletLimit    int
	ReservedIPLimit int
}

// Droplet is one machine as the API describes it.
type Droplet struct {
	ID           int
	Name         string
	Status       string // new, active, off or archive
	Locked       bool   // an action holds it
	Created      time.Time
	Region       string
	Size         string
	Image        string   // slug; "" for a droplet that was made from a snapshot
	Snapshots    []int    // ids of the snapshots that were taken of it
	Public       []string // IPv4; may hold the reserved IP too
	Private      string
	VPC          string // id of its private network
	Tags         []string
	PriceMonthly float64 // US dollars
}

// Address is the droplet's own public address, never the reserved one: the API
// may list a reserved IP among the droplet's addresses. Empty until it has one.
func (d Droplet) Address(reserved string) string {
	for _, a := range d.Public {
		if a != reserved {
			return a
		}
	}
	return ""
}

// Has tells whether the droplet carries the tag. Tags ignore case.
func (d Droplet) Has(tag string) bool { return has(d.Tags, tag) }

func has(tags []string, tag string) bool {
	return slices.ContainsFunc(tags, func(t string) bool { return strings.EqualFold(t, tag) })
}

// Spec is the order of a droplet.
type Spec struct {
	Name       string
	Region     string
	Size       string
	Image      string
	Snapshot   int // id of a snapshot to start from, in place of Image
	SSHKeys    []int
	VPC        string
	Monitoring bool
	IPv6       bool
	Tags       []string
	UserData   []byte
}

// ReservedIP is an address that can move between droplets of a region.
type ReservedIP struct {
	IP        string
	Region    string
	Project   string // id of the project that it is in; "" where the token may not know
	DropletID int    // 0: points at nothing
	// Droplet is what it points at, as the same answer described it; the zero
	// Droplet where it did not.
	Droplet Droplet
	Locked  bool
}

// Action is something that happens, or happened, to a droplet or a volume.
type Action struct {
	Type      string // create, assign_ip, attach_volume, …
	Status    string // in-progress, completed or errored
	Started   time.Time
	Completed time.Time // zero while in progress
}

// The API's words for an action's status. godo has no constant for errored.
const (
	ActionInProgress = "in-progress"
	ActionErrored    = "errored"
)

// Size is a kind of droplet on offer.
type Size struct {
	Slug         string
	Available    bool
	Regions      []string
	PriceMonthly float64 // US dollars
	PriceHourly  float64
	MemoryMiB    int
	DiskGiB      int
}

// Image is what a droplet is made from.
type Image struct {
	Slug    string
	Status  string
	Regions []string
}

// Snapshot is a copy of a droplet's disk.
type Snapshot struct {
	ID      int
	Name    string
	Status  string // available, once it can be used
	Regions []string
	Tags    []string
	MinDisk int     // GiB that a droplet made from it needs
	SizeGB  float64 // what is billed
}

// Has tells whether the snapshot carries the tag. Tags ignore case.
func (s Snapshot) Has(tag string) bool { return has(s.Tags, tag) }

// SSHKey is a public key of the account.
type SSHKey struct {
	ID          int
	Name        string
	Fingerprint string // MD5, as the API gives it
}

// Dialer opens connections to droplets and reserved IPs.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}
