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

// certificate sees that the live droplet's certificate covers every domain. A
// carried certificate does, and then nothing is asked; a first release obtains
// one now, if the names point at the reserved IP already.
func (r *run) certificate(ctx context.Context) error {
	if r.covered() {
		r.report.HTTPS = true
		return nil
	}
	if astray := r.astray(ctx); len(astray) > 0 {
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

func (r *run) covered() bool {
	c := r.status.Certificate
	return c != nil && len(lacking(c, r.site.Domains)) == 0
}

// astray are the domains at which somebody else answers, or nobody. It asks
// as a visitor would, by name.
func (r *run) astray(ctx context.Context) []string {
	there := make([]bool, len(r.site.Domains))
	var g errgroup.Group
	for i, name := range r.site.Domains {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, probe.Timeout)
			defer cancel()
			d := r.door(name, false)
			d.Host = name
			id, err := d.Identity(ctx, d.Client())
			there[i] = err == nil && id == r.birth.Attempt
			return nil
		})
	}
	g.Wait()
	var out []string
	for i, name := range r.site.Domains {
		if !there[i] {
			out = append(out, name)
		}
	}
	return out
}
