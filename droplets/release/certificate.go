package release

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"cattle/droplets/release/probe"
)

// certifyWithin bounds asking the authority for a certificate: HTTP-01 takes
// seconds, a slow validation half a minute.
const certifyWithin = 3 * time.Minute

// knownWithin is how long names whose records are right may take to be known
// here. Name servers need seconds; a resolver that was asked before there were
// records remembers for half an hour that there are none (the zones' SOA), and
// the authority, which asks the name servers themselves, is not waiting for it.
const knownWithin = 30 * time.Second

// certificate sees that the live droplet's certificate covers every domain. A
// carried certificate does, and then nothing is asked, but where it has names
// that are the site's no longer: they could not be renewed. A first release
// obtains one now, if the names point at the reserved IP already.
func (r *run) certificate(ctx context.Context) error {
	if r.site.Wild() {
		return r.proveLive(ctx)
	}
	r.report.HTTPS = r.covered()
	if r.covered() && !r.dated() {
		return nil
	}
	if astray := r.known(ctx, r.site.Domains, r.birth.Attempt); len(astray) > 0 && !r.keepsNames() {
		if r.covered() {
			return nil
		}
		names := strings.Join(astray, ", ")
		return &skipped{fmt.Sprintf("no HTTPS yet: %s does not point at %s; add A records for %s, and the droplet obtains the certificate by itself within minutes", names, r.ip, names)}
	}
	ctx, cancel := context.WithTimeout(ctx, certifyWithin)
	defer cancel()
	if err := r.machine.Certify(ctx); err != nil {
		return err
	}
	d := r.door(r.ip, true)
	if err := d.Healthy(ctx, d.Client(), r.site.Health); err != nil {
		return err
	}
	r.report.HTTPS = true
	return nil
}

// keepsNames tells that the names' records are cattle's to keep, and lead here.
func (r *run) keepsNames() bool {
	return r.site.DNS && r.records == nil && r.world.Around.Err == nil && len(r.world.dnsFaults(r.site)) == 0
}

// known are the names at which not that attempt answers, or nobody, once names
// whose records are right have had their time.
func (r *run) known(ctx context.Context, names []string, attempt string) []string {
	site := r.site
	site.Domains = names
	astray := r.Astray(ctx, site, attempt)
	for start := time.Now(); len(astray) > 0 && r.keepsNames() && time.Since(start) < knownWithin; astray = r.Astray(ctx, site, attempt) {
		if pause(ctx, pendingPause) != nil {
			return astray
		}
	}
	return astray
}

func (r *run) covered() bool {
	c := r.status.Certificate
	return c != nil && len(lacking(c, r.site.Domains)) == 0
}

// dated tells that the certificate has more names than the site. A standby that
// was gone back to goes by the profile of its own release.
func (r *run) dated() bool {
	return r.plan.target == nil && len(r.status.Certificate.Names) > len(r.site.Domains)
}

// Astray are the domains at which somebody else than that attempt answers, or
// nobody. It asks as a visitor would, by name.
func (o *Operator) Astray(ctx context.Context, site Site, attempt string) []string {
	there := make([]bool, len(site.Domains))
	var g errgroup.Group
	for i, name := range site.Domains {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, probe.Timeout)
			defer cancel()
			host := visited(name, attempt)
			d := o.door(site, host, false)
			d.Host = host
			id, err := d.Identity(ctx, d.Client())
			there[i] = err == nil && id == attempt
			return nil
		})
	}
	g.Wait()
	var out []string
	for i, name := range site.Domains {
		if !there[i] {
			out = append(out, name)
		}
	}
	return out
}

// visited is a name as a visitor has it: of a wildcard one that nobody has asked
// for before, nor made a record of.
func visited(name, attempt string) string {
	if below, wild := strings.CutPrefix(name, wildcard); wild {
		return "cattle-" + attempt + "." + below
	}
	return name
}
