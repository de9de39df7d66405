package sandbox

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A journalEntry is one of systemd's journal, with its fields.
type journalEntry struct {
	at     time.Time
	fields map[string]string
}

// systemJournal is what a machine's journal has by now: systemd's own words at
// the times of the boot, and the containers' output. The cloud must be locked.
func (c *Cloud) systemJournal(d *droplet, now time.Time) (all []journalEntry) {
	add := func(at time.Time, fields map[string]string) {
		if !at.IsZero() && !at.After(now) {
			all = append(all, journalEntry{at, fields})
		}
	}
	started := func(at time.Time, unit, text string) {
		add(at, map[string]string{"MESSAGE": text, "SYSLOG_IDENTIFIER": "systemd", "SYSLOG_FACILITY": "3", "UNIT": unit, "_PID": "1",
			"_SYSTEMD_UNIT": "init.scope", "_TRANSPORT": "journal"})
	}
	add(d.Disk.OnAt, map[string]string{"MESSAGE": "Linux version 6.12.0-stub (sandbox)", "SYSLOG_IDENTIFIER": "kernel", "SYSLOG_FACILITY": "0", "_TRANSPORT": "kernel"})
	run, v, m := c.boot(d), c.vitals(d, now), c.seed(d).manifest
	if run.done("docker", now) {
		started(run.at("docker"), "docker.service", "Started docker.service - Docker Application Container Engine.")
	}
	if run.done("nginx", now) {
		started(run.at("nginx"), "nginx.service", "Started nginx.service - A high performance web server and a reverse proxy server.")
	}
	if c.seed(d).mails() && run.done("mail", now) {
		add(run.at("mail"), map[string]string{"MESSAGE": "starting the Postfix mail system", "SYSLOG_IDENTIFIER": "postfix/postfix-script",
			"SYSLOG_FACILITY": "2", "_SYSTEMD_UNIT": "postfix.service", "_TRANSPORT": "syslog"})
	}
	if v.app {
		started(v.appAt, "cattle-app.service", "Finished cattle-app.service - The containers of "+m.App+".")
		all = append(all, c.containerOutput(d, v, now)...)
	}
	slices.SortStableFunc(all, func(a, b journalEntry) int { return a.at.Compare(b.at) })
	return all
}

// containerOutput is what the app's containers have written: that they began,
// and the first of them each request that came to it.
func (c *Cloud) containerOutput(d *droplet, v vitals, now time.Time) (all []journalEntry) {
	m, b := c.seed(d).manifest, c.behaviour(d)
	for i, service := range m.Services {
		name := m.App + "-" + service + "-1"
		add := func(at time.Time, text string) {
			all = append(all, journalEntry{at, map[string]string{"MESSAGE": text, "CONTAINER_NAME": name, "CONTAINER_ID": containerID(name)[:12],
				"CONTAINER_TAG": containerID(name)[:12], "SYSLOG_IDENTIFIER": containerID(name)[:12], "_SYSTEMD_UNIT": "docker.service", "_TRANSPORT": "journal"}})
		}
		switch {
		case i == 0 && b.Kind == Exited:
			add(v.appAt, "fatal: the sandbox was told that this service exits")
			continue
		case b.Kind == Babbles:
			add(v.appAt, Babble)
		}
		add(v.appAt, service+" of "+m.App+" "+m.Release+" has begun")
		if i > 0 {
			continue
		}
		log := c.logOf(d)
		for _, r := range slices.Concat(log.rotated, log.served) {
			if r.app {
				add(r.at, fmt.Sprintf("%s %s %d", r.method, r.uri, r.status))
			}
		}
	}
	return all
}

// journalctl knows what a program needs of it, see journalctl(1).
func (p place) journalctl(ctx context.Context, args []string) int {
	given, matches, unknown := options(args, map[string]string{"--output": "output=", "-o": "output=", "--lines": "lines=", "-n": "lines=",
		"--follow": "follow", "-f": "follow", "--no-tail": "no-tail", "--since": "since=", "-S": "since=", "--after-cursor": "after=",
		"--all": "all", "-a": "all", "--quiet": "quiet", "-q": "quiet", "--no-pager": "no-pager", "--output-fields": "fields="})
	if unknown != "" {
		return p.fail(1, "journalctl: unrecognized option '%s'", unknown)
	}
	q := journalQuery{given: given, lines: -1}
	_, q.all = given["all"]
	if err := q.parse(matches); err != nil {
		return p.fail(1, "%v", err)
	}
	_, follow := given["follow"]
	_, whole := given["no-tail"]
	if follow && !whole && q.lines < 0 && q.since.IsZero() {
		q.lines = 10
	}
	for {
		var found []journalEntry
		var seq []int
		if !p.with(func(d *droplet, now time.Time) { found, seq = q.find(p.cloud.systemJournal(d, now)) }) {
			return 1
		}
		for i, e := range found {
			if _, err := fmt.Fprintln(p.stdout, q.format(e, seq[i])); err != nil {
				return 1
			}
		}
		if !follow {
			return 0
		}
		q.lines = -1
		if sleep(ctx, followEvery) != nil {
			return 1
		}
	}
}

// A cursor is a place in the journal: a time, and how many entries of that
// very time came before.
type cursor struct {
	at  time.Time
	seq int
}

func (c cursor) String() string {
	us := c.at.UnixMicro()
	return fmt.Sprintf("s=%032x;i=%x;b=%032x;m=%x;t=%x;x=%x", 1, c.seq, 1, us, us, us)
}

func parseCursor(text string) (c cursor, err error) {
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		n, e := strconv.ParseInt(value, 16, 64)
		switch name {
		case "t":
			c.at, err = time.UnixMicro(n), cmp.Or(err, e)
		case "i":
			c.seq, err = int(n), cmp.Or(err, e)
		}
	}
	if c.at.IsZero() || err != nil {
		err = said("Failed to seek to cursor: Invalid argument")
	}
	return c, err
}

type journalQuery struct {
	given map[string]string
	all   bool
	lines int // -1: all of them
	since time.Time
	after cursor
	any   [][]string // of these groups; within a group one of each field
}

func (q *journalQuery) parse(matches []string) (err error) {
	if text, ok := q.given["lines"]; ok && text != "all" {
		if q.lines, err = strconv.Atoi(text); err != nil || q.lines < 0 {
			return said("Failed to parse lines '" + text + "'")
		}
	}
	if text, ok := q.given["since"]; ok {
		at, err := strconv.ParseInt(strings.TrimPrefix(text, "@"), 10, 64)
		if err != nil || text[0] != '@' {
			return said("Failed to parse timestamp: " + text)
		}
		q.since = time.Unix(at, 0)
	}
	if text, ok := q.given["after"]; ok {
		if !q.since.IsZero() {
			return said("Please specify only one of --since=, --cursor=, and --after-cursor=.")
		}
		if q.after, err = parseCursor(text); err != nil {
			return err
		}
	}
	group := []string{}
	for _, m := range append(matches, "+") {
		if m == "+" {
			if len(group) > 0 {
				q.any = append(q.any, group)
			}
			group = nil
			continue
		}
		if !strings.Contains(m, "=") {
			return said("Failed to add match '" + m + "': Invalid argument")
		}
		group = append(group, m)
	}
	return nil
}

// find are the entries that are asked for, with their numbers among those of
// the same time; the next time it is asked for those that came since.
func (q *journalQuery) find(all []journalEntry) (found []journalEntry, seq []int) {
	n := 0
	for i, e := range all {
		if n++; i > 0 && !sameTime(all[i-1].at, e.at) {
			n = 0
		}
		late := e.at.UnixMicro() > q.after.at.UnixMicro() || sameTime(e.at, q.after.at) && n > q.after.seq
		if late && !e.at.Before(q.since) && q.matches(e) {
			found, seq = append(found, e), append(seq, n)
		}
	}
	if last := len(found) - 1; last >= 0 {
		q.after = cursor{found[last].at, seq[last]}
	}
	if over := len(found) - q.lines; q.lines >= 0 && over > 0 {
		found, seq = found[over:], seq[over:]
	}
	return found, seq
}

func sameTime(a, b time.Time) bool { return a.UnixMicro() == b.UnixMicro() }

func (q *journalQuery) matches(e journalEntry) bool {
	return len(q.any) == 0 || slices.ContainsFunc(q.any, func(group []string) bool {
		met := map[string]bool{}
		for _, m := range group {
			name, value, _ := strings.Cut(m, "=")
			have, there := e.fields[name]
			met[name] = met[name] || there && have == value
		}
		return !slices.Contains(slices.Collect(maps.Values(met)), false)
	})
}

// format is an entry as --output says: json (systemd's Journal JSON Format), or
// short, the default.
func (q *journalQuery) format(e journalEntry, seq int) string {
	if q.given["output"] != "json" {
		return fmt.Sprintf("%s sandbox %s: %s", e.at.UTC().Format("Jan 02 15:04:05"), e.fields["SYSLOG_IDENTIFIER"], e.fields["MESSAGE"])
	}
	line := obj{"__CURSOR": cursor{e.at, seq}.String(), "__REALTIME_TIMESTAMP": strconv.FormatInt(e.at.UnixMicro(), 10),
		"__MONOTONIC_TIMESTAMP": strconv.FormatInt(e.at.UnixMicro(), 10), "_BOOT_ID": fmt.Sprintf("%032x", 1)}
	wanted := strings.Split(q.given["fields"], ",")
	for name, value := range e.fields {
		if q.given["fields"] == "" || slices.Contains(wanted, name) {
			line[name] = q.value(value)
		}
	}
	text, _ := json.Marshal(line) // text and numbers
	return string(text)
}

// value is text, or the numbers of its bytes where it is not printable.
func (q *journalQuery) value(text string) any {
	odd := func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }
	if utf8.ValidString(text) && (q.all || !strings.ContainsFunc(text, odd)) {
		return text
	}
	numbers := make([]int, len(text))
	for i := range len(text) {
		numbers[i] = int(text[i])
	}
	return numbers
}
