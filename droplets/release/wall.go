package release

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"cattle/droplets"
)

// everyone are all addresses, as the API has them.
var everyone = []string{"0.0.0.0/0", "::/0"}

// wall is the site's Cloud Firewall as the profile has it. It holds for every
// droplet that carries the app's tag, from the moment in which it is made, and
// says what the droplet's own packet filter says.
func (s Site) wall() droplets.Firewall {
	from := s.SSHFrom
	if len(from) == 0 {
		from = everyone
	}
	ssh := droplets.NewRule("tcp", "22", from...)
	if s.State && len(s.SSHFrom) > 0 { // data goes from droplet to droplet
		ssh = ssh.With(droplets.AppTag(s.App))
	}
	return droplets.Firewall{
		Name: "cattle-" + s.App, Tags: []string{droplets.AppTag(s.App)},
		Inbound: []droplets.Rule{
			ssh, droplets.NewRule("tcp", "80", everyone...),
			droplets.NewRule("tcp", "443", everyone...), droplets.NewRule("icmp", "0", everyone...),
		},
		Outbound: []droplets.Rule{
			droplets.NewRule("tcp", "0", everyone...), droplets.NewRule("udp", "0", everyone...), droplets.NewRule("icmp", "0", everyone...),
		},
	}
}

// wallOf finds the firewall of the site's name, nil for none. One that holds
// for anything but the app's tag is somebody else's.
func (s Site) wallOf(all []droplets.Firewall) (*droplets.Firewall, error) {
	want := s.wall()
	i := slices.IndexFunc(all, func(f droplets.Firewall) bool { return f.Name == want.Name })
	if i < 0 {
		return nil, nil
	}
	f := all[i]
	if len(f.Droplets) > 0 || len(f.Tags) != 1 || !strings.EqualFold(f.Tags[0], want.Tags[0]) {
		return nil, &strangeWall{f}
	}
	return &f, nil
}

// strangeWall is a firewall of the site's name that is not the site's.
type strangeWall struct{ droplets.Firewall }

func (e *strangeWall) Error() string {
	holds := slices.Clone(e.Tags)
	for _, id := range e.Droplets {
		holds = append(holds, fmt.Sprintf("droplet %d", id))
	}
	if len(holds) == 0 {
		// Tags are left out of answers for a token that may not read them.
		holds = []string{"nothing that the token may read (tags take the scope tag:read)"}
	}
	return fmt.Sprintf("the firewall %s is not cattle's: it holds for %s", e.Name, strings.Join(holds, ", "))
}

func (e *strangeWall) hint() string {
	return "give it another name at https://cloud.digitalocean.com/networking/firewalls, or end it: doctl compute firewall delete " + e.ID
}

// sameRules tells whether two firewalls allow the same, in whatever order they
// say it.
func sameRules(a, b droplets.Firewall) bool {
	same := func(a, b []droplets.Rule) bool {
		return len(a) == len(b) && !slices.ContainsFunc(a, func(r droplets.Rule) bool { return !slices.ContainsFunc(b, r.Equal) })
	}
	return same(a.Inbound, b.Inbound) && same(a.Outbound, b.Outbound)
}

func (w *World) wallFaults(site Site) []Fault {
	if !site.Firewall {
		return nil
	}
	if _, err := site.wallOf(w.Around.Firewalls); err != nil {
		strange := err.(*strangeWall)
		return []Fault{{Code: "firewall-conflict", Msg: strange.Error(), Hint: strange.hint()}}
	}
	return nil
}

// wall is the step that makes the firewall what the profile says. It comes
// before the droplet, so that this one never stands open; after a rollback
// nothing has booted, and what fails must not keep anybody from going back.
func (p *Plan) wall() []Step {
	c := p.wallChange()
	if c == nil {
		return nil
	}
	s := Step{Name: "firewall", Title: fmt.Sprintf("change %s, which was %s, to %s", p.Site.wall().Name, c.From, c.To), run: (*run).wall, after: p.target != nil}
	if c.From == "" {
		s.Title = fmt.Sprintf("make %s, by the app's tag: %s", p.Site.wall().Name, c.To)
	}
	return []Step{s}
}

// wallChange is what differs, nil for nothing.
func (p *Plan) wallChange() *Change {
	if !p.Site.Firewall || p.World.Around.Err != nil {
		return nil
	}
	was, err := p.Site.wallOf(p.World.Around.Firewalls)
	want := p.Site.wall()
	switch {
	case err != nil, was != nil && sameRules(*was, want):
		return nil
	case was == nil:
		return &Change{"firewall", "", opened(want)}
	}
	return &Change{"firewall", opened(*was), opened(want)}
}

// opened is what a firewall lets in, for people.
func opened(f droplets.Firewall) string {
	var out []string
	for _, r := range f.Inbound {
		text := r.Ports
		if r.Protocol != "tcp" {
			text = strings.TrimSuffix(r.Protocol+" "+r.Ports, " 0")
		}
		if !r.Equal(droplets.NewRule(r.Protocol, r.Ports, everyone...)) {
			text += " from " + strings.Join(slices.Concat(r.Addresses, r.Tags), " ")
			if r.Others > 0 {
				text += " and what the console shows"
			}
		}
		out = append(out, text)
	}
	if !sameRules(droplets.Firewall{Outbound: f.Outbound}, droplets.Firewall{Outbound: Site{}.wall().Outbound}) {
		out = append(out, "outwards not everything")
	}
	return strings.Join(out, ", ")
}

// wall carries the step out. Rules that were there are put back if the release
// is refused: with others the operator might have shut himself out of what
// serves. A firewall that was made stays: it costs nothing, and another release
// may count on it by then.
func (r *run) wall(ctx context.Context) error {
	want := r.site.wall()
	was, err := r.site.wallOf(r.world.Around.Firewalls)
	if err != nil {
		return err
	}
	if was == nil {
		return r.makeWall(ctx, want)
	}
	want.ID = was.ID
	if err := r.lookAtWall(ctx, r.site, was.ID); err != nil {
		return err
	}
	if r.plan.target == nil { // else it is confirmed, and nothing is undone any more
		r.pushUndo(undoStep{what: "put the firewall's rules back", run: func(ctx context.Context) error { return r.changeWall(ctx, *was) },
			leftover: Leftover{What: "the firewall " + was.Name + " has the rules of the release that was refused", Command: "doctl compute firewall get " + was.ID}})
	}
	if err := r.changeWall(ctx, want); err != nil {
		return &byHand{err, "doctl compute firewall get " + was.ID}
	}
	return nil
}

// lookAtWall reads a firewall once more, by its id, before it is changed or
// ended: what a list says is no proof.
func (o *Operator) lookAtWall(ctx context.Context, site Site, id string) error {
	now, err := o.Cloud.Firewall(ctx, id)
	if err != nil {
		return lacks(err, keyFirewall, "firewall:read")
	}
	found, err := site.wallOf([]droplets.Firewall{now})
	if err == nil && found == nil {
		err = fmt.Errorf("the firewall %s is called %s now: left alone", id, now.Name)
	}
	return err
}

// changeWall replaces the rules, and does so again when the answer leaves open
// whether it was done: twice is as good as once.
func (o *Operator) changeWall(ctx context.Context, f droplets.Firewall) (err error) {
	for range lookups {
		if err = o.Cloud.ChangeFirewall(ctx, f); !droplets.Uncertain(err) {
			return lacks(err, keyFirewall, "firewall:update")
		}
		if perr := pause(ctx, lookupPause); perr != nil {
			return err
		}
	}
	return err
}

// makeWall makes the firewall. When the answer leaves open whether it did, or
// says that the name is taken, it looks: another release may have made it.
func (r *run) makeWall(ctx context.Context, want droplets.Firewall) (err error) {
	for range lookups {
		err = r.Cloud.MakeFirewall(context.WithoutCancel(ctx), want)
		if !droplets.Uncertain(err) && droplets.StatusOf(err) != http.StatusConflict {
			return lacks(err, keyFirewall, "firewall:create or tag:create")
		}
		if perr := pause(ctx, lookupPause); perr != nil {
			return perr
		}
		all, lerr := r.Cloud.Firewalls(ctx)
		if lerr != nil {
			return lerr
		}
		if found, werr := r.site.wallOf(all); werr != nil || found != nil && sameRules(*found, want) {
			return werr
		}
	}
	return err
}

// endWall ends the site's firewall, which nothing is behind any more.
func (o *Operator) endWall(ctx context.Context, site Site) error {
	if !site.Firewall {
		return nil
	}
	all, err := o.Cloud.Firewalls(ctx)
	if err != nil {
		return lacks(err, keyFirewall, "firewall:read")
	}
	if f, err := site.wallOf(all); err == nil && f != nil {
		if err := o.lookAtWall(ctx, site, f.ID); err != nil {
			if droplets.NotFound(err) {
				return nil
			}
			return err
		}
		return lacks(o.Cloud.DeleteFirewall(ctx, f.ID), keyFirewall, "firewall:delete")
	}
	return nil
}
