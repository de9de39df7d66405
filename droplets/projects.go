package droplets

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/digitalocean/godo"
)

// Groups are what an account sorts its things by: projects, for people, and
// VPCs, whose droplets reach one another by their private addresses.
type Groups interface {
	Projects(ctx context.Context) ([]Project, error)
	// PutInto moves a droplet, and a reserved IP unless that is "", into the
	// project of that id. What is there already stays.
	PutInto(ctx context.Context, project string, dropletID int, ip string) error
	VPC(ctx context.Context, id string) (VPC, error)
}

// A Project is a group of an account's things.
type Project struct {
	ID, Name string
	Default  bool // new droplets are in it
}

// A VPC is a private network in a region.
type VPC struct {
	ID, Name, Region string
}

func (c *digitalOcean) Projects(ctx context.Context) ([]Project, error) {
	ps, err := all(ctx, c.api.Projects.List)
	if err != nil {
		return nil, wrap(err, "list the account's projects")
	}
	out := make([]Project, len(ps))
	for i, p := range ps {
		if !uuidRE.MatchString(p.ID) {
			return nil, fmt.Errorf("list the account's projects: %w: one has the id %q", errNonsense, Line(p.ID))
		}
		out[i] = Project{ID: p.ID, Name: Line(p.Name), Default: p.IsDefault}
	}
	return out, nil
}

// urns are the names of a droplet and a reserved IP in requests about projects,
// which know a reserved IP by its older name alone.
func urns(dropletID int, ip string) []string {
	out := []string{fmt.Sprintf("do:droplet:%d", dropletID)}
	if ip != "" {
		out = append(out, "do:floatingip:"+ip)
	}
	return out
}

func (c *digitalOcean) PutInto(ctx context.Context, project string, dropletID int, ip string) error {
	what := fmt.Sprintf("put droplet %d into the project %s", dropletID, project)
	if !uuidRE.MatchString(project) {
		return fmt.Errorf("%s: %w", what, errNoUUID)
	}
	want := urns(dropletID, ip)
	var resources []any
	for _, urn := range want {
		resources = append(resources, urn)
	}
	now, _, err := c.api.Projects.AssignResources(ctx, project, resources...)
	if err != nil {
		return wrap(err, "%s", what)
	}
	for _, urn := range want {
		i := slices.IndexFunc(now, func(r godo.ProjectResource) bool { return r.URN == urn })
		if i >= 0 && (now[i].Status == "not_found" || now[i].Status == "service_down") {
			return fmt.Errorf("%s: the API answered that %s is %s", what, urn, now[i].Status)
		}
	}
	return nil
}

func (c *digitalOcean) VPC(ctx context.Context, id string) (VPC, error) {
	if !uuidRE.MatchString(id) {
		return VPC{}, fmt.Errorf("read the VPC %q: %w", id, errNoUUID)
	}
	id = strings.ToLower(id)
	v, _, err := c.api.VPCs.Get(ctx, id)
	if err = given(v, err); err == nil && v.ID != id {
		err = fmt.Errorf("%w: it is about the VPC %s", errNonsense, Line(v.ID))
	}
	if err != nil {
		return VPC{}, wrap(err, "read the VPC %s", id)
	}
	return VPC{ID: v.ID, Name: Line(v.Name), Region: Line(v.RegionSlug)}, nil
}
