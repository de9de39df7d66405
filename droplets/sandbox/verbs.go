package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A session is one command that runs on a droplet.
type session struct {
	cloud   *Cloud
	droplet int
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	plain   bool     // the command is none of our verbs
	words   []string // of a plain command, and of one for the rows' program
	// terminal is what a person sits at; nil where nobody does.
	terminal *terminal
}

const (
	exitUsage    = 64
	exitNotFound = 127
)

// maxInput is the most that a verb reads.
const maxInput = 8 << 20

// run runs a command line and returns its exit status. A machine whose
// user-data did not make it one of ours has no script of verbs.
func (s *session) run(ctx context.Context, command string) int {
	verb := plainCommand(command)
	s.plain = verb != ""
	words, err := splitLine(command)
	s.words = words
	if err != nil && !s.plain {
		return s.fail(2, "bash: -c: line 1: %v", err)
	}
	ofState := s.stateVerbOf(words)
	if fault := s.fault(); !s.plain && ofState == "" && (len(words) == 0 || words[0] != verbScript) || fault != "" {
		return place{s, ""}.command(ctx, words)
	}
	switch {
	case ofState != "":
		verb, s.words = ofState, words
	case s.plain:
		s.words = words
	case len(words) > 1:
		verb = words[1]
	}
	s.with(func(d *droplet, now time.Time) {
		s.cloud.note(Change{At: now, What: Ran, Droplet: d.ID, Note: verb})
	})
	if begin := s.cloud.opt.Verb; begin != nil && sleep(ctx, begin(verb)) != nil {
		return 1
	}
	return s.faulty(ctx, verb)
}

// do is what the droplet's script does for a verb.
func (s *session) do(ctx context.Context, verb string) int {
	switch {
	case s.plain && verb == "apt":
		return s.upgradable()
	case s.plain && verb == equipping:
		return place{s, ""}.command(ctx, s.words)
	case len(s.words) > 1 && s.words[0] == stateScript:
		return s.state(ctx, s.words)
	case s.plain && verb == "challenge":
		return s.challenges()
	case s.plain && verb == "wildcard":
		return s.wildcard(ctx)
	case s.plain:
		return s.installed()
	}
	switch verb {
	case "journal":
		return s.journal(ctx)
	case "key":
		return s.key()
	case "status":
		return s.status()
	case "certificates":
		return s.certificates()
	case "install-certificates":
		return s.install()
	case "certify":
		return s.certify(ctx)
	case "record":
		return s.record()
	case "history":
		return s.history()
	case "strip":
		return s.strip()
	case "traffic":
		return s.traffic()
	case "mail", "install-mail":
		switch {
		case !s.has(mailPath):
		case verb == "mail":
			return s.giveMail(ctx)
		default:
			return s.takeMail()
		}
	case "guard", "disarm":
		switch {
		case !s.has(guardPath):
		case verb == "guard":
			return s.guard()
		default:
			return s.disarm()
		}
	}
	return s.noVerb(verb)
}

// has tells whether the release has a script of its own that not each one has.
func (s *session) has(path string) (has bool) {
	s.with(func(d *droplet, _ time.Time) { _, has = s.cloud.seed(d).files[path] })
	return has
}

func (s *session) noVerb(verb string) int {
	return s.fail(exitUsage, "droplet: no such verb: %s", verb)
}

func (s *session) fail(status int, format string, args ...any) int {
	fmt.Fprintf(s.stderr, format+"\n", args...)
	return status
}

// with runs f with the cloud locked, on a droplet that is still there.
func (s *session) with(f func(d *droplet, now time.Time)) bool {
	now := s.cloud.lock()
	defer s.cloud.unlock()
	d := s.cloud.droplet(s.droplet)
	if d == nil || d.Disk.OnAt.IsZero() {
		return false
	}
	f(d, now)
	return true
}

func (s *session) fault() (fault string) {
	s.with(func(d *droplet, _ time.Time) { fault = s.cloud.seed(d).fault })
	return fault
}

// wait waits until the cloud changes, a time comes (zero: none) or ctx ends.
func (s *session) wait(ctx context.Context, changed <-chan struct{}, now, until time.Time) {
	var timer <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(max(until.Sub(now), 1))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-changed:
	case <-timer:
	case <-ctx.Done():
	}
}

// journal prints the boot journal and follows it to its end.
func (s *session) journal(ctx context.Context) int {
	sent := map[string]bool{}
	out := json.NewEncoder(s.stdout)
	for ctx.Err() == nil {
		var run bootRun
		var at time.Time
		var changed chan struct{}
		if !s.with(func(d *droplet, now time.Time) {
			run, at, changed = s.cloud.boot(d), now, s.cloud.changed
		}) {
			return 1
		}
		for _, line := range run.journal(at) {
			if key := line.Step + " " + line.State; !sent[key] {
				sent[key] = true
				if out.Encode(line) != nil {
					return 1
				}
			}
		}
		if !run.ended.IsZero() && !run.ended.After(at) {
			return 0
		}
		s.wait(ctx, changed, at, run.next(at))
	}
	return 1
}

// key takes the age identity, for which the boot waits.
func (s *session) key() int {
	b, err := io.ReadAll(io.LimitReader(s.stdin, maxInput))
	if err != nil || !strings.HasPrefix(string(b), "AGE-SECRET-KEY-") {
		return s.fail(1, "key: stdin is no age identity")
	}
	s.with(func(d *droplet, now time.Time) {
		// Once opened, secrets stay open: the same key again changes nothing.
		if d.Disk.Key != string(b) {
			s.cloud.takeKey(d, string(b), now)
			s.cloud.touch()
		}
	})
	return 0
}

// strip forgets what belongs to this machine alone, where it is one that
// becomes a snapshot.
func (s *session) strip() int {
	var m struct{ Bake bool }
	s.with(func(d *droplet, _ time.Time) {
		json.Unmarshal(s.cloud.seed(d).files[manifestPath], &m)
		if m.Bake {
			d.Disk.Key, d.Disk.SecretNames, d.Disk.Certificates = "", nil, nil
			s.cloud.touch()
		}
	})
	if !m.Bake {
		return s.noVerb("strip")
	}
	return 0
}

// status is what runs, as one JSON object.
func (s *session) status() int {
	var v obj
	s.with(func(d *droplet, now time.Time) { v = s.cloud.status(d, now) })
	if v == nil || json.NewEncoder(s.stdout).Encode(v) != nil {
		return 1
	}
	return 0
}

func (c *Cloud) status(d *droplet, now time.Time) obj {
	m, v := c.seed(d).manifest, c.vitals(d, now)
	boot, failed := "running", ""
	if e := v.boot.ended; !e.IsZero() && !e.After(now) {
		boot = "ok"
		if !v.boot.ok {
			boot, failed = "failed", v.boot.failed(now)
		}
	}
	images := m.Images
	if images == nil {
		images = map[string]string{}
	}
	return obj{
		"app": m.App, "release": m.Release, "attempt": m.Attempt,
		"boot": boot, "failed_step": failed, "services": c.services(d, v, now),
		"certificate": c.viewCertificate(d), "issued": c.viewIssued(d, now), "failed_units": []string{}, "images": images, "state": c.brief(d, now),
	}
}

// services are there once docker compose has made them.
func (c *Cloud) services(d *droplet, v vitals, now time.Time) []obj {
	list := []obj{}
	if !v.app {
		return list
	}
	b := c.behaviour(d)
	for i, name := range c.seed(d).manifest.Services {
		state, health, exit := "running", "", 0
		if i == 0 && (b.Kind == Exited || b.Kind == ExitsLater && b.begun(v.appAt, now)) {
			state, exit = "exited", b.Exit
		}
		if i == 0 && b.Kind == Unhealthy {
			health = "unhealthy"
		}
		if c.behaviour(d).Kind == Babbles {
			name, state = name+Babble, state+Babble
		}
		list = append(list, obj{"name": name, "state": state, "health": health, "exit": exit})
	}
	return list
}

func (c *Cloud) viewCertificate(d *droplet) any {
	pair := c.certificate(d)
	if pair == nil {
		return nil
	}
	names := slices.Sorted(slices.Values(pair.Leaf.DNSNames))
	return obj{"names": names, "not_after": stamp(pair.Leaf.NotAfter)}
}

// certificates prints /etc/letsencrypt as a tar, and the history with it.
func (s *session) certificates() int {
	var tree []byte
	var history []string
	s.with(func(d *droplet, _ time.Time) { tree, history = d.Disk.Certificates, d.Disk.History })
	if len(tree) == 0 {
		tree = emptyTree()
	}
	tree, err := packHistory(tree, history)
	if err != nil {
		return s.fail(1, "certificates: %v", err)
	}
	if _, err := s.stdout.Write(tree); err != nil {
		return 1
	}
	return 0
}

// install takes such a tar: nginx gets its TLS server, and the history is the
// other machine's.
func (s *session) install() int {
	b, err := io.ReadAll(bufio.NewReader(io.LimitReader(s.stdin, maxInput)))
	if err != nil {
		return s.fail(1, "install-certificates: %v", err)
	}
	tree, history, err := unpackHistory(b)
	if err != nil {
		return s.fail(1, "install-certificates: %v", err)
	}
	pair, err := parseTree(tree)
	if err != nil {
		return s.fail(1, "install-certificates: %v", err)
	}
	s.with(func(d *droplet, _ time.Time) {
		if pair != nil {
			d.Disk.Certificates = tree
		}
		if history != nil {
			d.Disk.History = history
		}
		s.cloud.touch()
	})
	return 0
}

// certify gets a certificate for all names and no others, unless there is a good one.
func (s *session) certify(ctx context.Context) int {
	asked := false
	for ctx.Err() == nil {
		status, until, at := -1, time.Time{}, time.Time{}
		var changed chan struct{}
		alive := s.with(func(d *droplet, now time.Time) {
			// Taken first, so that an order that is answered at once wakes us.
			changed, at = s.cloud.changed, now
			status, asked = s.certifyStep(d, now, asked)
			until = d.Disk.IssueAt
		})
		switch {
		case !alive:
			return 1
		case status >= 0:
			return status
		}
		s.wait(ctx, changed, at, until)
	}
	return 1
}

// certifyStep looks how far an order is, or makes one; -1 means to wait. An
// order of the droplet's own timer is as good as ours.
func (s *session) certifyStep(d *droplet, now time.Time, asked bool) (status int, _ bool) {
	c := s.cloud
	switch {
	case !c.vitals(d, now).nginx:
		return s.fail(1, "certify: nginx is not running"), asked
	case !d.Disk.IssueAt.IsZero():
		return -1, true
	case c.covered(d, now) && c.exact(d):
		return 0, asked
	case asked:
		return s.fail(1, "certify: %s", d.Disk.IssueFault), asked
	}
	c.ask(d, now)
	c.settle(now)
	return -1, true
}
