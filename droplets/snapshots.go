package droplets

import (
	"context"
	"fmt"
	"slices"

	"github.com/digitalocean/godo"
)

func (c *digitalOcean) Shutdown(ctx context.Context, id int) error {
	_, _, err := c.api.DropletActions.Shutdown(ctx, id)
	return wrap(err, "shut droplet %d down", id)
}

func (c *digitalOcean) PowerOff(ctx context.Context, id int) error {
	_, _, err := c.api.DropletActions.PowerOff(ctx, id)
	return wrap(err, "power droplet %d off", id)
}

func (c *digitalOcean) TakeSnapshot(ctx context.Context, id int, name string) error {
	_, _, err := c.api.DropletActions.Snapshot(ctx, id, name)
	return wrap(err, "take the snapshot %s of droplet %d", name, id)
}

func (c *digitalOcean) Snapshots(ctx context.Context, tag string) ([]Snapshot, error) {
	images, err := all(ctx, func(ctx context.Context, o *godo.ListOptions) ([]godo.Image, *godo.Response, error) {
		return c.api.Images.ListByTag(ctx, tag, o)
	})
	if err != nil {
		return nil, wrap(err, "list the snapshots tagged %s", tag)
	}
	var out []Snapshot
	for _, i := range images {
		twice := slices.ContainsFunc(out, func(s Snapshot) bool { return s.ID == i.ID })
		if got := fromImage(&i); !i.Public && i.Type == "snapshot" && got.Has(tag) && !twice {
			out = append(out, got)
		}
	}
	return out, nil
}

func (c *digitalOcean) Snapshot(ctx context.Context, id int) (Snapshot, error) {
	i, _, err := c.api.Images.GetByID(ctx, id)
	if err = given(i, err); err == nil && i.ID != id {
		err = fmt.Errorf("%w: it is about snapshot %d", errNonsense, i.ID)
	}
	if err != nil {
		return Snapshot{}, wrap(err, "read snapshot %d", id)
	}
	return fromImage(i), nil
}

func (c *digitalOcean) TagSnapshot(ctx context.Context, tag string, id int) error {
	return c.tag(ctx, tag, godo.ImageResourceType, []int{id})
}

func (c *digitalOcean) DeleteSnapshot(ctx context.Context, id int) error {
	_, err := c.api.Images.Delete(ctx, id)
	return ended(err, "delete snapshot %d", id)
}
