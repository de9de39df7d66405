package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cattle/droplets"
)

// A wildcard is proved by DNS: the droplet asks for the certificate, and the
// operator, who has the token, makes the records that the authority wants to see.
// No name has to lead anywhere for it, so it is done before the switch.

const (
	// renewBefore is when such a certificate is renewed by whatever makes a droplet,
	// as certbot does with a third of the time left; nobody else can.
	renewBefore = 30 * 24 * time.Hour
	// DueWithin is when a person is told: a weekly rebuild would have renewed it.
	DueWithin = 21 * 24 * time.Hour
	// challengeTTL is the least that DigitalOcean takes, in seconds.
	challengeTTL = 30
	// spreadWithin is how long name servers may take to have a record: what
	// certbot's own plugin for DigitalOcean waits (dns-digitalocean 2.0.0). It has
	// to be waited out: who asks too early remembers that there is none.
	spreadWithin = 10 * time.Second
	// clearWithin bounds taking the records away again.
	clearWithin = 20 * time.Second
)

// wildcard is what the name of a wildcard begins with.
const wildcard = "*."

// Wild tells that one of the names is a wildcard.
func (s Site) Wild() bool {
	return slices.ContainsFunc(s.Domains, func(name string) bool { return strings.HasPrefix(name, wildcard) })
}

// Due tells that a person should see to a wildcard's certificate, since no
// droplet does: why, "" where it is good for a while.
func (s Site) Due(c *droplets.Certificate, now time.Time) string {
	switch {
	case !s.Wild():
		return ""
	case c == nil:
		return "there is no certificate for " + strings.Join(s.Domains, ", ")
	case len(lacking(c, s.Domains)) > 0:
		return "the certificate does not cover " + strings.Join(lacking(c, s.Domains), ", ")
	case c.NotAfter.Sub(now) < DueWithin:
		return "the certificate for " + strings.Join(s.Domains, ", ") + " ends on " + c.NotAfter.UTC().Format(time.DateOnly)
	}
	return ""
}

// renews tells that a certificate is to be had anew before it ends.
func renews(c *droplets.Certificate, now time.Time) bool { return c.NotAfter.Sub(now) < renewBefore }

// aheadByDNS is the step for wildcards. Whether the certificate that is carried
// over is good, the live droplet has told; if not, it is looked at then.
func (p *Plan) aheadByDNS() []Step {
	c := p.candidate
	if c.Live != nil && !c.asks(p.Site) && !renews(c.Live.Certificate, p.World.Now) {
		return nil
	}
	title := "obtain a certificate for " + strings.Join(p.Site.Domains, ", ") + ": answer the challenges by TXT records, which end with it"
	return []Step{{Name: "certify", Title: title, run: (*run).proveAhead}}
}

// proveAhead obtains the certificate before the switch. What does not work now is
// tried again afterwards, and so refuses nothing.
func (r *run) proveAhead(ctx context.Context) error {
	err := r.look(ctx)
	if err == nil && r.lasts() {
		return nil
	}
	if err == nil {
		err = r.prove(ctx)
	}
	if err := later(ctx, r.site.Domains, err); err != nil {
		return err
	}
	if live := r.plan.candidate.Live; live != nil && live.Certificate != nil {
		r.keepIfRefused()
	}
	return nil
}

// proveLive sees to the live droplet's certificate. One that has some time yet is
// worth a notice: the next release tries again.
func (r *run) proveLive(ctx context.Context) error {
	r.report.HTTPS = r.covered()
	if r.lasts() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, certifyWithin)
	defer cancel()
	err := r.prove(ctx)
	switch {
	case err != nil && r.site.Due(r.status.Certificate, r.Cloud.Now()) == "":
		return &skipped{fmt.Sprintf("the certificate was not renewed: %v; it is good until %s", err, r.status.Certificate.NotAfter.UTC().Format(time.DateOnly))}
	case err != nil:
		return &byHand{notProved(err), again}
	}
	d := r.door(r.ip, true)
	if err := d.Healthy(ctx, d.Client(), r.site.Health); err != nil {
		return err
	}
	r.report.HTTPS = true
	return nil
}

// again is what asks for a certificate that could not be had: no droplet does.
const again = "cattle rebuild"

// notProved has what failed told as what comes of it, but for a token's lack.
func notProved(err error) error {
	var scope *ScopeError
	if errors.As(err, &scope) {
		return err
	}
	return &Known{Code: "certificate-due", Hint: "the site serves; to ask once more: " + again, Err: err}
}

// lasts tells that the droplet's certificate is for the site's names, and not due.
func (r *run) lasts() bool {
	return r.covered() && !r.dated() && !renews(r.status.Certificate, r.Cloud.Now())
}

// prove has the droplet ask for the certificate, and answers the challenges. The
// records end with it, whatever comes of it.
func (r *run) prove(ctx context.Context) error {
	if r.world.Around.Err != nil {
		return r.world.Around.Err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, aheadWithin, fmt.Errorf("it took longer than %s", brief(aheadWithin)))
	defer cancel()
	p := &proof{run: r}
	defer p.clear(ctx)
	return r.reconnect(ctx, r.machine.CertifyByDNS(ctx, r.site.Domains, func(c droplets.Challenge) error { return p.answer(ctx, c) }))
}

// A proof is the records that were made for one certificate. Each value is made
// for one challenge, so that no record of anybody else's is like it.
type proof struct {
	*run
	made []recordChange
}

func (p *proof) answer(ctx context.Context, c droplets.Challenge) error {
	z := zoneOf(p.world.Around.Zones, c.Record)
	if z == nil {
		return fmt.Errorf("no domain of the account holds %s", c.Record)
	}
	made := recordChange{zone: z.Name, will: droplets.Record{Type: "TXT", Name: c.Record, Data: c.Value, TTL: challengeTTL}}
	// Noted first: an order whose answer is lost may have been carried out.
	p.made = append(p.made, made)
	if err := p.Cloud.MakeRecord(ctx, z.Name, made.will); err != nil && !p.exists(ctx, made, err) {
		return lacks(err, keyDNS, "domain:update")
	}
	if !c.Last {
		return nil
	}
	return pause(ctx, spreadWithin)
}

// exists tells that a record is there though its order failed.
func (p *proof) exists(ctx context.Context, made recordChange, err error) bool {
	if !droplets.Uncertain(err) {
		return false
	}
	there, err := p.find(ctx, made.zone)
	return err == nil && slices.ContainsFunc(there, func(c recordChange) bool { return c.was.String() == made.will.String() })
}

// find reads which of the records are in a zone, with their ids.
func (p *proof) find(ctx context.Context, zone string) (there []recordChange, err error) {
	all, err := p.Cloud.Records(ctx, zone)
	for _, r := range all {
		if slices.ContainsFunc(p.made, func(c recordChange) bool { return c.zone == zone && c.will.String() == r.String() }) {
			there = append(there, recordChange{zone: zone, was: r})
		}
	}
	return there, err
}

// clear takes the records away, though ctx may be over. What stays does no harm,
// and is left over.
func (p *proof) clear(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearWithin)
	defer cancel()
	var zones []string
	for _, made := range p.made {
		if !slices.Contains(zones, made.zone) {
			zones = append(zones, made.zone)
		}
	}
	for _, zone := range zones {
		if err := p.end(ctx, zone); err != nil {
			p.leave(zone, err)
		}
	}
}

// end takes the records of a zone away, and looks whether they are gone: that one
// cannot be found may be wrong.
func (p *proof) end(ctx context.Context, zone string) (err error) {
	for try := range lookups {
		if try > 1 && pause(ctx, lookupPause) != nil {
			break
		}
		var there []recordChange
		switch there, err = p.find(ctx, zone); {
		case err == nil && len(there) == 0:
			return nil
		case err == nil:
			err = p.changeRecords(ctx, there)
		}
	}
	return cmp.Or(err, errStillThere)
}

var errStillThere = errors.New("they are there still")

// leave tells of records that stay. A release that is refused forgets what was
// left over before, and tries once more.
func (p *proof) leave(zone string, err error) {
	left := Leftover{What: "challenges in the domain " + zone, Err: err, Command: "doctl compute domain records list " + zone}
	var told *byHand
	if errors.As(err, &told) {
		left.Command = told.command
	}
	p.leftovers = append(p.leftovers, left)
	p.pushUndo(undoStep{what: "take the " + left.What + " away", leftover: left, run: func(ctx context.Context) error { return p.end(ctx, zone) }})
}

// covers tells that one of the names is that one, or a wildcard that has it.
func covers(names []string, name string) bool {
	_, below, _ := strings.Cut(name, ".")
	return slices.Contains(names, name) || slices.Contains(names, wildcard+below)
}
