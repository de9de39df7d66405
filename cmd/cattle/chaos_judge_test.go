//go:build chaos && linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cattle/droplets/sandbox"
)

// interruptWithin is how long the undoing may take while the API answers.
const interruptWithin = 30 * time.Second

// endsWithin is how long a droplet is still there whose end was ordered: 0.2 s
// in a sandbox of `--latency fast`.
const endsWithin = 2 * time.Second

const stampMilli = "15:04:05.000"

// A judge follows one run: it types what comes next, and notes what is wrong.
type judge struct {
	s      *chaosSite
	run    chaosRun
	began  time.Time
	before chaosWorld
	hit    *execution
	all    []*execution

	leftNow bool // by a second signal
	wrong   []string
}

func (j *judge) complain(format string, args ...any) {
	j.wrong = append(j.wrong, fmt.Sprintf(format, args...))
}

// struck checks what the command said and left when it was interrupted.
func (j *judge) struck() {
	e := j.hit
	j.truth(e)
	if !e.struck || j.run.hit.signal == syscall.SIGKILL || e.exit < 0 {
		if e.exit < 0 && !e.struck {
			j.complain("it was not struck, and died")
		}
		return
	}
	j.leftNow = strings.Contains(e.out.text(), "left at once")
	if e.exit != exitInterrupted && e.exit != exitDone && e.exit != exitLeftover {
		j.complain("exit status %d after an interrupt", e.exit)
	}
	calm := j.run.api.trouble == noTrouble && j.run.socks.trouble == noTrouble
	if took := e.to.Sub(e.struckAt); calm && took > interruptWithin {
		j.complain("it ended %s after the interrupt", took)
	}
	ends := j.run.args[0] == "gc" || j.run.args[0] == "destroy"
	if e.exit != exitInterrupted || j.leftNow || !calm || ends {
		return
	}
	j.unchanged("undone")
}

// unchanged waits for the site to be as it was: a droplet whose end is ordered
// is there for another moment.
func (j *judge) unchanged(said string) {
	was, is := j.before.site(), j.s.look().site()
	for end := time.Now().Add(endsWithin); !slices.Equal(was, is); is = j.s.look().site() {
		if time.Now().After(end) {
			j.complain("%s, it says, but there was %q and there is %q", said, was, is)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// named asks for the status, before anything is cleaned up: of all that bills
// and neither serves nor stands by it says how it ends.
func (j *judge) named(ctx context.Context) {
	time.Sleep(100 * time.Millisecond) // for what a mended way still brings
	said := j.enter(ctx, "status").out.text()
	time.Sleep(500 * time.Millisecond) // for what is about to be gone
	w := j.s.look()
	for _, d := range w.Droplets {
		known := d.ID == w.live().ID || slices.Contains(d.Tags, "cattle:served") || strings.Contains(said, "cattle gc --attempt "+d.Attempt)
		if isOurs(d.Tags) && !known {
			j.complain("cattle status does not say how %s ends", d.Name)
		}
	}
}

// truth holds an exit status to what is the case. One that is 0 means that
// what the result names serves.
func (j *judge) truth(e *execution) {
	verb := e.args[0]
	if verb != "release" && verb != "rebuild" && verb != "rollback" {
		return
	}
	live := j.s.look().live()
	switch {
	case e.exit == exitDone && (e.out.result == nil || e.out.result.Droplet != live.ID):
		j.complain("exit status 0 of %v, and %d %s is live", e.args, live.ID, live.Name)
	case e.exit == exitNotReleased && j.before.live().ID != 0 && e == j.hit && live.ID != j.before.live().ID:
		j.complain("exit status 3 of %v, and %d %s is live", e.args, live.ID, live.Name)
	}
}

// leftAtOnce types what the second interrupt said.
func (j *judge) leftAtOnce(ctx context.Context) {
	if !j.leftNow {
		return
	}
	m := regexp.MustCompile(`left at once; (?:now type: cattle (.*)|nothing was changed)\n`).FindStringSubmatch(j.hit.out.text())
	switch {
	case m == nil:
		j.complain("it left at once, and does not say what to type")
	case m[1] == "":
		j.unchanged("nothing was changed")
	default:
		args := strings.Fields(m[1])
		if args[0] == "destroy" {
			args = append(args, "--yes")
		}
		e := j.enter(ctx, args...)
		// The undoing may have been over before the second signal.
		over := e.exit == exitInput && strings.Contains(e.out.text(), "no candidate is of the attempt")
		if e.exit != exitDone && !over && j.s.crowd != nil {
			j.complain("exit status %d of what it said to type, cattle %s", e.exit, m[1])
		}
		time.Sleep(500 * time.Millisecond) // for the droplet to be gone
		if left := j.s.look().site(); strings.Contains(strings.Join(left, "\n"), "candidate") {
			j.complain("cattle %s did not clean up: %q", m[1], left)
		}
	}
}

// enter runs a command as a person does.
func (j *judge) enter(ctx context.Context, args ...string) *execution {
	e := j.s.run(ctx, nil, j.s.fill(args)...)
	j.all = append(j.all, e)
	j.truth(e)
	return e
}

// tries bounds what is typed until a command converges.
const tries = 5

// converge types a command until it is done, and before it is tried again what
// it says to type.
func (j *judge) converge(ctx context.Context, args []string) {
	for range tries {
		e := j.enter(ctx, args...)
		if e.exit == exitDone {
			j.spared(ctx, e)
			return
		}
		advice := e.advice()
		if advice == nil {
			j.complain("exit status %d of cattle %s, and nothing to type", e.exit, strings.Join(e.args, " "))
			return
		}
		if advice[0] != "gc" && advice[0] != "unpin" {
			// There is another way: no standby to go back to, say.
			args = append(advice[:1:1], append([]string{"--json"}, advice[1:]...)...)
			continue
		}
		if !j.follow(ctx, advice) {
			return
		}
	}
	j.complain("cattle %s did not come to an end", strings.Join(args, " "))
}

// follow types what was said to type, and what that says to type.
func (j *judge) follow(ctx context.Context, advice []string) bool {
	for range tries {
		e := j.enter(ctx, advice...)
		if e.exit == exitDone {
			return true
		}
		next := e.advice()
		if next == nil {
			break
		}
		advice = next
	}
	j.complain("cattle %s, which was said to type, did not come to an end", strings.Join(advice, " "))
	return false
}

var advised = regexp.MustCompile(`cattle (gc --attempt [0-9a-f]{16}|gc|rollback|rebuild|unpin|release VERSION)`)

// advice is the first command that a failed one says to type; nil: none.
func (e *execution) advice() []string {
	hints := e.out.others.String()
	for _, f := range e.out.failures {
		hints += f.Hint + "\n"
	}
	if m := advised.FindStringSubmatch(hints); m != nil {
		return strings.Fields(m[1])
	}
	return nil
}

// spared ends by hand what a gc had to spare: the operator knows that he is gone.
func (j *judge) spared(ctx context.Context, e *execution) {
	for _, m := range regexp.MustCompile(`spared: .*cattle (gc --attempt [0-9a-f]{16})`).FindAllStringSubmatch(e.out.text(), -1) {
		if e := j.enter(ctx, strings.Fields(m[1])...); e.exit != exitDone {
			j.complain("exit status %d of cattle %s", e.exit, m[1])
		}
	}
}

// settled is the end of a run: a last gc, and nothing is there but what
// serves, its standby, and a snapshot; nothing of others was touched.
func (j *judge) settled(ctx context.Context) {
	j.spared(ctx, j.enter(ctx, "gc"))
	if j.run.number < firsts && j.s.look().standbys() == 0 {
		j.converge(ctx, []string{"release", "--json", "VERSION"})
	}
	if e := j.enter(ctx, "status", "--json"); e.exit != exitDone {
		j.complain("exit status %d of cattle status", e.exit)
	}
	time.Sleep(500 * time.Millisecond) // for what gc has ended
	w := j.s.look()
	if w.live().ID == 0 || w.standbys() > 1 || len(w.ReservedIPs) != 2 {
		j.complain("in the end there is %q", w.site())
	}
	for _, d := range w.Droplets {
		served := slices.Contains(d.Tags, "cattle:served")
		if isOurs(d.Tags) && !served || d.Release == brokenInChaos || !isOurs(d.Tags) && d.App != "" {
			j.complain("in the end there is %s %v", d.Name, d.Tags)
		}
	}
	for _, sn := range w.Snapshots {
		if !isOurs(sn.Tags) || len(sn.Tags) < 2 {
			j.complain("in the end there is the snapshot %s %v", sn.Name, sn.Tags)
		}
	}
	j.bills(w)
}

// gone is the end of a destroyed site.
func (j *judge) gone() {
	time.Sleep(500 * time.Millisecond)
	if w := j.s.look(); len(w.site()) != 1 || len(w.ReservedIPs) != 1 {
		j.complain("the site was destroyed, and there is %q", w.site())
	} else {
		j.bills(w)
	}
}

// bills holds what still bills to what is there for a reason.
func (j *judge) bills(w chaosWorld) {
	if now := w.foreign(); !slices.Equal(now, j.s.foreign) {
		j.complain("what is not the site's was %q, and is %q", j.s.foreign, now)
	}
	running := 0
	for _, b := range w.Bills {
		if !b.Gone {
			running++
		}
	}
	if running != len(w.Droplets) {
		j.complain("%d bills run, and there are %d droplets", running, len(w.Droplets))
	}
	if j.s.crowd != nil {
		j.wrong = append(j.wrong, j.s.crowd.takeComplaints()...)
	}
}

// history reads what was asked of the API, in its order, command by command.
func (j *judge) history() {
	names := map[int]string{}
	for _, b := range j.s.look().Bills {
		names[b.Droplet] = b.Name
	}
	requests := j.s.requests(j.began)
	for i, e := range j.all {
		end := time.Now()
		if i+1 < len(j.all) {
			end = j.all[i+1].from
		}
		var made []string
		for _, r := range requests {
			if r.At.Before(e.from) || !r.At.Before(end) || r.Method == http.MethodGet {
				continue
			}
			if r.Method == http.MethodPost && r.Path == "/v2/droplets" {
				made = append(made, bodyOf(r).Name)
			}
			j.harmless(r)
			j.gatedFirst(e, r, made, names)
		}
		if !e.out.gated.IsZero() {
			for _, name := range made {
				j.s.gated[name] = true
			}
		}
	}
}

// harmless tells that a request names nothing of somebody else's.
func (j *judge) harmless(r sandbox.Request) {
	if strings.Contains(r.Query, "tag_name") {
		j.complain("%s %s?%s", r.Method, r.Path, r.Query)
	}
	for _, d := range j.before.Droplets {
		if !isOurs(d.Tags) && d.App == "" && strings.Contains(r.Path+r.Body, strconv.Itoa(d.ID)) {
			j.complain("%s %s %s is about %s", r.Method, r.Path, r.Body, d.Name)
		}
	}
	if ip := j.before.ReservedIPs[0].IP; strings.HasSuffix(r.Path, ip) || strings.Contains(r.Path, ip+"/") {
		j.complain("%s %s %s is about somebody else's address", r.Method, r.Path, r.Body)
	}
}

// gatedFirst tells that the reserved IP is pointed at nothing but what has
// passed a gate by then.
func (j *judge) gatedFirst(e *execution, r sandbox.Request, made []string, names map[int]string) {
	body := bodyOf(r)
	if !strings.HasPrefix(r.Path, "/v2/reserved_ips") || body.Droplet == 0 {
		return
	}
	name := names[body.Droplet]
	passed := !e.out.gated.IsZero() && e.out.gated.Before(r.At)
	if !j.s.gated[name] && (!passed || !slices.Contains(made, name)) {
		j.complain("the reserved IP was pointed at %s, which has passed no gate", name)
	}
}

type orderBody struct {
	Name    string `json:"name"`
	Droplet int    `json:"droplet_id"`
}

func bodyOf(r sandbox.Request) (b orderBody) {
	json.Unmarshal([]byte(r.Body), &b)
	return b
}

// report is all that a person needs to see what happened.
func (j *judge) report(seed uint64) string {
	var b strings.Builder
	r := j.run
	fmt.Fprintf(&b, "run %d of seed %d; to repeat it: make chaos SEED=%d RUN=%d\n", r.number, seed, seed, r.number)
	fmt.Fprintf(&b, "%v struck by %v in %s (aimed at %q + %s, second after %s); API %+v, listener %+v\n",
		r.args, r.hit.signal, j.hit.struckIn, r.hit.step, r.hit.after, r.hit.second, r.api, r.socks)
	for _, w := range j.wrong {
		fmt.Fprintf(&b, "VIOLATION: %s\n", w)
	}
	for _, e := range j.all {
		fmt.Fprintf(&b, "\n%s $ cattle %s\n%s%s exit status %d\n", e.from.Format(stampMilli), strings.Join(e.args, " "), e.out.text(), e.to.Format(stampMilli), e.exit)
	}
	b.WriteString("\nwhat the API was asked:\n")
	for _, q := range j.s.requests(j.began) {
		fmt.Fprintf(&b, "%s %s %s %s %d %.120s\n", q.At.Format(stampMilli), q.Method, q.Path, q.Query, q.Status, q.Body)
	}
	return b.String()
}

// fill puts the next version in the place of VERSION.
func (s *chaosSite) fill(args []string) []string {
	args = slices.Clone(args)
	for i, a := range args {
		if a == "VERSION" {
			args[i] = s.nextVersion()
		}
	}
	return args
}

func (s *chaosSite) nextVersion() string {
	s.version++
	return fmt.Sprintf("v1.%d.0", s.version)
}

// learn takes what serves and what served for gated: it got there unstruck.
func (s *chaosSite) learn() {
	for _, d := range s.look().Droplets {
		if slices.Contains(d.Tags, "cattle:served") {
			s.gated[d.Name] = true
		}
	}
}

// standbys counts the site's standbys.
func (w chaosWorld) standbys() (n int) {
	for _, m := range w.site() {
		if strings.HasPrefix(m, "standby") {
			n++
		}
	}
	return n
}
