package measure

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cattle/droplets"
)

// clean ends the address and every droplet of this measurement, also one whose
// order had no answer, and times it.
func (r *run) clean(ctx context.Context) error {
	r.Say("clean up")
	left := &Leftovers{}
	if r.ip == "" && len(r.made) > 0 {
		left.Err = r.find(ctx)
	}
	if r.ip != "" {
		err := droplets.Wait(ctx, "the end of the reserved IP", moveWithin, droplets.Every(lookEvery), func(ctx context.Context) (bool, error) {
			err := r.Cloud.ReleaseIP(ctx, r.ip)
			return err == nil, err
		})
		left.add(err, "the reserved IP "+r.ip, "doctl compute reserved-ip delete "+r.ip)
	}
	ds, err := r.Cloud.Droplets(ctx, Tag)
	left.Err = errors.Join(left.Err, err)
	for _, d := range r.made {
		ds = append(ds, d.Droplet) // a list may not have it yet
	}
	ended := map[int]bool{}
	for _, d := range ds {
		if !ended[d.ID] && strings.HasPrefix(d.Name, "cattle-measure-"+r.id) {
			ended[d.ID] = true
			left.add(r.end(ctx, d.ID), "droplet "+d.Name, fmt.Sprint("doctl compute droplet delete ", d.ID))
		}
	}
	left.Err = errors.Join(left.Err, r.Cloud.DeleteTag(ctx, Tag))
	if left.Err == nil {
		return nil
	}
	return left
}

// find looks for an address whose order had no answer: it is at the droplet
// that it was ordered for.
func (r *run) find(ctx context.Context) error {
	ips, err := r.Cloud.ReservedIPs(ctx)
	for _, ip := range ips {
		if ip.DropletID == r.made[0].ID {
			r.ip = ip.IP
		}
	}
	return err
}

func (l *Leftovers) add(err error, what, command string) {
	if err != nil {
		l.Left = append(l.Left, Leftover{what, command})
		l.Err = errors.Join(l.Err, err)
	}
}

// end destroys a droplet and waits until the API knows it no more.
func (r *run) end(ctx context.Context, id int) error {
	at := time.Now()
	err := droplets.Wait(ctx, "the end of a droplet", moveWithin, droplets.Every(lookEvery), func(ctx context.Context) (bool, error) {
		_, err := r.Cloud.Droplet(ctx, id)
		if droplets.NotFound(err) {
			return true, nil
		}
		return false, r.Cloud.Destroy(ctx, id)
	})
	for n, d := range r.made {
		if d.ID == id && err == nil {
			r.report.Droplets[n].Gone = since(at)
		}
	}
	return err
}
