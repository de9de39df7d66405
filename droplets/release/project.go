package release

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cattle/droplets"
)

// project is the one that the profile names, by its name or its id; nil when
// the account has none of these, or the profile names none.
func (w *World) project(site Site) *droplets.Project {
	if site.Project == "" {
		return nil
	}
	i := slices.IndexFunc(w.Around.Projects, func(p droplets.Project) bool {
		return p.Name == site.Project || strings.EqualFold(p.ID, site.Project)
	})
	if i < 0 {
		return nil
	}
	return &w.Around.Projects[i]
}

func (w *World) projectFaults(site Site) []Fault {
	if site.Project == "" || w.project(site) != nil {
		return nil
	}
	names := make([]string, len(w.Around.Projects))
	for i, p := range w.Around.Projects {
		names[i] = p.Name
	}
	return []Fault{{Code: "project-unknown", Input: true, Msg: "the account has no project " + site.Project, Hint: "it has " + strings.Join(names, ", ")}}
}

// project is the step that puts droplet and address where the profile wants
// them. A fresh droplet is in the default project, and an address stays in the
// one that it is in.
func (p *Plan) project() []Step {
	to := p.World.project(p.Site)
	if to == nil || p.target != nil || to.Default && !p.movesIP(to) {
		return nil
	}
	what := "the droplet"
	if p.movesIP(to) {
		what += " and the reserved IP"
	}
	return []Step{{Name: "project", Title: fmt.Sprintf("put %s into the project %s", what, to.Name), run: (*run).intoProject, after: true}}
}

// movesIP tells whether the address is not known to be in the project.
func (p *Plan) movesIP(to *droplets.Project) bool {
	return p.World.Reserved.IP == "" && !to.Default || p.World.Reserved.IP != "" && p.World.Reserved.Project != to.ID
}

// intoProject moves them, and again when the answer leaves open whether it did:
// twice is as good as once.
func (r *run) intoProject(ctx context.Context) (err error) {
	to := r.world.project(r.site)
	ip := ""
	if r.plan.movesIP(to) {
		ip = r.ip
	}
	for range lookups {
		if err = r.Cloud.PutInto(ctx, to.ID, r.droplet.ID, ip); !droplets.Uncertain(err) {
			break
		}
		if perr := pause(ctx, lookupPause); perr != nil {
			break
		}
	}
	if err == nil {
		return nil
	}
	command := fmt.Sprintf("doctl projects resources assign %s --resource=do:droplet:%d", to.ID, r.droplet.ID)
	if ip != "" {
		command += " --resource=do:floatingip:" + ip
	}
	return &byHand{lacks(err, keyProject, "project:assign_resource"), command}
}
