package release

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cattle/droplets"
)

// unpinWithin bounds the wait until a deleted tag is read back as gone.
const unpinWithin = 30 * time.Second

// PinFault is why the live droplet is not to be rebuilt; nil when it may be.
func (w *World) PinFault() *Fault {
	since, pinned := w.Live.Pinned()
	if !pinned {
		return nil
	}
	return &Fault{
		Code: "pinned",
		Msg: fmt.Sprintf("%s is pinned since %s, when cattle rollback went back to it: a rebuild might bring back what that was for",
			w.Live.Name, since.UTC().Format(time.RFC3339)),
		Hint: fmt.Sprintf("cattle release %s by hand, or cattle unpin", w.Serving()),
	}
}

// Unpin ends every pin of the app and finds that they are gone. It returns the
// releases that were pinned, the live one first.
func (o *Operator) Unpin(ctx context.Context, w *World) ([]string, error) {
	var pinned []Member
	for _, m := range w.served() {
		if len(m.Pins()) > 0 {
			pinned = append(pinned, m)
		}
	}
	var releases []string
	for _, m := range pinned {
		for _, tag := range m.Pins() {
			if err := o.Cloud.DeleteTag(ctx, tag); err != nil {
				return nil, err
			}
		}
		if err := o.unpinned(ctx, m); err != nil {
			return nil, err
		}
		releases = append(releases, m.Birth.Release)
	}
	return releases, nil
}

// served are the droplets that a pin may be on: the live one, and standbys.
func (w *World) served() []Member {
	if w.Live == nil {
		return w.Standbys
	}
	return slices.Concat([]Member{*w.Live}, w.Standbys)
}

// unpinned waits until the droplet is read without a pin. One that is gone has none.
func (o *Operator) unpinned(ctx context.Context, m Member) error {
	what := fmt.Sprintf("the pin of droplet %d to be gone", m.ID)
	return droplets.Wait(ctx, what, unpinWithin, droplets.Every(pendingPause), func(ctx context.Context) (bool, error) {
		d, err := o.Cloud.Droplet(ctx, m.ID)
		if droplets.NotFound(err) {
			return true, nil
		}
		return err == nil && len(d.Pins()) == 0, err
	})
}
