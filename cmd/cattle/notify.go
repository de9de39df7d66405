package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"cattle/cmd/cattle/notify"
	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/profiles"
)

// tellWithin bounds one try to tell somebody; all are told at the same time.
const tellWithin = 10 * time.Second

// rehearsalVar is set for the commands of a rehearsal, and for their hooks: a
// mail goes to the rehearsal's own relay then, a web hook would reach people.
const rehearsalVar = "CATTLE_REHEARSAL"

// A crier knows, when a command is over, what there is to tell of it and to
// whom. Only commands that change what serves have something to tell.
type crier struct {
	verb, version string
	profile       *profiles.Profile
	by            droplets.Author
	report        *release.Report // of what serves for good; nil for anything else
}

// begins says that a verb is under way which people are told of, also where it
// ends before anything was begun: nobody looks at a timer.
func (c *crier) begins(verb, version string) {
	if c != nil {
		c.verb, c.version = verb, version
	}
}

// reads takes the profile, which says who is told.
func (c *crier) reads(p *profiles.Profile) {
	if c != nil {
		c.profile = p
	}
}

func (c *crier) came(r *release.Report, by droplets.Author) {
	if c != nil {
		c.report, c.by = r, by
	}
}

// tell tells those who want to know how the command ended, after it was
// printed. An exit status of 0 becomes 4 where somebody could not be told.
func (c *crier) tell(ctx context.Context, std stdio, err error, code int, asJSON bool) int {
	if c == nil || c.verb == "" || c.profile == nil || err == nil && c.report == nil {
		return code
	}
	about := profiles.OnSuccess
	if code != exitDone && code != exitLeftover || c.report == nil {
		about = profiles.OnFailure
	}
	m := c.message(ctx, err, about == profiles.OnFailure)
	wrong := announce(ctx, std, c.profile, m, func(n profiles.Notice) bool { return slices.Contains(n.On, about) })
	return untold(std, wrong, code, asJSON)
}

// message is what is printed of the outcome, without the last lines of a
// droplet that failed: who is told is not who may read its logs.
func (c *crier) message(ctx context.Context, err error, failed bool) notify.Message {
	var b strings.Builder
	what := strings.TrimSpace(c.verb + " " + c.version)
	title := fmt.Sprintf("%s: %s: done", c.profile.App, what)
	if c.report != nil {
		title = fmt.Sprintf("%s %s is live", c.report.App, c.report.Release)
		if c.verb != "release" {
			title += ", by a " + c.verb
		}
		b.WriteString(reportText(c.report))
	}
	if failed {
		title = fmt.Sprintf("%s: %s failed", c.profile.App, what)
	}
	_, failures := endOf(ctx, err)
	for _, f := range failures {
		fmt.Fprintln(&b, f.Msg)
		if f.Hint != "" {
			fmt.Fprintln(&b, "hint:", f.Hint)
		}
	}
	if c.by.Who != "" {
		fmt.Fprintln(&b, "by", by(c.by), c.by.Run)
	}
	return notify.Message{Title: flat(title), Text: droplets.Printable(b.String()), Failed: failed}
}

// untold prints who could not be told, and returns the exit status.
func untold(std stdio, wrong []failure, code int, asJSON bool) int {
	if len(wrong) == 0 {
		return code
	}
	if code == exitDone {
		code = exitLeftover
	}
	return tell(std, code, wrong, asJSON)
}

// announce tells everybody who is wanted, at the same time, and returns who
// could not be told.
func announce(ctx context.Context, std stdio, p *profiles.Profile, m notify.Message, wanted func(profiles.Notice) bool) []failure {
	var wg sync.WaitGroup
	wrong := make([]error, len(p.Notify))
	for i, n := range p.Notify {
		if !wanted(n) {
			continue
		}
		wg.Go(func() {
			// An interrupt has ended what there is to tell of.
			ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), tellWithin, fmt.Errorf("it did not answer within %s", tellWithin))
			defer cancel()
			wrong[i] = announceTo(ctx, std, p, n, m)
		})
	}
	wg.Wait()
	var out []failure
	for i, err := range wrong {
		if err != nil {
			out = append(out, failure{Code: "not-told", Msg: fmt.Sprintf("notify.%d (%s) could not be told: %s", i, addressee(p.Notify[i]), flat(err.Error())), Hint: untoldHint(err)})
		}
	}
	return out
}

// An unsetError is a variable without an address.
type unsetError struct {
	name string
	why  error
}

func (e *unsetError) Error() string { return "the variable " + e.name + " " + e.why.Error() }

func untoldHint(err error) string {
	var unset *unsetError
	if errors.As(err, &unset) {
		return "export " + unset.name + "=https://… where cattle runs; try it with cattle notify --test"
	}
	return "try it with cattle notify --test"
}

// addressee names somebody without what it takes to post to him.
func addressee(n profiles.Notice) string {
	kind, value := "ntfy", n.Ntfy
	switch {
	case n.Mail != "":
		return "mail to " + n.Mail
	case n.Webhook != "":
		kind, value = "webhook", n.Webhook
	}
	if strings.HasPrefix(value, profiles.EnvPrefix) {
		return kind + " " + value
	}
	return kind
}

func announceTo(ctx context.Context, std stdio, p *profiles.Profile, n profiles.Notice, m notify.Message) error {
	if n.Mail != "" {
		return mailBy(ctx, std, p, n.Mail, m)
	}
	if std.env(rehearsalVar) != "" {
		return nil
	}
	address, err := addressOf(std, n.Webhook+n.Ntfy)
	switch {
	case err != nil:
		return err
	case n.Webhook != "":
		return notify.Slack(ctx, notify.Client(), address, m)
	}
	return notify.Ntfy(ctx, notify.Client(), address, strings.TrimSpace(std.env("NTFY_TOKEN")), m)
}

// addressOf looks an address up that is in the environment.
func addressOf(std stdio, value string) (string, error) {
	name, inEnv := strings.CutPrefix(value, profiles.EnvPrefix)
	if !inEnv {
		return value, nil
	}
	address := strings.TrimSpace(std.env(name))
	if err := notify.Address(address); err != nil {
		return "", &unsetError{name, err}
	}
	return address, nil
}

// mailBy has the live droplet's Postfix send a mail.
func mailBy(ctx context.Context, std stdio, p *profiles.Profile, to string, m notify.Message) error {
	o, err := operator(std, true)
	if err != nil {
		return err
	}
	defer o.Login.Close()
	w, err := o.Survey(ctx, siteOf(p, nil))
	if err != nil {
		return err
	}
	if w.Live == nil || !w.Live.Born {
		return errors.New("no droplet is live that could send it")
	}
	machine, err := droplets.Connect(ctx, o.Dialer, o.Login, w.Live.Address(w.Reserved.IP), w.Live.Birth.HostKey)
	if err != nil {
		return fmt.Errorf("log in to %s: %w", w.Live.Name, err)
	}
	defer machine.Close()
	// -t: to whom is in the message; -i: a lone dot does not end it.
	return machine.Command(ctx, []string{"/usr/sbin/sendmail", "-t", "-i"}, bytes.NewReader(notify.Mail(to, w.Now, m)), func(out io.Reader) error {
		_, err := io.Copy(io.Discard, io.LimitReader(out, 1<<16))
		return err
	})
}
