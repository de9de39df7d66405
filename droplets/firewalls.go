package droplets

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/digitalocean/godo"
)

// Firewalls are what cattle needs of the account's Cloud Firewalls.
type Firewalls interface {
	Firewalls(ctx context.Context) ([]Firewall, error)
	Firewall(ctx context.Context, id string) (Firewall, error)
	// MakeFirewall makes a firewall, and before it its tags: unlike a droplet's
	// they have to be there. Names are unique, so a second one is refused (409).
	MakeFirewall(ctx context.Context, f Firewall) error
	// ChangeFirewall replaces all that the firewall of f's id says.
	ChangeFirewall(ctx context.Context, f Firewall) error
	// DeleteFirewall ends a firewall; one that is gone already is no error.
	DeleteFirewall(ctx context.Context, id string) error
}

// A Firewall lets through to its droplets, and from them, what its rules allow
// and nothing else.
type Firewall struct {
	ID                string
	Name              string
	Tags              []string // of the droplets that are behind it
	Droplets          []int    // those that are by their ids
	Inbound, Outbound []Rule
}

// A Rule allows one kind of traffic. Rules that say the same are equal.
type Rule struct {
	Protocol  string   // tcp, udp or icmp
	Ports     string   // "22", "8000-9000"; "0": all
	Addresses []string // addresses and blocks, sorted
	Tags      []string // of droplets, sorted
	// Others counts the sources or destinations that are neither.
	Others int
}

// Equal tells whether two rules allow the same.
func (r Rule) Equal(o Rule) bool {
	return r.Protocol == o.Protocol && r.Ports == o.Ports && r.Others == o.Others && slices.Equal(r.Addresses, o.Addresses) && slices.Equal(r.Tags, o.Tags)
}

// NewRule allows traffic with these addresses and blocks.
func NewRule(protocol, ports string, addresses ...string) Rule {
	r := Rule{Protocol: protocol, Ports: ports}
	for _, a := range addresses {
		r.Addresses = append(r.Addresses, block(a))
	}
	slices.Sort(r.Addresses)
	r.Addresses = slices.Compact(r.Addresses)
	if ports == "" || ports == "all" {
		r.Ports = "0"
	}
	return r
}

// With lets the droplets through, too, that carry the tag.
func (r Rule) With(tag string) Rule {
	r.Tags = slices.Sorted(slices.Values(append(slices.Clone(r.Tags), strings.ToLower(tag))))
	return r
}

// block writes an address or a block in one form: 203.0.113.7/24 is
// 203.0.113.0/24, and a block of one address that address.
func block(s string) string {
	if p, err := netip.ParsePrefix(s); err == nil {
		if p.IsSingleIP() {
			return p.Addr().String()
		}
		return p.Masked().String()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String()
	}
	return Line(s)
}

// uuidRE is an id as it may stand in a request's path.
var uuidRE = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

var errNoUUID = errors.New("that is no UUID")

func (c *digitalOcean) Firewalls(ctx context.Context) ([]Firewall, error) {
	fs, err := all(ctx, c.api.Firewalls.List)
	if err != nil {
		return nil, wrap(err, "list the account's firewalls")
	}
	var out []Firewall
	for _, f := range fs {
		if !uuidRE.MatchString(f.ID) {
			return nil, fmt.Errorf("list the account's firewalls: %w: one has the id %q", errNonsense, Line(f.ID))
		}
		out = append(out, fromFirewall(&f))
	}
	return out, nil
}

func (c *digitalOcean) Firewall(ctx context.Context, id string) (Firewall, error) {
	if !uuidRE.MatchString(id) {
		return Firewall{}, fmt.Errorf("read the firewall %q: %w", id, errNoUUID)
	}
	f, _, err := c.api.Firewalls.Get(ctx, id)
	if err = given(f, err); err == nil && f.ID != id {
		err = fmt.Errorf("%w: it is about the firewall %s", errNonsense, Line(f.ID))
	}
	if err != nil {
		return Firewall{}, wrap(err, "read the firewall %s", id)
	}
	return fromFirewall(f), nil
}

func fromFirewall(f *godo.Firewall) Firewall {
	out := Firewall{ID: f.ID, Name: Line(f.Name), Tags: lines(f.Tags), Droplets: f.DropletIDs}
	for _, r := range f.InboundRules {
		rule := NewRule(Line(r.Protocol), Line(r.PortRange))
		if s := r.Sources; s != nil {
			rule = NewRule(rule.Protocol, rule.Ports, s.Addresses...)
			for _, t := range s.Tags {
				rule = rule.With(Line(t))
			}
			rule.Others = len(s.DropletIDs) + len(s.LoadBalancerUIDs) + len(s.KubernetesIDs)
		}
		out.Inbound = append(out.Inbound, rule)
	}
	for _, r := range f.OutboundRules {
		rule := NewRule(Line(r.Protocol), Line(r.PortRange))
		if d := r.Destinations; d != nil {
			rule = NewRule(rule.Protocol, rule.Ports, d.Addresses...)
			for _, t := range d.Tags {
				rule = rule.With(Line(t))
			}
			rule.Others = len(d.DropletIDs) + len(d.LoadBalancerUIDs) + len(d.KubernetesIDs)
		}
		out.Outbound = append(out.Outbound, rule)
	}
	return out
}

func (f Firewall) request() *godo.FirewallRequest {
	req := &godo.FirewallRequest{Name: f.Name, Tags: f.Tags, DropletIDs: append([]int{}, f.Droplets...)}
	for _, r := range f.Inbound {
		req.InboundRules = append(req.InboundRules, godo.InboundRule{Protocol: r.Protocol, PortRange: r.Ports, Sources: &godo.Sources{Addresses: r.Addresses, Tags: r.Tags}})
	}
	for _, r := range f.Outbound {
		req.OutboundRules = append(req.OutboundRules, godo.OutboundRule{Protocol: r.Protocol, PortRange: r.Ports, Destinations: &godo.Destinations{Addresses: r.Addresses, Tags: r.Tags}})
	}
	return req
}

func (c *digitalOcean) MakeFirewall(ctx context.Context, f Firewall) error {
	for _, tag := range f.Tags {
		// One that is there already is answered as if it were new.
		if _, _, err := c.api.Tags.Create(ctx, &godo.TagCreateRequest{Name: tag}); err != nil {
			return wrap(err, "make the tag %s", tag)
		}
	}
	_, _, err := c.api.Firewalls.Create(ctx, f.request())
	return wrap(err, "make the firewall %s", f.Name)
}

func (c *digitalOcean) ChangeFirewall(ctx context.Context, f Firewall) error {
	if !uuidRE.MatchString(f.ID) {
		return fmt.Errorf("change the firewall %q: %w", f.ID, errNoUUID)
	}
	_, _, err := c.api.Firewalls.Update(ctx, f.ID, f.request())
	return wrap(err, "change the firewall %s", f.Name)
}

func (c *digitalOcean) DeleteFirewall(ctx context.Context, id string) error {
	if !uuidRE.MatchString(id) {
		return fmt.Errorf("delete the firewall %q: %w", id, errNoUUID)
	}
	_, err := c.api.Firewalls.Delete(ctx, id)
	return ended(err, "delete the firewall %s", id)
}
