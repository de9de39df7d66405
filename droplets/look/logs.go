package look

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cattle/droplets"
)

// The logs of a droplet beside those of its services.
const (
	logNginx  = "nginx"
	logMail   = "mail"
	logCron   = "cron"
	logBoot   = "boot"
	logSystem = "system"
)

// OwnLogs are the names of the logs that every droplet has.
func OwnLogs() []string { return []string{logNginx, logMail, logCron, logBoot, logSystem} }

// Logs are the logs of one droplet that somebody wants to see. They remember
// what they have given.
type Logs struct {
	Names   []string // of all that lines may be of, in the order of the alphabet
	sources []source
}

// A NoLogError is a log that the droplet does not have.
type NoLogError struct {
	Name string
	Have []string
}

func (e *NoLogError) Error() string { return fmt.Sprintf("there is no log %q on the droplet", e.Name) }

// OpenLogs finds the logs of those names: services, and OwnLogs. Without names
// they are those of all services, or nginx's where there is none. A *NoLogError is about a name.
func OpenLogs(ctx context.Context, m *droplets.Machine, app string, names []string) (*Logs, error) {
	have, err := readManifest(ctx, m)
	if err != nil {
		return nil, err
	}
	switch {
	case len(names) == 0 && len(have.Services) > 0:
		names = have.Services
	case len(names) == 0: // a site of files has nginx alone
		names = []string{logNginx}
	}
	o := opening{app: app, services: map[string]string{}, wanted: map[string]bool{}}
	for _, name := range names {
		if !slices.Contains(have.Services, name) && !slices.Contains(OwnLogs(), name) {
			return nil, &NoLogError{name, append(slices.Clone(have.Services), OwnLogs()...)}
		}
		o.wanted[name] = true
	}
	if err := o.containers(ctx, m, have.Services); err != nil {
		return nil, err
	}
	if o.wanted[logCron] {
		if err := o.cron(ctx, m); err != nil {
			return nil, err
		}
	}
	return &Logs{slices.Sorted(maps.Keys(o.wanted)), o.sources()}, nil
}

// An opening is Logs in the making.
type opening struct {
	app      string
	wanted   map[string]bool
	services map[string]string // by the names of their containers
	matches  [][]string        // of the journal
}

// containers finds those of the wanted services. Before docker runs nobody can
// be asked, and compose will call the first of a service APP-SERVICE-1.
func (o *opening) containers(ctx context.Context, m *droplets.Machine, services []string) error {
	all, err := Containers(ctx, m, o.app)
	var refused *droplets.CommandError
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	for _, name := range services {
		if !slices.ContainsFunc(all, func(c Container) bool { return c.Service == name }) {
			all = append(all, Container{Service: name, Name: o.app + "-" + name + "-1"})
		}
	}
	var match []string
	for _, c := range all {
		if o.wanted[c.Service] {
			o.services[c.Name] = c.Service
			match = append(match, "CONTAINER_NAME="+c.Name)
		}
	}
	o.matches = append(o.matches, match)
	return nil
}

const cronUnit = "cattle-cron-"

// cron finds the units of the jobs: what they print, and what systemd says of them.
func (o *opening) cron(ctx context.Context, m *droplets.Machine) error {
	files, err := answer(ctx, m, "ls", "-1", "/etc/systemd/system")
	if err != nil {
		return err
	}
	var prints, about []string
	for _, name := range files {
		if strings.HasPrefix(name, cronUnit) && strings.HasSuffix(name, ".service") {
			prints, about = append(prints, "_SYSTEMD_UNIT="+name), append(about, "UNIT="+name)
		}
	}
	o.matches = append(o.matches, prints, about)
	return nil
}

// mailFacility is syslog's number of mail (RFC 5424, 6.2.1).
const mailFacility = "2"

func (o *opening) sources() (out []source) {
	if o.wanted[logMail] {
		o.matches = append(o.matches, []string{"SYSLOG_FACILITY=" + mailFacility})
	}
	if o.wanted[logSystem] {
		// Every facility: only what containers print has none.
		var all []string
		for i := range 24 {
			all = append(all, "SYSLOG_FACILITY="+strconv.Itoa(i))
		}
		o.matches = append(o.matches, all)
	}
	o.matches = slices.DeleteFunc(o.matches, func(m []string) bool { return len(m) == 0 })
	if len(o.matches) > 0 {
		out = append(out, &journal{matches: alternatives(o.matches), name: o.name})
	}
	if o.wanted[logNginx] {
		out = append(out, &file{name: logNginx, path: "/var/log/nginx/access.log", parse: parseAccess, rotated: true},
			&file{name: logNginx, path: "/var/log/nginx/error.log", parse: parseError, rotated: true})
	}
	if o.wanted[logBoot] {
		out = append(out, &file{name: logBoot, path: "/var/lib/cattle/journal", parse: parseBoot})
	}
	return out
}

// alternatives joins matches as journalctl has it: all of a group are of one
// field, any of which will do, and a "+" stands between groups.
func alternatives(groups [][]string) (out []string) {
	for i, g := range groups {
		if i > 0 {
			out = append(out, "+")
		}
		out = append(out, g...)
	}
	return out
}

// name tells which of the wanted logs an entry of the journal belongs to.
func (o *opening) name(e record) (name, line string) {
	message := string(e.Message)
	if service, ours := o.services[string(e.Container)]; ours {
		return service, message
	}
	who := string(e.Identifier) + ": "
	for _, unit := range []field{e.Unit, e.About} {
		if job, ok := strings.CutPrefix(string(unit), cronUnit); ok && o.wanted[logCron] {
			return logCron, strings.TrimSuffix(job, ".service") + ": " + message
		}
	}
	switch {
	case e.Container != "":
		return "", ""
	case e.Facility == mailFacility && o.wanted[logMail]:
		return logMail, who + message
	case o.wanted[logSystem]:
		return logSystem, who + message
	}
	return "", ""
}

// Backlog gives the newest lines of all logs together, n at most, none older
// than since (zero: of any age), in the order of time. more tells that there
// were older ones.
func (l *Logs) Backlog(ctx context.Context, m *droplets.Machine, n int, since time.Time) (all []Entry, more bool, err error) {
	since = since.Truncate(time.Second) // as nginx writes it
	found := make([][]Entry, len(l.sources))
	g, ctx := errgroup.WithContext(ctx)
	for i, s := range l.sources {
		g.Go(func() (err error) {
			found[i], err = s.backlog(ctx, m, n+1, since)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, false, err
	}
	all = slices.Concat(found...)
	slices.SortStableFunc(all, func(a, b Entry) int { return cmp.Compare(a.Time.UnixMicro(), b.Time.UnixMicro()) })
	if over := len(all) - n; over > 0 {
		return all[over:], true, nil
	}
	return all, false, nil
}

// SignOfLife is how often a droplet is asked for one while nothing else may be
// said: half a minute without is a cut.
const SignOfLife = 15 * time.Second

// Follow gives each line that comes after those that were given, until the
// connection or ctx ends; the error says why. emit is called by one at a time.
func (l *Logs) Follow(ctx context.Context, m *droplets.Machine, emit func(Entry)) error {
	var mu sync.Mutex
	serial := func(e Entry) {
		mu.Lock()
		defer mu.Unlock()
		emit(e)
	}
	g, ctx := errgroup.WithContext(ctx)
	go m.KeepAlive(ctx, SignOfLife)
	for _, s := range l.sources {
		g.Go(func() error {
			if err := s.follow(ctx, m, serial); err != nil {
				return err
			}
			return errEnded
		})
	}
	return g.Wait()
}

var errEnded = errors.New("the droplet stopped sending its log")
