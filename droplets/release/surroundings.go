package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/sync/errgroup"

	"cattle/droplets"
)

// Surroundings are what a site has beside its droplets and its address, as far
// as its profile asks for them: what it does not ask for is not read.
type Surroundings struct {
	// Zones hold the site's names, or marks of the app's.
	Zones     []droplets.Zone
	Firewalls []droplets.Firewall // all of the account
	Projects  []droplets.Project  // all of the account
	VPC       droplets.VPC        // the zero VPC when there is none of that id
	// Err is why records and firewall are not known: it stops a release, and
	// nobody who wants to go back.
	Err error
}

// SurveyAround is Survey, and beside it, at the same time, the site's records
// and its firewall. That these cannot be read is no error of it: Surroundings.Err.
func (o *Operator) SurveyAround(ctx context.Context, site Site) (*World, error) {
	return arrived(ctx, func() (*World, error) {
		var s survey
		g, gctx := errgroup.WithContext(ctx)
		s.readSite(gctx, g, o.Cloud, site)
		s.readAround(gctx, g, o.Cloud, site)
		return s.worldAround(ctx, g, o, site)
	})
}

// readAround reads what may differ whatever droplet is live. Its errors are kept.
func (s *survey) readAround(ctx context.Context, g *errgroup.Group, cloud droplets.Cloud, site Site) {
	keep := func(err *error, read func() error) {
		g.Go(func() error {
			*err = read()
			return nil
		})
	}
	if site.DNS {
		keep(&s.unread[0], func() error {
			zones, err := cloud.Zones(ctx)
			s.Around.Zones = zonesFor(site, zones)
			return lacks(err, keyDNS, "domain:read")
		})
	}
	if site.Firewall {
		keep(&s.unread[1], func() (err error) {
			s.Around.Firewalls, err = cloud.Firewalls(ctx)
			return lacks(err, keyFirewall, "firewall:read")
		})
	}
}

// worldAround is world, and afterwards, since it takes the site's address, the
// records where they differ.
func (s *survey) worldAround(ctx context.Context, g *errgroup.Group, o *Operator, site Site) (*World, error) {
	w, err := s.world(g, o.Cloud, site)
	if err != nil {
		return nil, err
	}
	w.Around.Err = cmp.Or(s.unread[0], s.unread[1])
	if site.DNS && w.Around.Err == nil {
		w.Around.Err = o.readDifferent(ctx, w, site)
	}
	return w, nil
}

// readGroups reads what a fresh droplet is put into.
func (s *survey) readGroups(ctx context.Context, g *errgroup.Group, cloud droplets.Cloud, site Site) {
	if site.Project != "" {
		into(g, &s.Around.Projects, func() ([]droplets.Project, error) {
			ps, err := cloud.Projects(ctx)
			return ps, lacks(err, keyProject, "project:read")
		})
	}
	if site.VPC != "" {
		into(g, &s.Around.VPC, func() (droplets.VPC, error) {
			v, err := cloud.VPC(ctx, site.VPC)
			if droplets.NotFound(err) {
				err = nil
			}
			return v, lacks(err, keyVPC, "vpc:read")
		})
	}
}

// The profile's keys that ask for further scopes, as they are told.
const (
	keyDNS      = "dns: digitalocean"
	keyFirewall = "firewall.cloud"
	keyProject  = "project"
	keyVPC      = "droplet.vpc"
)

// A ScopeError means that the token may not do what a key of the profile asks for.
type ScopeError struct {
	Err        error // what the API refused
	Key, Scope string
}

func (e *ScopeError) Error() string {
	return fmt.Sprintf("%v: the token lacks the scope %s, which %s in the profile asks for", e.Err, e.Scope, e.Key)
}

func (e *ScopeError) Unwrap() error { return e.Err }

// lacks tells of a call that was forbidden which scope would allow it.
func lacks(err error, key, scope string) error {
	var told *ScopeError
	if droplets.StatusOf(err) != http.StatusForbidden || errors.As(err, &told) {
		return err
	}
	return &ScopeError{err, key, scope}
}

// AroundFaults are the records and the firewall that are in the way: they stop
// a release, and a rollback leaves them as they are.
func (w *World) AroundFaults(site Site) []Fault {
	return append(w.dnsFaults(site), w.wallFaults(site)...)
}

// vpcFaults want the droplet's network to be where the droplet will be.
func (w *World) vpcFaults(site Site) []Fault {
	switch v := w.Around.VPC; {
	case site.VPC == "":
	case v.ID == "":
		return []Fault{{Code: "vpc-unknown", Input: true, Msg: "no such VPC: " + site.VPC, Hint: "doctl vpcs list shows the account's; without droplet.vpc it is the region's default one"}}
	case v.Region != site.Region:
		return []Fault{{Code: "vpc-region", Input: true, Msg: fmt.Sprintf("the VPC %s is in region %s, the profile's droplets in %s", v.Name, v.Region, site.Region),
			Hint: fmt.Sprintf("droplet: {region: %s}, or another VPC: doctl vpcs list", v.Region)}}
	}
	return nil
}
