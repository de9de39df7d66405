package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	stateScript = "/opt/cattle/state"
	specPath    = "/etc/cattle/state.json"
	offeredSpec = specPath + ".new"
	// stateVerb is what the verbs of that program begin with, for faults and
	// changes: freeze is state-freeze, pull bulk is state-pull-bulk.
	stateVerb = "state-"
	// equipping is the verb for the line that brings the program.
	equipping = "state-equip"
	equipLine = "tar --extract --directory=/ --no-same-owner"
)

// stateVerbOf names what a line asks of the program, where that has been brought.
func (s *session) stateVerbOf(words []string) (verb string) {
	if len(words) < 2 || words[0] != stateScript {
		return ""
	}
	s.with(func(d *droplet, _ time.Time) {
		if _, there := d.Disk.Files[":"+stateScript]; there {
			verb = stateVerb + words[1]
		}
	})
	if words[1] == "pull" && len(words) > 2 && verb != "" {
		verb += "-" + words[2]
	}
	return verb
}

// A stateFault is what the program says last when it fails.
type stateFault struct {
	Code    string `json:"code"`
	Entry   string `json:"entry"`
	Side    string `json:"side"` // new or old
	Message string `json:"message"`
}

func (f *stateFault) Error() string { return f.Message }

// EngineFails is the fault of a verb of the program for rows, such as freeze or
// pull-delta, that fails as the program does: with a code, and of which side.
func EngineFails(verb, code, side, message string) Fault {
	answer, _ := json.Marshal(obj{"error": stateFault{Code: code, Side: side, Message: message}}) // is text
	return Fault{Method: verbMethod, Path: "/" + stateVerb + verb, Status: 1, Answer: string(answer)}
}

// A stateCall is one run of the program. It is carried out with the cloud locked.
type stateCall struct {
	*session
	verb  string
	args  []string
	input string
	d     *droplet
	now   time.Time
	out   []obj // lines to print
}

// state is the program.
func (s *session) state(ctx context.Context, words []string) int {
	if len(words) == 2 && words[1] == "attend" {
		return s.attend(ctx)
	}
	input, err := io.ReadAll(io.LimitReader(s.stdin, maxInput))
	if err != nil || ctx.Err() != nil {
		return 1
	}
	q := &stateCall{session: s, verb: words[1], args: words[2:], input: string(input)}
	do := q.does()
	if do == nil {
		return s.fail(exitUsage, "state: not known: %s", strings.Join(words[1:], " "))
	}
	if err := q.follow(); err != nil {
		return q.finish(err)
	}
	if q.verb == "join" {
		if err := s.join(ctx); err != nil {
			return q.finish(err)
		}
	}
	alive := s.with(func(d *droplet, now time.Time) {
		q.d, q.now = d, now
		err = do()
	})
	if !alive {
		return 1
	}
	return q.finish(err)
}

// finish prints what there is to say, the failure last.
func (q *stateCall) finish(err error) int {
	var fault *stateFault
	failed := errors.As(err, &fault)
	if failed {
		q.say(obj{"error": fault})
	}
	out := json.NewEncoder(q.stdout)
	for _, line := range q.out {
		if out.Encode(line) != nil {
			return 1
		}
	}
	if failed {
		return 1
	}
	return 0
}

// does is what the verb does, nil for one that there is not.
func (q *stateCall) does() func() error {
	n := len(q.args)
	seconds, err := 0, error(nil)
	if n > 0 {
		seconds, err = strconv.Atoi(q.args[0])
	}
	timed := func(f func(time.Duration) error) func() error {
		if n != 1 || err != nil || seconds <= 0 {
			return nil
		}
		return func() error { return f(time.Duration(seconds) * time.Second) }
	}
	switch {
	case q.verb == "prepare" && (n == 0 || n == 1 && q.args[0] == "--adopt"):
		return q.prepare
	case q.verb == "lend" && n == 2 && err == nil && seconds > 0:
		return func() error { return q.lend(time.Duration(seconds)*time.Second, q.args[1]) }
	case q.verb == "pull" && n == 1 && slices.Contains([]string{"bulk", "delta"}, q.args[0]):
		return func() error { return q.pull(q.args[0] == "delta") }
	case q.verb == "part":
		return timed(q.part)
	case q.verb == "freeze":
		return timed(q.freeze)
	case q.verb == "commit":
		return timed(q.commit)
	case q.verb == "start" && n == 2 && q.args[1] == "--own" && err == nil && seconds > 0:
		return func() error { return q.startOwn(time.Duration(seconds) * time.Second) }
	case q.verb == "start":
		return timed(q.start)
	case q.verb == "backup" && n == 1:
		return func() error { return q.backup(q.args[0]) }
	case q.verb == "restore" && n > 1:
		return q.restore
	case n > 0:
		return nil
	}
	return q.plainly()
}

// plainly are the verbs without arguments.
func (q *stateCall) plainly() func() error {
	switch q.verb {
	case "return":
		return q.giveBack
	case "thaw":
		return q.thaw
	case "join":
		return func() error { q.say(obj{"joined": true}); return q.missing() }
	case "migrate":
		return q.migrate
	case "writes":
		return q.writes
	case "backups":
		return q.backups
	case "verify":
		return q.verify
	case "schedule":
		return q.schedule
	}
	return nil
}

func (q *stateCall) say(line obj) { q.out = append(q.out, line) }

// prepare takes the spec that came with the program, and says what is there.
func (q *stateCall) prepare() error {
	files := q.d.Disk.Files
	offered, comes := files[":"+offeredSpec]
	_, has := q.cloud.specText(q.d)
	if comes && (!has || len(q.args) > 0) {
		files[":"+specPath] = offered
		delete(files, ":"+offeredSpec)
	}
	spec, err := q.spec()
	if err != nil {
		return err
	}
	q.d.Disk.State.Known = true
	q.cloud.touch()
	entries := []obj{}
	for i, e := range spec.Entries {
		rows := q.rowsOf(spec, i)
		entries = append(entries, obj{"name": e.Name, "kind": e.Kind, "bytes": sizeOf(rows), "empty": len(rows) == 0})
	}
	disk := int64(q.cloud.shelf.size(q.d.Size).Disk) << 30
	q.say(obj{"entries": entries, "free_bytes": disk - disk/10, "phase": q.cloud.phase(q.d), "port": 22,
		"addresses": obj{"private": q.d.PrivateIP, "public": q.d.IP}, "host_key": q.cloud.hostKeyLine(q.d)})
	return nil
}

// A stateSpec is the part of the spec that a stub acts on.
type stateSpec struct {
	App     string
	Entries []stateEntry
	Migrate json.RawMessage
	Backup  *struct {
		Repository string
		Overdue    int64 `json:"overdue_s"`
	}
}

// A stateEntry is one thing that is carried, or a volume, which is not.
type stateEntry struct{ Name, Kind, Volume string }

// first is the entry that has the rows of the disk, -1 where none has.
func (s stateSpec) first() int {
	return slices.IndexFunc(s.Entries, func(e stateEntry) bool { return e.Kind != kindVolume })
}

// specOf is a droplet's; one without has no entries.
func (c *Cloud) specOf(d *droplet) (s stateSpec) {
	if text, there := c.specText(d); !there || json.Unmarshal(text, &s) != nil {
		return stateSpec{}
	}
	return s
}

func (c *Cloud) specText(d *droplet) ([]byte, bool) {
	if f, there := d.Disk.Files[":"+specPath]; there {
		return f.Data, true
	}
	text, there := c.seed(d).files[specPath]
	return text, there
}

func (q *stateCall) spec() (s stateSpec, err error) {
	text, there := q.cloud.specText(q.d)
	if !there {
		return s, &stateFault{Code: "engine", Side: "new", Message: specPath + ": no such file"}
	}
	if json.Unmarshal(text, &s) != nil {
		return s, &stateFault{Code: "engine", Side: "new", Message: specPath + " is no spec"}
	}
	return s, nil
}

// rowsOf are those of the spec's entry at i: the app of a stub has all in the
// first, and all on each volume.
func (q *stateCall) rowsOf(s stateSpec, i int) []string {
	switch e := s.Entries[i]; {
	case e.Kind == kindVolume:
		if v := q.cloud.mounted(q.d, e.Volume); v != nil {
			return v.Disk.Rows
		}
	case i == s.first():
		return q.d.Disk.State.Rows
	}
	return nil
}

func (q *stateCall) freeze(lease time.Duration) error {
	if _, may := q.cloud.starts(q.d); !may {
		return &stateFault{Code: "engine", Side: "old", Message: "the app has not been started"}
	}
	until := q.now.Add(lease)
	if v := q.d.Disk.State.Volumes; v != nil {
		v.Thaw = time.Time{}
	}
	q.cloud.enter(q.d, phaseFrozen, q.now, until)
	q.say(obj{"phase": phaseFrozen, "until_ms": until.UnixMilli()})
	return nil
}

func (q *stateCall) commit(lease time.Duration) error {
	was := q.cloud.phase(q.d)
	if was != phaseCommitted && (was != phaseFrozen || !q.now.Before(q.d.Disk.State.Until) || !q.d.Disk.State.thawed().IsZero()) {
		return &stateFault{Code: "lapsed", Side: "old", Message: "the freeze was over before the switch"}
	}
	q.cloud.enter(q.d, phaseCommitted, q.now, q.now.Add(lease))
	q.say(obj{"phase": phaseCommitted})
	return nil
}

func (q *stateCall) thaw() error {
	if err := q.opens(); err != nil {
		return err
	}
	was := q.cloud.phase(q.d)
	q.cloud.enter(q.d, phaseOpen, q.now, time.Time{})
	q.say(obj{"phase": phaseOpen, "was": was})
	return nil
}

// start has the app run, for readers alone.
func (q *stateCall) start(lease time.Duration) error {
	if err := q.missing(); err != nil {
		return err
	}
	q.cloud.startState(q.d, q.now, lease)
	q.say(obj{"phase": phaseNew})
	return nil
}

// startOwn is start on the rows that the droplet had before a copy came to it.
func (q *stateCall) startOwn(lease time.Duration) error {
	s := &q.d.Disk.State
	if s.Own != nil {
		if q.cloud.phase(q.d) == phaseOpen && q.cloud.reservedOf(q.d.ID) != nil {
			return &stateFault{Code: "engine", Side: "new", Message: "visitors come to this droplet: its data is not replaced"}
		}
		s.Rows, s.Own, s.Ready = *s.Own, nil, time.Time{} // the app is stopped first
	}
	return q.start(lease)
}

func (q *stateCall) migrate() error {
	spec, err := q.spec()
	if err == nil {
		err = q.missing()
	}
	if err == nil && len(spec.Migrate) == 0 {
		err = &stateFault{Code: "migrate", Side: "new", Message: "the spec has no migration"}
	}
	if err == nil {
		q.say(obj{"migrated": true})
	}
	return err
}

func (q *stateCall) writes() error {
	spec, err := q.spec()
	if err != nil {
		return err
	}
	state, entries, total := q.d.Disk.State, []obj{}, 0
	for i, e := range spec.Entries {
		count := 0
		if i == spec.first() {
			count = len(state.Rows) - state.Baseline
			total = count
		}
		entries = append(entries, obj{"name": e.Name, "count": count, "unit": "rows"})
	}
	since := state.Opened
	if since.IsZero() {
		since = q.d.CreatedAt
	}
	q.say(obj{"since_ms": since.UnixMilli(), "total": total, "entries": entries})
	return nil
}

// brief is what status tells of the rows' way, nil where the program never ran.
func (c *Cloud) brief(d *droplet, now time.Time) any {
	s := d.Disk.State
	if !s.Known {
		return nil
	}
	until := int64(0)
	if !s.Until.IsZero() {
		until = s.Until.UnixMilli()
	}
	since := s.Since
	if since.IsZero() {
		since = d.CreatedAt
	}
	return obj{"phase": c.phase(d), "since_ms": since.UnixMilli(), "until_ms": until, "backup": c.briefBackup(d, now),
		"volumes": c.briefVolumes(d)}
}

// inFolder's paths are clean; a folder that somebody names may not be.
func within(folder, name string) string { return path.Join(path.Clean("/"+folder), name) }
