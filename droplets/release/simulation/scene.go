package simulation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets"
	"cattle/droplets/sandbox"
)

// quick are the latencies of schedules: orders overlap, and a droplet that is
// destroyed lives on for longer than an assign takes. A call's own latency is
// the wire's.
var quick = sandbox.Latency{Active: 30 * time.Second, Assign: 2 * time.Second, Delete: 9 * time.Second, Power: 4 * time.Second, Attach: 3 * time.Second}

// A scene is a site in a state, and a verb to begin there.
type scene struct {
	name   string
	verb   Verb
	before []string // releases that were put up
	keep   int      // standbys that the profile keeps, from now on
	break_ string   // this release answers 500 once it is live, or behaves as kind says
	kind   sandbox.Kind
	ends   bool         // the verb is there to take the site down
	fails  bool         // the verb is refused when nothing else goes wrong
	more   func(*Bench) // what else there is
	opens  func(*Bench) // what somebody has begun just before
	trips  func(*Bench) // what goes wrong in any case, unless the schedule has something else go wrong there
	site   func(*Bench) // what else is different in the profile, from the beginning
	// variant tells a scene most calls of which another one has too; written, one
	// in which somebody writes: it takes three times as long to play.
	variant, written bool
}

func scenes() []*scene {
	two := []string{"v1", "v2"}
	orphan := func(b *Bench) { b.Orphan("e") }
	baked := func(b *Bench) { b.MustBake("v1") }
	return append([]*scene{
		{name: "first release", keep: 1, verb: Releases("v3")},
		{name: "release", before: two, keep: 1, more: orphan, verb: Releases("v3")},
		{name: "release, keep 0", before: two, keep: 0, verb: Releases("v3")},
		{name: "release, two standbys", before: []string{"v0", "v1", "v2"}, keep: 2, verb: Releases("v3")},
		{name: "release, standby_for", before: two, keep: 1, verb: Releases("v3"), site: func(b *Bench) { b.Site.StandbyFor = 30 * 24 * time.Hour }},
		{name: "release, standby off", before: two, keep: 1, verb: Releases("v3"), more: standbyOff},
		{name: "release from a snapshot", before: two, keep: 1, verb: Releases("v3"), more: baked},
		{name: "release taken back", before: two, keep: 1, break_: "v3", fails: true, verb: Releases("v3")},
		{name: "release taken back, keep 0", before: two, keep: 0, break_: "v3", fails: true, verb: Releases("v3"), variant: true},
		{name: "first release taken back", keep: 1, break_: "v3", fails: true, verb: Releases("v3")},
		{name: "release, guarded", before: two, keep: 1, verb: Releases("v3"), site: guarded},
		{name: "release taken back, guarded", before: two, keep: 1, break_: "v3", fails: true, verb: Releases("v3"), site: guarded},
		{name: "release, watched", before: two, keep: 1, verb: Releases("v3"), site: watched},
		{name: "release, watched, gets worse", before: two, keep: 1, break_: "v3", kind: sandbox.FailsLater, fails: true, verb: Releases("v3"), site: watched},
		{name: "release, pinned", before: two, keep: 1, verb: Releases("v3"), more: rolledBack},
		{name: "release, a name more", before: two, keep: 1, verb: ReleasesAsking("v3"), more: certified, site: aNameMore, variant: true},
		{name: "release taken back, a name more", before: two, keep: 1, break_: "v3", fails: true, verb: ReleasesAsking("v3"), more: certified, site: aNameMore, variant: true},
		{name: "rebuild", before: two, keep: 1, verb: Rebuilds},
		{name: "rollback", before: two, keep: 1, verb: RollsBack},
		{name: "gc", before: two, keep: 0, more: orphan, verb: Collects},
		{name: "bake", before: two, keep: 1, more: baked, verb: Bakes},
		{name: "destroy", before: two, keep: 1, ends: true, verb: Destroys, more: func(b *Bench) { baked(b); orphan(b) }},
		{name: "release, hooked, refused", before: two, keep: 1, fails: true, verb: Releases("v3"), site: hooked(refuses, works), variant: true},
		{name: "release, hooked, hangs", before: two, keep: 1, fails: true, verb: Releases("v3"), site: hooked(hangs, works), variant: true},
		{name: "release, hooked, late trouble", before: two, keep: 1, fails: true, verb: Releases("v3"), site: hooked(works, hangs), variant: true},
		{name: "rollback, hooked", before: two, keep: 1, verb: RollsBack, site: hooked(refuses, works), variant: true},
		{name: "first release, surrounded", keep: 1, verb: Releases("v3"), site: surrounded, variant: true},
		{name: "release, surroundings differ", before: two, keep: 1, verb: Releases("v3"), site: surrounded, more: differs, variant: true},
		{name: "rollback, surroundings differ", before: two, keep: 1, verb: RollsBack, site: surrounded, more: differs, variant: true},
		{name: "first release, a wildcard", keep: 1, verb: Releases("v3"), site: wild, variant: true},
		{name: "release, renews a wildcard", before: two, keep: 1, verb: ReleasesAsking("v3"), site: wild, more: monthLeft, variant: true},
		{name: "release taken back, renews a wildcard", before: two, keep: 1, break_: "v3", fails: true, verb: ReleasesAsking("v3"), site: wild, more: monthLeft, variant: true},
		{name: "destroy, surrounded", before: two, keep: 1, ends: true, verb: Destroys, site: surrounded, variant: true},
	}, slices.Concat(undecided(), statefulScenes(), mailScenes())...)
}

func guarded(b *Bench) { b.Site.Guard = true }

// watched ends its watch in no moment in which it looks.
func watched(b *Bench) { b.Site.Watch = 2*time.Minute + 3*time.Second }

// rolledBack leaves the site at the version before, pinned.
func rolledBack(b *Bench) {
	if _, err := b.Rollback(b.T.Context(), ""); err != nil {
		b.T.Fatal(err)
	}
}

func standbyOff(b *Bench) {
	b.Post(fmt.Sprintf("/v2/droplets/%d/actions", b.standby()), map[string]string{"type": "power_off"})
}

// A theatre has the scenes ready: each is built once and begun again for every
// schedule.
type theatre struct {
	key Key

	mu     sync.Mutex
	states map[string][]byte
	known  map[string][]Point // see points
}

func newTheatre(t testing.TB) *theatre {
	return &theatre{key: NewKey(t), states: map[string][]byte{}, known: map[string][]Point{}}
}

// state is the cloud as the scene's verb finds it.
func (th *theatre) state(t *testing.T, s *scene) []byte {
	th.mu.Lock()
	defer th.mu.Unlock()
	if th.states[s.name] == nil {
		synctest.Test(t, func(t *testing.T) {
			WithBench(t, th.key, quick, func(b *Bench) { th.states[s.name] = s.build(b) })
		})
	}
	return th.states[s.name]
}

// build puts the site up, beside things of somebody else's, and lets all
// leases end.
func (s *scene) build(b *Bench) []byte {
	b.T.Helper()
	somebodyElse(b)
	if s.site != nil {
		s.site(b)
	}
	for _, v := range s.before {
		b.Site.Keep = len(s.before)
		b.Must(v)
		b.takesRows(v)
		time.Sleep(time.Minute)
	}
	b.Site.Keep = max(s.keep, 1)
	if len(s.before) > 2 && s.keep < 2 {
		b.T.Fatalf("%s: more standbys than are kept", s.name)
	}
	if s.more != nil {
		s.more(b)
	}
	if s.break_ != "" {
		b.Cloud.Break(s.break_, sandbox.Behaviour{Kind: cmp.Or(s.kind, sandbox.FailsLive)})
	}
	time.Sleep(LeaseOver)
	state, err := b.Cloud.State()
	if err != nil {
		b.T.Fatal(err)
	}
	return state
}

// begin runs f in a bubble in which the scene begins.
func (th *theatre) begin(t *testing.T, s *scene, seed uint64, f func(*Bench)) {
	t.Helper()
	state := th.state(t, s)
	synctest.Test(t, func(t *testing.T) {
		at, err := sandbox.StateTime(state)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(at))
		b := open(t, th.key, sandbox.Options{Latency: quick, State: state, Unlimited: true, Verb: verbTakes})
		defer b.Cloud.Close()
		defer b.verbs.Wait()
		b.Op = b.actor(calm).Operator
		b.Op.RunHook = calmly
		b.seed, b.ends = seed, s.ends
		b.tries, b.begun = 100, true // the scene's own attempts count from 1
		b.Site.Keep = s.keep
		if s.site != nil {
			s.site(b)
		}
		b.Before, b.beside = b.Cloud.Snapshot(), b.foreignAround()
		b.acked = b.rowsBefore()
		if s.opens != nil {
			s.opens(b)
		}
		b.startWriter("row")
		defer b.writer.end()
		f(b)
	})
}

// verbTakes differs from verb to verb: some are asked for in the same moment.
func verbTakes(verb string) time.Duration {
	return time.Duration(mix(sum(verb)) % uint64(time.Millisecond))
}

// What is in the account beside the site.
const (
	foreignTag  = "somebody:else"
	foreignName = "legacy"
)

// somebodyElse puts a droplet, a reserved IP, a snapshot and a tag into the
// account that are none of the app's.
func somebodyElse(b *Bench) {
	b.Post("/v2/droplets", map[string]any{"name": foreignName, "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64", "tags": []string{foreignTag}})
	time.Sleep(time.Minute)
	id := b.Cloud.Snapshot().Droplets[0].ID
	b.Post("/v2/reserved_ips", map[string]any{"droplet_id": id})
	time.Sleep(time.Minute)
	b.Post(fmt.Sprintf("/v2/droplets/%d/actions", id), map[string]string{"type": "snapshot", "name": foreignName})
	time.Sleep(time.Minute)
}

// foreign tells somebody else's droplet.
func foreign(d sandbox.Machine) bool {
	return !slices.ContainsFunc(d.Tags, func(t string) bool { return strings.HasPrefix(t, "cattle:") }) && d.Name == foreignName
}

// foreignIP tells an address that leads to somebody else's droplet.
func (b *Bench) foreignIP(s sandbox.Snapshot, ip string) bool {
	for _, r := range s.ReservedIPs {
		for _, d := range s.Droplets {
			if r.IP == ip && r.Droplet == d.ID && foreign(d) {
				return true
			}
		}
	}
	return false
}

// standby is the newest droplet of the site that served and is not live; 0 for none.
func (b *Bench) standby() int {
	s, id := b.Cloud.Snapshot(), 0
	live := b.holder(s)
	for _, d := range s.Droplets {
		if slices.Contains(d.Tags, droplets.ServedTag) && (live == nil || d.ID != live.ID) {
			id = max(id, d.ID)
		}
	}
	return id
}
