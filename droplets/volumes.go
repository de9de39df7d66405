package droplets

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/digitalocean/godo"
)

// Volumes are disks that outlive droplets and move between them, within a
// region. Attaching and detaching are orders: the answer comes before they are
// carried out, so a volume is read again until it is where it should be.
type Volumes interface {
	// Volumes lists the volumes of that name in the region: at most one, says the
	// description. One that was made or moved in the last seconds may be listed wrongly.
	Volumes(ctx context.Context, region, name string) ([]Volume, error)
	Volume(ctx context.Context, id string) (Volume, error)
	// CreateVolume makes a volume with an empty ext4. Not idempotent: it sends
	// one POST and never repeats it.
	CreateVolume(ctx context.Context, spec VolumeSpec) (Volume, error)
	// AttachVolume orders that the droplet gets the volume, which nothing else
	// may have then. One that it has already is no error.
	AttachVolume(ctx context.Context, id string, dropletID int) error
	// DetachVolume orders that the droplet loses the volume; one that it has not
	// is no error.
	DetachVolume(ctx context.Context, id string, dropletID int) error
	// VolumeActions lists a volume's latest actions, newest first (one page).
	VolumeActions(ctx context.Context, id string) ([]Action, error)
}

// A Volume is a disk of the account's block storage.
type Volume struct {
	ID         string
	Name       string // of its own in its region
	Region     string
	SizeGiB    int
	Filesystem string // what it was made with; "" where that is not known
	DropletIDs []int  // what it is attached to: one droplet or none
	Tags       []string
}

// Has tells whether the volume carries the tag. Tags ignore case.
func (v Volume) Has(tag string) bool { return has(v.Tags, tag) }

// At tells whether the volume is attached to that droplet.
func (v Volume) At(dropletID int) bool { return slices.Contains(v.DropletIDs, dropletID) }

// VolumeSpec is the order of a volume.
type VolumeSpec struct {
	Name, Region string
	SizeGiB      int
	Tags         []string // made where they do not exist
	Description  string
}

var errNoVolume = errors.New("that is no volume's id")

func (c *digitalOcean) Volumes(ctx context.Context, region, name string) ([]Volume, error) {
	vs, err := all(ctx, func(ctx context.Context, o *godo.ListOptions) ([]godo.Volume, *godo.Response, error) {
		return c.api.Storage.ListVolumes(ctx, &godo.ListVolumeParams{
			Region: url.QueryEscape(region), Name: url.QueryEscape(name), ListOptions: o})
	})
	if err != nil {
		return nil, wrap(err, "list the volumes named %s", name)
	}
	var out []Volume
	for _, v := range vs {
		got, err := fromVolume(&v)
		if err != nil {
			return nil, wrap(err, "list the volumes named %s", name)
		}
		// What was not asked for is not ours, and what moved between pages comes twice.
		twice := slices.ContainsFunc(out, func(o Volume) bool { return o.ID == got.ID })
		if got.Name == name && got.Region == region && !twice {
			out = append(out, got)
		}
	}
	return out, nil
}

func (c *digitalOcean) Volume(ctx context.Context, id string) (Volume, error) {
	if !uuidRE.MatchString(id) {
		return Volume{}, fmt.Errorf("read the volume %q: %w", id, errNoVolume)
	}
	v, _, err := c.api.Storage.GetVolume(ctx, id)
	if err = given(v, err); err == nil && !strings.EqualFold(v.ID, id) {
		err = fmt.Errorf("%w: it is about the volume %s", errNonsense, Line(v.ID))
	}
	if err != nil {
		return Volume{}, wrap(err, "read the volume %s", id)
	}
	got, err := fromVolume(v)
	return got, wrap(err, "read the volume %s", id)
}

func (c *digitalOcean) CreateVolume(ctx context.Context, spec VolumeSpec) (Volume, error) {
	v, _, err := c.api.Storage.CreateVolume(ctx, &godo.VolumeCreateRequest{
		Name: spec.Name, Region: spec.Region, SizeGigaBytes: int64(spec.SizeGiB), Description: spec.Description,
		FilesystemType: "ext4", Tags: spec.Tags,
	})
	if err = given(v, err); err == nil && v.Name != spec.Name {
		err = fmt.Errorf("%w: it is about the volume %s", errNonsense, Line(v.Name))
	}
	if err != nil {
		return Volume{}, wrap(err, "create the volume %s", spec.Name)
	}
	made, err := fromVolume(v)
	return made, wrap(err, "create the volume %s", spec.Name)
}

func (c *digitalOcean) AttachVolume(ctx context.Context, id string, dropletID int) error {
	if !uuidRE.MatchString(id) {
		return fmt.Errorf("attach the volume %q: %w", id, errNoVolume)
	}
	_, _, err := c.api.StorageActions.Attach(ctx, id, dropletID)
	return c.unlessSo(ctx, wrap(err, "attach the volume %s to droplet %d", id, dropletID), id, dropletID, true)
}

func (c *digitalOcean) DetachVolume(ctx context.Context, id string, dropletID int) error {
	if !uuidRE.MatchString(id) {
		return fmt.Errorf("detach the volume %q: %w", id, errNoVolume)
	}
	_, _, err := c.api.StorageActions.DetachByDropletID(ctx, id, dropletID)
	return c.unlessSo(ctx, wrap(err, "detach the volume %s from droplet %d", id, dropletID), id, dropletID, false)
}

// unlessSo looks at the volume where an order was refused, and forgets the
// refusal if what was ordered is so already: only the API's words would tell
// that from another refusal.
func (c *digitalOcean) unlessSo(ctx context.Context, refused error, id string, dropletID int, attached bool) error {
	if !Busy(refused) && !NotFound(refused) {
		return refused
	}
	if v, err := c.Volume(ctx, id); err == nil && v.At(dropletID) == attached {
		return nil
	}
	return refused
}

func (c *digitalOcean) VolumeActions(ctx context.Context, id string) ([]Action, error) {
	if !uuidRE.MatchString(id) {
		return nil, fmt.Errorf("list the actions of the volume %q: %w", id, errNoVolume)
	}
	as, _, err := c.api.StorageActions.List(ctx, id, &godo.ListOptions{})
	if err != nil {
		return nil, wrap(err, "list the actions of the volume %s", id)
	}
	return fromActions(as), nil
}

func fromVolume(v *godo.Volume) (Volume, error) {
	if !uuidRE.MatchString(v.ID) {
		return Volume{}, fmt.Errorf("%w: a volume has the id %q", errNonsense, Line(v.ID))
	}
	out := Volume{ID: v.ID, Name: Line(v.Name), SizeGiB: int(v.SizeGigaBytes), Filesystem: Line(v.FilesystemType),
		DropletIDs: v.DropletIDs, Tags: lines(v.Tags)}
	if v.Region != nil {
		out.Region = Line(v.Region.Slug)
	}
	if i := slices.IndexFunc(v.DropletIDs, func(id int) bool { return id < 1 }); i >= 0 {
		return Volume{}, fmt.Errorf("%w: a volume is attached to droplet %d", errNonsense, v.DropletIDs[i])
	}
	return out, nil
}
