package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cattle/droplets"
)

// What waits in the mail queue of a droplet, because the relay did not take it
// yet, is sent by the live one: a droplet that was left may be destroyed at any
// time. No visitor waits for it, so it is done once the site has moved.

const (
	// mailWithin bounds it, and mailTry one try: a mail that is just being sent to
	// a relay that is silent takes 40 s of it, see /opt/cattle/mail.
	mailWithin = 5 * time.Minute
	mailTry    = 2 * time.Minute
	// mailReach is how long a droplet, which may be the broken one, has to let in.
	mailReach = 10 * time.Second
	// mailBack bounds it for a refused candidate, whose end waits for it.
	mailBack = time.Minute
)

// mailSteps are those of a plan that leaves a droplet with a mail queue.
func (p *Plan) mailSteps() []Step {
	if !p.mails() {
		return nil
	}
	return []Step{{Name: "mail", Title: "have it send what still waits in the mail queue of " + p.World.Live.Name, run: (*run).takeMail, after: true}}
}

func (p *Plan) mails() bool {
	return p.Site.Mail && p.leaves() && (p.candidate == nil || !p.candidate.NoHandoff)
}

// takeMail takes the queue of the droplet that was left. One that stays sends by
// itself meanwhile; one that would be destroyed now stays, too, if its queue
// cannot be had.
func (r *run) takeMail(ctx context.Context) error {
	live := *r.world.Live
	err := errSilent
	if !r.silent {
		err = r.forwardMail(ctx, live, r.droplet, r.birth.HostKey)
	}
	if err == nil {
		return nil
	}
	r.spare = true
	return &skipped{fmt.Sprintf("%s keeps what may wait in its mail queue, and sends by itself: %v", live.Name, err)}
}

var errSilent = errors.New("its certificates could not be had either")

// returnMail has the live droplet send what waits on a candidate that visitors
// were on, before that is destroyed.
func (r *run) returnMail(ctx context.Context) {
	if !r.visited || !r.plan.mails() {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, mailBack, fmt.Errorf("it was not carried back within %s", brief(mailBack)))
	defer cancel()
	candidate := Member{Droplet: r.droplet, Birth: r.birth}
	if err := r.forwardMail(ctx, candidate, r.world.Live.Droplet, r.world.Live.Birth.HostKey); err != nil {
		r.notice("%s", mailNews(candidate.Name, 0, err))
	}
}

// lastMail is for standbys that are about to be destroyed. They gave their queue
// away when they were left, unless that was cut short; what does not work holds
// up nothing, for a standby may be off. It returns what there is to tell.
func (o *Operator) lastMail(ctx context.Context, site Site, ip string, ms []Member, live Member) []string {
	news := make([]string, len(ms))
	if !site.Mail || o.Login == nil {
		return nil
	}
	each(ms, func(i int) {
		if ms[i].Served() {
			n, err := o.carryMail(ctx, ip, ms[i], live.Droplet, live.Birth.HostKey)
			news[i] = mailNews(ms[i].Name, n, err)
		}
	})
	return slices.DeleteFunc(news, func(text string) bool { return text == "" })
}

// Served tells a droplet that was live, of which that is known.
func (m Member) Served() bool { return m.Born && m.Has(droplets.ServedTag) }

func (r *run) forwardMail(ctx context.Context, from Member, to droplets.Droplet, hostKey string) error {
	n, err := r.carryMail(ctx, r.ip, from, to, hostKey)
	if n > 0 {
		r.notice("%s", mailNews(from.Name, n, nil))
	}
	return err
}

func mailNews(name string, n int, err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("whether mail waits on %s is not known: %v", name, err)
	case n > 0:
		return fmt.Sprintf("the relay had not taken %s of %s yet: the live droplet sends them", counted(int64(n), "mail"), name)
	}
	return ""
}

// carryMail returns how many mails another droplet sends now. A droplet that was
// made without a verb for it has none to give.
func (o *Operator) carryMail(ctx context.Context, ip string, from Member, to droplets.Droplet, hostKey string) (n int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, mailWithin, fmt.Errorf("the mail was not carried over within %s", brief(mailWithin)))
	defer cancel()
	for range 2 { // a connection may break
		var more int
		more, err = o.carryMailOnce(ctx, ip, from, to, hostKey)
		n += more
		var silent *unreached
		if err == nil || answered(err) || errors.As(err, &silent) || ctx.Err() != nil {
			break
		}
	}
	var refused *droplets.VerbError
	if droplets.UnknownVerb(err) && errors.As(err, &refused) && refused.Verb == "mail" {
		return n, nil
	}
	return n, err
}

func (o *Operator) carryMailOnce(ctx context.Context, ip string, from Member, to droplets.Droplet, hostKey string) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, mailTry, fmt.Errorf("no answer within %s", brief(mailTry)))
	defer cancel()
	giver, err := o.letIn(ctx, from.Droplet, from.Birth.HostKey, ip)
	if err != nil {
		return 0, err
	}
	defer giver.Close()
	return droplets.CarryMail(ctx, giver, func(ctx context.Context) (*droplets.Machine, error) { return o.letIn(ctx, to, hostKey, ip) })
}

// unreached is a droplet that does not let in.
type unreached struct{ error }

func (e *unreached) Unwrap() error { return e.error }

func (o *Operator) letIn(ctx context.Context, d droplets.Droplet, hostKey, ip string) (m *droplets.Machine, err error) {
	err = insist(ctx, "a login to "+d.Name, mailReach, mailReach, func(ctx context.Context) (err error) {
		m, err = droplets.Connect(ctx, o.Dialer, o.Login, d.Address(ip), hostKey)
		return err
	})
	if err != nil {
		return nil, &unreached{err}
	}
	return m, nil
}
