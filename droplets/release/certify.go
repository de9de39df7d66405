package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cattle/droplets"
)

const (
	// aheadWithin bounds the whole of it: while records become known, and the
	// authority validates each name.
	aheadWithin = 2 * time.Minute
	// stopWithin and keepWithin bound what is done with the live droplet
	// afterwards, login included.
	stopWithin = 10 * time.Second
	keepWithin = 20 * time.Second
)

// ahead are the names that the live droplet's certificate lacks, and for which
// the candidate can ask before the switch. A site without any certificate has
// no HTTPS to lose: it asks afterwards.
func (c *Candidate) ahead(site Site) []string {
	if c.NoHandoff || c.Live == nil || c.Live.Certificate == nil {
		return nil
	}
	return lacking(c.Live.Certificate, site.Domains)
}

// ahead is the step for names that are new.
func (p *Plan) ahead() []Step {
	if p.Site.Wild() {
		return p.aheadByDNS()
	}
	names := p.candidate.ahead(p.Site)
	if len(names) == 0 {
		return nil
	}
	title := fmt.Sprintf("obtain a certificate for %s too, while %s serves, which passes the challenges on", strings.Join(names, ", "), p.World.Live.Name)
	return []Step{{Name: "certify", Title: title, run: (*run).certifyAhead}}
}

// certifyAhead obtains the certificate before the switch, so that visitors of a
// new name never meet the old one. What does not work now is tried again
// afterwards, as it is for a first release, and so refuses nothing.
func (r *run) certifyAhead(ctx context.Context) error {
	names := r.plan.candidate.ahead(r.site)
	return later(ctx, names, r.obtainAhead(ctx, names))
}

// later has what did not work before the switch told as that, but for an interrupt.
func later(ctx context.Context, names []string, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &skipped{fmt.Sprintf("no certificate for %s before the switch: %v; it is asked for afterwards", strings.Join(names, ", "), err)}
	}
	return nil
}

func (r *run) obtainAhead(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, aheadWithin, fmt.Errorf("it took longer than %s", brief(aheadWithin)))
	defer cancel()
	if err := r.leadAhead(ctx, names); err != nil {
		return err
	}
	live := r.world.Live
	if astray := r.known(ctx, names, live.Birth.Attempt); len(astray) > 0 && !r.keepsNames() {
		return errors.New(strings.Join(astray, ", ") + " does not lead to the site yet")
	}
	m, err := r.connect(ctx, live.Droplet, live.Birth.HostKey, reachWithin)
	if err != nil {
		return fmt.Errorf("log in to the live droplet: %w", err)
	}
	defer m.Close()
	if err := m.PassChallenges(ctx, r.droplet.Address(r.ip), 2*aheadWithin); err != nil {
		return err
	}
	defer r.stopChallenges(ctx, m)
	if err := r.machine.Certify(ctx); err != nil {
		return r.reconnect(ctx, err)
	}
	r.keepIfRefused()
	return nil
}

// stopChallenges ends what the live droplet would end by itself a little later.
func (r *run) stopChallenges(ctx context.Context, m *droplets.Machine) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if err := m.StopChallenges(ctx); err != nil {
		r.notice("%s passes challenges on for %s at most: %v", r.world.Live.Name, brief(2*aheadWithin), err)
	}
}

// leadAhead makes the records of new names, which the step dns would make: they
// lead to the same address before and after a switch.
func (r *run) leadAhead(ctx context.Context, names []string) error {
	if !r.site.DNS {
		return nil
	}
	k := r.world.keeper(r.site)
	missing, elsewhere := k.ahead(names)
	switch {
	case len(elsewhere) > 0:
		return errors.New("the records of " + strings.Join(elsewhere, ", ") + " are changed after it")
	case len(missing) == 0:
		return nil
	}
	k.only = missing
	gone, what := k, "the records of "+strings.Join(k.only, ", ")
	gone.names = nil
	r.pushUndo(undoStep{what: "take " + what + " away", leftover: Leftover{What: what, Command: "cattle plan " + r.plan.Release},
		run: func(ctx context.Context) error { return r.keep(ctx, gone) }})
	return r.keep(ctx, k)
}

// keepIfRefused has a refused release leave its certificate on the live droplet,
// which can renew it as well: the next try then finds it, and asks for none. Not
// where it lacks a name that the live droplet serves.
func (r *run) keepIfRefused() {
	serves := r.plan.candidate.Live.Certificate.Names
	if slices.ContainsFunc(serves, func(name string) bool { return !covers(r.site.Domains, name) }) {
		return
	}
	r.pushUndo(undoStep{what: "keep the new certificate on " + r.world.Live.Name, run: func(ctx context.Context) error {
		if err := r.keepCertificate(ctx); err != nil {
			r.notice("the new certificate is lost (%v): the next release asks for another one", err)
		}
		return nil
	}})
}

func (r *run) keepCertificate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keepWithin)
	defer cancel()
	tar, err := r.machine.Certificates(ctx)
	if err != nil {
		return err
	}
	live := r.world.Live
	m, err := r.connect(ctx, live.Droplet, live.Birth.HostKey, keepWithin)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.InstallCertificates(ctx, tar)
}
