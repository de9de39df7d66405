package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cattle/droplets"
	"cattle/droplets/look"
	"cattle/droplets/release"
)

// What doctor finds about the profile's site: what a plan would say, and what
// the droplets say themselves.

const (
	// examineWithin bounds the look at the live droplet, login included.
	examineWithin = 20 * time.Second
	// certificateLow is when renewing has failed for days: certbot renews with a
	// third of the time left, which is 15 days of the shortest that is announced (45).
	certificateLow = 7 * 24 * time.Hour
	// diskFull and memoryLow are percents at which machines begin to fail: images
	// of the next pull, and the kernel's choice of whom to kill.
	diskFull  = 90
	memoryLow = 5
	// unpatched is the age at which packages are out of date: the distributions'
	// security teams publish every few days, and rebuilds are a weekly matter.
	unpatched = 30 * 24 * time.Hour
)

// examinedDroplet is the live one with what it says of itself.
type examinedDroplet struct {
	release.Member
	status droplets.MachineStatus
	vitals look.Vitals
}

// errNobodyLive and errNoLogin say why there is nothing to examine.
var (
	errNobodyLive = errors.New("nothing is live yet")
	errNoLogin    = errors.New("not looked at: no SSH key is at hand")
)

func (p *patient) examineLive(ctx context.Context) (*examinedDroplet, error) {
	w, err := p.world()
	switch {
	case err != nil:
		return nil, err
	case w.Live == nil || !w.Live.Born:
		return nil, errNobodyLive
	case p.o.Login == nil:
		return nil, errNoLogin
	}
	ctx, cancel := context.WithTimeoutCause(ctx, examineWithin, fmt.Errorf("%s did not tell within %s", w.Live.Name, examineWithin))
	defer cancel()
	m, err := droplets.Connect(ctx, p.o.Dialer, p.o.Login, w.Live.Address(w.Reserved.IP), w.Live.Birth.HostKey)
	if err != nil {
		return nil, fmt.Errorf("log in to %s: %w", w.Live.Name, err)
	}
	defer m.Close()
	d := &examinedDroplet{Member: *w.Live}
	if d.status, err = m.Status(ctx); err == nil {
		d.vitals, err = look.Feel(ctx, m)
	}
	return d, err
}

// secrets opens the file as a release does, for a droplet that will never be.
func (p *patient) secrets(context.Context) []finding {
	if p.profile.Secrets.File == "" {
		return nil
	}
	id, err := newIdentity()
	if err == nil {
		_, err = seal(p.profile, id)
	}
	if err != nil {
		_, failures := diagnose(err)
		return []finding{stops("secrets", failures[0].Msg, orElse(failures[0].Hint, "cattle secrets list"))}
	}
	return []finding{fine("secrets", "your key opens %s", p.profile.Secrets.File)}
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// site asks what the public gets, and what would refuse a plan.
func (p *patient) site(ctx context.Context) []finding {
	w, err := p.world()
	var refused *release.Preflight
	switch {
	case errors.As(err, &refused):
		return faultFindings("site", refused.Faults)
	case err != nil:
		return []finding{failed("site", err)}
	}
	out := faultFindings("site", w.SiteFaults(siteOf(p.profile, nil)))
	switch {
	case w.Live == nil:
		out = append(out, fine("site", "nothing is live yet"))
	case !w.Live.Born:
		out = append(out, needs("site", "the tags of the live droplet were edited: nobody can tell what it is", "cattle release VERSION puts up a fresh one"))
	default:
		if v := p.o.Verify(ctx, siteOf(p.profile, nil), w); v.Serving {
			out = append(out, fine("site", "%s serves at %s", w.Serving(), w.Reserved.IP))
		} else {
			out = append(out, needs("site", fmt.Sprintf("%s is live and does not serve: %v", w.Serving(), v.Err), "cattle logs; or cattle rollback"))
		}
	}
	return append(out, p.leftBehind(w)...)
}

// leftBehind bills, and nothing needs it.
func (p *patient) leftBehind(w *release.World) []finding {
	if len(w.Orphans) == 0 {
		return nil
	}
	return []finding{needs("left over", count(len(w.Orphans), "droplet")+" of releases that came to nothing still run", "cattle gc")}
}

// names asks each name as a visitor does: whoever answers is what counts.
func (p *patient) names(ctx context.Context) []finding {
	w, err := p.world()
	if err != nil || w.Live == nil || !w.Live.Born || len(p.profile.Domains) == 0 {
		return nil
	}
	astray := p.o.Astray(ctx, siteOf(p.profile, nil), w.Live.Birth.Attempt)
	if len(astray) == 0 {
		return []finding{fine("dns", "%s: answered by what is live", strings.Join(p.profile.Domains, ", "))}
	}
	cure := "an A record that leads to " + w.Reserved.IP + ", and no AAAA record that leads elsewhere"
	if p.profile.DNS != "" {
		cure = "cattle plan VERSION shows the records that differ; a release sets them right"
	}
	return []finding{needs("dns", strings.Join(astray, ", ")+": the live droplet does not answer there", cure)}
}

// certificate looks at days, names and what may still be issued this week.
func (p *patient) certificate(context.Context) []finding {
	d, err := p.live()
	if err != nil || len(p.profile.Domains) == 0 {
		return nil // of which droplet tells
	}
	var out []finding
	switch c := d.status.Certificate; {
	case siteOf(p.profile, nil).Due(c, time.Now()) != "":
		out = append(out, needs("certificate", siteOf(p.profile, nil).Due(c, time.Now()), howProved))
	case c == nil:
		out = append(out, needs("certificate", "there is none yet", "the droplet asks for one by itself once the names lead to it; cattle logs boot"))
	case time.Until(c.NotAfter) < certificateLow:
		out = append(out, needs("certificate", fmt.Sprintf("it ends in %s: renewing has failed for days", days(time.Until(c.NotAfter))), "cattle ssh journalctl -u certbot.service shows why"))
	case !covers(c.Names, p.profile.Domains):
		out = append(out, needs("certificate", "it is for "+strings.Join(c.Names, ", ")+" and not for all of "+strings.Join(p.profile.Domains, ", "), "a release asks for another one, once all names lead to the site"))
	default:
		out = append(out, fine("certificate", "%s left, for %s", days(time.Until(c.NotAfter)), strings.Join(c.Names, ", ")))
	}
	if w, err := p.world(); err == nil && d.status.Issued != nil && siteOf(p.profile, nil).Limited {
		out = append(out, issued(release.IssuedFor(p.profile.Domains, d.status.Issued, w.Now)))
	}
	return out
}

func covers(names, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(n string) bool { return !slices.Contains(names, n) })
}

// issued tells what Let's Encrypt has issued within a week: four of five leave
// one to try with. What another computer was issued for the same names is not
// known here.
func issued(i release.Issued) finding {
	text := fmt.Sprintf("%d of %d certificates of this week's are used, as far as the droplet knows", i.Count, release.CertificatesPerSet)
	cure := "release without --no-handoff, which asks for new ones"
	switch {
	case i.Count < release.CertificatesPerSet-1:
		return fine("issuing", "%s", text)
	case !i.Next.IsZero():
		cure += "; the next is free " + i.Next.Format("2006-01-02 15:04Z")
	}
	return needs("issuing", text, cure)
}

func days(d time.Duration) string { return count(int(d.Hours()/24), "day") }

// droplet looks at the live one's health.
func (p *patient) droplet(context.Context) []finding {
	d, err := p.live()
	switch {
	case errors.Is(err, errNobodyLive):
		return nil
	case errors.Is(err, errNoLogin):
		return []finding{fine("droplet", "%v", err)}
	case err != nil:
		if _, werr := p.world(); werr != nil {
			return nil // of which site tells
		}
		return []finding{unasked("droplet", err)}
	}
	return append(judgeVitals(d.vitals, d.status.FailedUnits), p.age(d))
}

func judgeVitals(v look.Vitals, failedUnits []string) (out []finding) {
	disk := fmt.Sprintf("the disk is %d%% full, %.1f GB are free", v.DiskUsed, float64(v.DiskFree)/1e9)
	memory := fmt.Sprintf("%d of %d MB of memory are free", v.MemoryFree>>20, v.Memory>>20)
	if v.DiskUsed >= diskFull {
		out = append(out, needs("disk", disk, "cattle ssh du -xh --max-depth=2 /var shows what fills it; a release begins with an empty one"))
	}
	if v.MemoryFree*100 < v.Memory*memoryLow {
		out = append(out, needs("memory", memory, "a larger droplet.size, or limits in the compose file"))
	}
	if len(failedUnits) > 0 {
		out = append(out, needs("units", strings.Join(failedUnits, ", ")+" failed", "cattle ssh systemctl status "+failedUnits[0]))
	}
	if v.Reboot {
		out = append(out, needs("reboot", "an update waits for one", "cattle rebuild"))
	}
	if len(out) == 0 {
		out = append(out, fine("droplet", "%s, %s, no unit failed, no reboot is due", disk, memory))
	}
	return out
}

// age is that of the live droplet's packages.
func (p *patient) age(d *examinedDroplet) finding {
	w, _ := p.world() // d is of it
	if age := w.Now.Sub(d.Created); age > unpatched {
		return needs("packages", "the live droplet has those of "+days(age)+" ago", "cattle rebuild; cattle schedule has it done weekly")
	}
	return fine("packages", "those of %s", d.Created.UTC().Format("2006-01-02"))
}

// standbys gates each of them, as a rollback would.
func (p *patient) standbys(ctx context.Context) (out []finding) {
	w, err := p.world()
	if err != nil || w.Live == nil {
		return nil
	}
	if len(w.Standbys) == 0 {
		text := "none: there is nothing to go back to"
		if p.profile.Release.Keep == 0 {
			text = "none, as the profile says: release.keep: 0"
		}
		return []finding{fine("standby", "%s", text)}
	}
	_, ready := p.o.Check(ctx, siteOf(p.profile, nil), w)
	for _, r := range ready {
		name := r.Standby.Birth.Release + " on droplet " + fmt.Sprint(r.Standby.ID)
		switch {
		case r.Problem != nil:
			out = append(out, needs("standby", name+" could not take over: "+r.Problem.Error(), "cattle rebuild makes a standby of what is live"))
		case r.Unchecked != "":
			out = append(out, fine("standby", "%s could take over; not looked at: %s", name, r.Unchecked))
		default:
			out = append(out, fine("standby", "%s could take over", name))
		}
	}
	return out
}

// snapshot tells what releases begin from. They only save time.
func (p *patient) snapshot(context.Context) []finding {
	w, err := p.world()
	if err != nil || len(w.Snapshots) == 0 {
		return nil
	}
	s := w.Snapshots[0]
	if within := p.profile.Droplet.BakedWithin; within > 0 && w.Now.Sub(s.At) > within {
		return []finding{needs("snapshot", fmt.Sprintf("%s is of %s, older than droplet.baked_within: releases do without it", s.Name, s.Ago(w.Now)), "cattle bake; or cattle bake --delete, which ends its costs")}
	}
	return []finding{fine("snapshot", "%s is of %s", s.Name, s.Ago(w.Now))}
}
