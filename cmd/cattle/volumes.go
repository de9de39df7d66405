package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cattle/droplets"
	"cattle/droplets/release"
)

// What is said, and done, about volumes of block storage beside a release.

// loginForVolumes finds the operator's SSH key where droplets may have to let go
// of a volume, or take one up.
func loginForVolumes(std stdio, o *release.Operator, w *release.World) (err error) {
	for _, v := range w.Volumes {
		if v.Is != nil && o.Login == nil && err == nil {
			o.Login, err = login(std)
		}
	}
	return err
}

// straysText says what gc does about volumes that are not at the live droplet.
func straysText(g *release.Garbage, w *release.World, dryRun bool) string {
	switch {
	case len(g.Strays) == 0:
		return ""
	case g.Spared:
		return fmt.Sprintf("spared: %s may belong to the release that is under way\n", release.Named(g.Strays))
	case dryRun:
		return fmt.Sprintf("would bring %s back to %s, if that waits for it\n", release.Named(g.Strays), w.Live.Name)
	}
	return ""
}

// returnVolumes brings back to the live droplet what it waits for.
func returnVolumes(ctx context.Context, std stdio, o *release.Operator, w *release.World, g *release.Garbage) error {
	waits, err := o.Return(ctx, g)
	var underway *release.Underway
	switch {
	case errors.As(err, &underway):
		return &release.Incomplete{Leftovers: []release.Leftover{{What: fmt.Sprintf("%s waits for %s", w.Live.Name, release.Named(g.Strays)), Err: err, Command: "cattle gc, after that"}}}
	case err != nil:
		return fmt.Errorf("bring %s back to %s: %w", release.Named(g.Strays), w.Live.Name, err)
	case waits:
		fmt.Fprintf(std.err, "%s is back at %s, which waited for it\n", release.Named(g.Strays), w.Live.Name)
	}
	return nil
}

// volumeJSON is a volume of the site's.
type volumeJSON struct {
	Name    string  `json:"name"`
	ID      string  `json:"id"`
	SizeGiB int     `json:"size_gib"`
	Droplet int     `json:"droplet,omitempty"` // that has it; 0: none
	Awaited bool    `json:"awaited,omitempty"` // the live droplet is closed without it
	Monthly float64 `json:"monthly_usd"`
	where   string
}

// volumesToJSON says where the site's volumes are.
func volumesToJSON(w *release.World, brief *droplets.StateBrief) (out []volumeJSON) {
	awaited := map[string]bool{}
	for _, v := range w.Awaited(brief) {
		awaited[v.Want.Name] = true
	}
	for _, v := range w.Volumes {
		if v.Is != nil {
			out = append(out, volumeJSON{v.Is.Name, v.Is.ID, v.Is.SizeGiB, v.On(), awaited[v.Want.Name], v.PriceMonthly(), whereText(w, v.On())})
		}
	}
	return out
}

func whereText(w *release.World, id int) string {
	m := w.Member(id)
	switch {
	case id == 0:
		return "at no droplet"
	case m == nil:
		return fmt.Sprintf("at droplet %d, which is not the site's", id)
	}
	return "at " + m.Name
}

func (s statusJSON) volumesText() string {
	var b strings.Builder
	for _, v := range s.Volumes {
		fmt.Fprintf(&b, "volume %s: %d GiB, %s, $%.2f a month", v.Name, v.SizeGiB, v.where, v.Monthly)
		if v.Awaited {
			b.WriteString("; the live droplet waits for it, closed")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// bringBack is what brings the volumes back that the live droplet waits for; ""
// where it waits for none.
func bringBack(w *release.World, brief *droplets.StateBrief) string {
	switch {
	case len(w.Awaited(brief)) == 0:
		return ""
	case len(w.Candidates) > 0:
		return "if nobody is at the release under way any more: cattle gc --attempt " + w.Candidates[0].Birth.Attempt
	}
	return "cattle gc brings back " + release.Named(w.Awaited(brief))
}
