package simulation

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/sandbox"
)

// A line is one thing that happened in a schedule.
type line struct {
	at   time.Time
	who  string
	text string
}

// A run is one verb of one operator.
type run struct {
	who    string
	op     *release.Operator
	verb   string
	plan   *release.Plan // nil while there is none, and for verbs without one
	began  time.Time
	ended  time.Time // zero while it runs
	killed bool
	before sandbox.Snapshot
	after  sandbox.Snapshot
	served string   // what the public got when it ended
	around []string // what was wrong then with records, firewall and project
	report *release.Report
	err    error
	events []release.Event
	hooks  []hookRun
	// discards tells a rollback that was told to give rows up.
	discards bool
}

func (b *Bench) runOf(o *release.Operator) *run {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range slices.Backward(b.runs) {
		if r.op == o && r.ended.IsZero() {
			return r
		}
	}
	return nil
}

// say keeps an event of somebody's.
func (b *Bench) say(who string, e release.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range slices.Backward(b.runs) {
		if r.who == who && r.ended.IsZero() {
			r.events = append(r.events, e)
			break
		}
	}
	text := strings.Join(strings.Fields(fmt.Sprintf("%s %s %s: %s %s", e.Kind, e.Step, e.State, e.Text, e.Tail)), " ")
	b.lines = append(b.lines, line{e.Time, who, "        " + text})
}

// mark writes into the history what a schedule does.
func (b *Bench) mark(who, format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line{time.Now(), who, "*** " + fmt.Sprintf(format, args...)})
}

// long are digests and keys, which nobody reads and which differ in each run.
var long = regexp.MustCompile(`[0-9a-f]{32,}`)

// Of two timers that end in one instant, net/http tells of either.
var eitherTimer = strings.NewReplacer(" (Client.Timeout exceeded while awaiting headers)", "")

// History is all that happened, in the order of time: calls of the API, changes
// in the cloud, verbs, what operators were told and what went wrong. A seed
// gives the same text each time.
func (b *Bench) History() string {
	b.mu.Lock()
	all := slices.Clone(b.lines)
	b.mu.Unlock()
	for _, r := range b.Cloud.Requests() {
		path := r.Path
		if r.Query != "" {
			path += "?" + r.Query
		}
		answer := fmt.Sprint(r.Status)
		if r.Status == 0 {
			answer = "no answer"
		}
		all = append(all, line{r.At, r.Agent, fmt.Sprintf("%s %s → %s", r.Method, path, answer)})
	}
	for _, c := range b.Cloud.Changes() {
		all = append(all, line{c.At, "cloud", "    " + describe(c)})
	}
	// What shares an instant comes in an order that the scheduler has no part in.
	slices.SortStableFunc(all, func(x, y line) int {
		return cmp.Or(x.at.Compare(y.at), cmp.Compare(x.who, y.who), cmp.Compare(cloudly(x), cloudly(y)))
	})
	var s strings.Builder
	for _, l := range all {
		fmt.Fprintf(&s, "%s %-6s %s\n", l.at.UTC().Format("15:04:05.000"), l.who, long.ReplaceAllString(eitherTimer.Replace(l.text), "…"))
	}
	return s.String()
}

// cloudly orders what the cloud did in one instant.
func cloudly(l line) string {
	if l.who == "cloud" {
		return l.text
	}
	return ""
}

// describe is a change in words.
func describe(c sandbox.Change) string {
	var of []string
	if c.Droplet != 0 || c.What == sandbox.Moved || c.What == sandbox.Sent {
		of = append(of, fmt.Sprintf("droplet %d", c.Droplet))
	}
	if c.IP != "" {
		of = append(of, c.IP)
	}
	if c.Image != 0 {
		of = append(of, fmt.Sprintf("snapshot %d", c.Image))
	}
	if c.Note != "" {
		of = append(of, c.Note)
	}
	if c.Sound {
		of = append(of, "(sound)")
	}
	if c.Agent != "" {
		of = append(of, "by "+c.Agent)
	}
	return string(c.What) + " " + strings.Join(of, " ")
}
