package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
	"cattle/droplets/look"
	"cattle/droplets/release"
)

func toFlag() cli.Flag {
	return &cli.StringFlag{Name: "to", Value: "live", Usage: "live, standby, candidate, or a droplet's `ID`"}
}

// A target is a droplet that the operator is logged in to, for a look.
type target struct {
	o       *release.Operator
	site    release.Site
	world   *release.World
	member  release.Member
	machine *droplets.Machine
}

// reach logs in to the droplet that was asked for, whose host key its tag has.
func reach(ctx context.Context, std stdio, file, to string) (*target, error) {
	o, site, w, err := survey(ctx, std, file, true)
	if err != nil {
		return nil, err
	}
	t := &target{o: o, site: site, world: w}
	if t.member, err = member(w, to); err == nil {
		t.machine, err = droplets.Connect(ctx, o.Dialer, o.Login, t.member.Address(w.Reserved.IP), t.member.Birth.HostKey)
		if err != nil {
			err = fmt.Errorf("log in to %s: %w", t.member.Name, err)
		}
	}
	if err != nil {
		o.Login.Close()
		return nil, err
	}
	return t, nil
}

func (t *target) close() {
	t.machine.Close()
	t.o.Login.Close()
}

// service is a container of the service that runs there.
func (t *target) service(ctx context.Context, name string) (look.Container, error) {
	c, err := look.Running(ctx, t.machine, t.site.App, name)
	var none *look.NoServiceError
	if errors.As(err, &none) && none.State == "" {
		return c, &usageError{fmt.Sprintf("%s has no service %q", t.member.Name, name), "it has: " + orNone(strings.Join(none.Have, ", "))}
	}
	return c, err
}

// member is the droplet that was asked for.
func member(w *release.World, to string) (release.Member, error) {
	var all []release.Member
	if w.Live != nil {
		all = append(all, *w.Live)
	}
	groups := map[string][]release.Member{"live": all, "standby": w.Standbys, "candidate": w.Candidates}
	found, named := groups[to]
	if id, err := strconv.Atoi(to); err == nil {
		named = true
		for _, group := range [][]release.Member{all, w.Standbys, w.Candidates, w.Orphans} {
			for _, m := range group {
				if m.ID == id {
					found = append(found, m)
				}
			}
		}
	}
	switch {
	case !named:
		return release.Member{}, &usageError{"there is no droplet " + strconv.Quote(to), "--to live|standby|candidate|ID"}
	case len(found) == 0:
		return release.Member{}, &usageError{"the app has no droplet " + to, "cattle status shows what there is"}
	case !found[0].Born:
		return release.Member{}, &usageError{"the tags of " + found[0].Name + " were edited: its host key is not known", "cattle status shows what there is"}
	}
	return found[0], nil
}
