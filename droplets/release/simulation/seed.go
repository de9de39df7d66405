package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A stage knows the points of the scenes, from which random schedules choose.
type stage struct {
	scenes []*scene
	points map[string][]Point
	// troubles by how often they are to come: crashes and faults more than hands.
	troubles [][]trouble
}

// storm makes the schedule of a seed: a scene, up to three operators, and up
// to four things that go wrong.
func (st *stage) storm(seed uint64) *schedule {
	r := rand.New(rand.NewPCG(seed, 1))
	s := st.scenes[r.IntN(len(st.scenes))]
	out := &schedule{kind: "storm of a seed", scene: s, seed: seed, then: []string{"gc", "release", "rollback"}[r.IntN(3)], random: true}
	out.parts = []part{{verb: s.verb, name: s.name}}
	if s.ends {
		out.parts[0].name = "destroy"
	}
	for n := [...]int{0, 0, 1, 1, 2}[r.IntN(5)]; n > 0 && !s.ends; n-- {
		out.parts = append(out.parts, other(r, len(out.parts)))
	}
	for n := r.IntN(4) + 1; n > 0; n-- {
		out.wrong = append(out.wrong, st.wrong(r, s, len(out.parts)))
	}
	return out
}

// other is what somebody else does meanwhile.
func other(r *rand.Rand, i int) part {
	version := fmt.Sprintf("v%d", 3+i)
	p := []part{
		{verb: Releases(version), name: "release " + version}, {verb: Releases(version), name: "release " + version},
		{verb: RollsBack, name: "rollback"}, {verb: Collects, name: "gc"}, {verb: Bakes, name: "bake"}, {verb: Rebuilds, name: "rebuild"},
	}[r.IntN(6)]
	p.after = time.Duration(r.Int64N(int64(45 * time.Second)))
	return p
}

func (st *stage) wrong(r *rand.Rand, s *scene, parts int) wrong {
	op := r.IntN(parts)
	points := st.points[s.name]
	if op > 0 {
		points = st.points["release"]
	}
	for {
		at := points[r.IntN(len(points))]
		kind := st.troubles[r.IntN(len(st.troubles))]
		t := kind[r.IntN(len(kind))]
		if t.fits == nil || t.fits(at) {
			return wrong{t, at, op}
		}
	}
}
