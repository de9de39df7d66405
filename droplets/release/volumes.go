package release

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"cattle/droplets"
)

// A volume of block storage is not copied. It is on one droplet at a time, so
// it moves with the writes of a site: the droplet that has it lets go of it,
// which closes the site, and the next one takes it up. Until the confirm it can
// go back.

// A VolumeSpec is what a profile says of a volume.
type VolumeSpec struct {
	Name    string
	SizeGiB int // of one that is made; 0: it has to be there
}

// A VolumeAt is a volume of the site's and where a survey found it.
type VolumeAt struct {
	Want VolumeSpec
	Is   *droplets.Volume // nil: there is none
}

// On is the droplet that has the volume, 0 for none.
func (v VolumeAt) On() int {
	if v.Is == nil {
		return 0
	}
	return onOf(*v.Is)
}

func onOf(v droplets.Volume) int {
	if len(v.DropletIDs) == 0 {
		return 0
	}
	return v.DropletIDs[0]
}

// VolumePrice is what a volume bills, in US dollars a GiB and month:
// https://docs.digitalocean.com/products/volumes/details/pricing/, read in
// November 2026.
const VolumePrice = 0.10

// PriceMonthly is what the volume bills, or would, in US dollars.
func (v VolumeAt) PriceMonthly() float64 {
	if v.Is == nil {
		return float64(v.Want.SizeGiB) * VolumePrice
	}
	return float64(v.Is.SizeGiB) * VolumePrice
}

// withVolumes adds what they bill.
func (p *Plan) withVolumes(c Cost) Cost {
	for _, v := range p.World.Volumes {
		c.Monthly += v.PriceMonthly()
		if v.Is != nil {
			c.Before += v.PriceMonthly()
		}
	}
	return c
}

func (s *survey) readVolumes(ctx context.Context, g *errgroup.Group, cloud droplets.Cloud, site Site) {
	s.Volumes = make([]VolumeAt, len(site.Volumes))
	for i, want := range site.Volumes {
		s.Volumes[i].Want = want
		g.Go(func() error {
			found, err := cloud.Volumes(ctx, site.Region, want.Name)
			if err == nil && len(found) > 0 {
				s.Volumes[i].Is = &found[0]
			}
			return err
		})
	}
}

// Member is the droplet of the app of that id, or nil.
func (w *World) Member(id int) *Member {
	if w.Live != nil && w.Live.ID == id {
		return w.Live
	}
	for _, list := range [][]Member{w.Standbys, w.Candidates, w.Orphans, w.Baking, w.Unknown, w.Ending} {
		if found := ofID(list, id); len(found) > 0 {
			return &found[0]
		}
	}
	return nil
}

// volumeFaults are reasons for which the volumes cannot be moved.
func (w *World) volumeFaults(site Site) (out []Fault) {
	for _, v := range w.Volumes {
		if v.Is == nil && v.Want.SizeGiB == 0 {
			out = append(out, Fault{Code: "no-volume", Input: true, Msg: fmt.Sprintf("there is no volume %s in region %s", v.Want.Name, site.Region),
				Hint: "volume: {size: …} in the profile has the release make one; volumes do not leave their region"})
		}
	}
	return append(out, w.volumesElsewhere(site)...)
}

// volumesElsewhere are those of them that hold up a rollback, too.
func (w *World) volumesElsewhere(site Site) (out []Fault) {
	for _, v := range w.Volumes {
		if v.Is != nil {
			out = append(out, w.elsewhere(site, v)...)
		}
	}
	return out
}

// elsewhere refuses to take a volume from somebody.
func (w *World) elsewhere(site Site, v VolumeAt) []Fault {
	fault := func(hint, format string, args ...any) []Fault {
		return []Fault{{Code: "volume-elsewhere", Msg: "the volume " + v.Want.Name + " " + fmt.Sprintf(format, args...), Hint: hint}}
	}
	i := slices.IndexFunc(v.Is.Tags, func(tag string) bool {
		return strings.HasPrefix(strings.ToLower(tag), droplets.AppTag("")) && !strings.EqualFold(tag, droplets.AppTag(site.App))
	})
	if i >= 0 {
		return fault("name another one: volume: {name: …}", "is another app's: it carries the tag %s", v.Is.Tags[i])
	}
	on := v.On()
	if m := w.Member(on); on != 0 && (m == nil || !m.Born) {
		return fault(fmt.Sprintf("once nothing uses it there any more: doctl compute volume-action detach %s %d", v.Is.ID, on),
			"is at droplet %d, which is none that a release of %s made", on, site.App)
	}
	return nil
}

// takes tells whether volumes go along with the plan's switch.
func (p *Plan) takes() bool { return len(p.World.Volumes) > 0 && p.kit() != nil }

// closes tells whether somebody waits while they do.
func (p *Plan) closes() bool { return p.takes() && p.leaves() }

// waits tells whether writes, or all of the site, wait while the app is started
// and gated.
func (p *Plan) waits() bool { return p.moves() || p.closes() }

const (
	volumesStep = "volumes"
	returnStep  = "return"
)

// makeVolumes are the steps before a droplet is ordered: they make what there is
// not, and bring back to the live droplet what somebody has lost on his way.
func (p *Plan) makeVolumes() (steps []Step) {
	if !p.takes() {
		return nil
	}
	for _, v := range p.World.Volumes {
		if v.Is == nil {
			steps = append(steps, Step{Name: "volume", Title: fmt.Sprintf("make the volume %s: %d GiB, in %s, $%.2f a month; it stays, whatever becomes of the release",
				v.Want.Name, v.Want.SizeGiB, p.Site.Region, v.PriceMonthly()), run: func(r *run, ctx context.Context) error { return r.makeVolume(ctx, v.Want) }})
		}
	}
	if lost := p.World.strays(); len(lost) > 0 && p.leaves() {
		steps = append(steps, Step{Name: returnStep, Title: fmt.Sprintf("bring %s back to %s, if it waits for it", Named(lost), p.World.Live.Name), run: (*run).returnVolumes})
	}
	return steps
}

// volumeSteps move them.
func (p *Plan) volumeSteps() (steps []Step) {
	if !p.takes() {
		return nil
	}
	if p.begins() && p.leaves() {
		steps = append(steps, Step{Name: freezeStep, Title: fmt.Sprintf("hold the writes of %s, if it still answers", p.World.Live.Name), run: (*run).freezeIfReachable, held: true})
	}
	return append(steps, Step{Name: volumesStep, Title: p.volumesTitle(), run: (*run).moveVolumes, held: p.leaves()})
}

func (p *Plan) volumesTitle() string {
	to := "it"
	if p.target != nil {
		to = p.target.Name
	}
	if !p.leaves() {
		return fmt.Sprintf("put %s on %s", Named(p.World.Volumes), to)
	}
	t := fmt.Sprintf("close the site, and move %s from %s to %s", Named(p.World.Volumes), p.World.Live.Name, to)
	if !p.moves() {
		t += "; if it does not answer, it is shut down first"
	}
	return t
}

// Named are volumes in words.
func Named(vs []VolumeAt) string {
	names := make([]string, len(vs))
	for i, v := range vs {
		names[i] = v.Want.Name
	}
	if len(names) == 1 {
		return "the volume " + names[0]
	}
	return "the volumes " + strings.Join(names, ", ")
}

// volumeChange tells the reader of a rollback that gives rows up that those on
// a volume stay.
func (p *Plan) volumeChange() []Change {
	if !p.takes() || p.target == nil {
		return nil
	}
	var out []Change
	for _, v := range p.World.Volumes {
		out = append(out, Change{"volume " + v.Want.Name, p.World.Serving(), p.Release + ", as it is: nothing on it is undone"})
	}
	return out
}
