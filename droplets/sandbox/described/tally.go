package described

import (
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"text/tabwriter"
)

// A Tally counts the answers of a process, and what is wrong with them.
type Tally struct {
	// AnswersOnly leaves requests alone: what other people's clients send is
	// their affair. Set before the first call.
	AnswersOnly bool

	d    *Description
	seed maphash.Seed

	mu     sync.Mutex
	counts map[Line]*Count
	seen   map[uint64]bool // shapes, and whether they were right
	faults map[string]bool
}

// A Line is a route and a status. Route is the description's, or a method and
// a path that it does not have.
type Line struct {
	Route  string
	Status int
}

// Count says how many answers there were, of how many shapes, and how many
// departed from the description.
type Count struct{ Answers, Shapes, Deviations int }

// process is the tally of this process; nil without a description.
var process = sync.OnceValues(func() (*Tally, error) {
	d, err := Load()
	if d == nil || err != nil {
		return nil, err
	}
	return d.NewTally(), nil
})

// NewTally begins to count.
func (d *Description) NewTally() *Tally {
	return &Tally{d: d, seed: maphash.MakeSeed(), counts: map[Line]*Count{}, seen: map[uint64]bool{}, faults: map[string]bool{}}
}

// Observer is what a sandbox of a test is given as Options.Observe: each call
// is counted in the tally of the process, whose verdict Main makes the
// verdict of the tests. Nil without a description.
func Observer() func(r *http.Request, body []byte, status int, h http.Header, answer []byte) {
	t, err := process()
	if err != nil {
		panic(err) // the variable is set and wrong: no test may pass
	}
	if t == nil {
		return nil
	}
	return t.Observe
}

// Observe holds one call against the description.
func (t *Tally) Observe(r *http.Request, body []byte, status int, h http.Header, answer []byte) {
	c := &call{Request: r, body: body, status: status, header: h, answer: answer}
	name, route, values := t.d.route(r.Method, r.URL.Path)
	shape := c.shape(t.seed, name)
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.counts[Line{name, status}]
	if n == nil {
		n = &Count{}
		t.counts[Line{name, status}] = n
	}
	n.Answers++
	right, known := t.seen[shape]
	if !known {
		n.Shapes++
		faults := t.d.check(c, route, values, !t.AnswersOnly)
		for _, fault := range faults {
			t.faults[fmt.Sprintf("%s → %d: %s", name, status, fault)] = true
		}
		right = len(faults) == 0
		t.seen[shape] = right
	}
	if !right {
		n.Deviations++
	}
}

// Faults are all deviations, sorted, each once.
func (t *Tally) Faults() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.faults))
}

// Counts are all lines so far.
func (t *Tally) Counts() map[Line]Count {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[Line]Count{}
	for l, n := range t.counts {
		out[l] = *n
	}
	return out
}

// Print writes the table of routes.
func (t *Tally) Print(w io.Writer) {
	counts := t.Counts()
	lines := slices.SortedFunc(maps.Keys(counts), func(a, b Line) int { return compare(a, b) })
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "route\tstatus\tanswers\tshapes\tdeviations")
	var sum Count
	for _, l := range lines {
		n := counts[l]
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\n", l.Route, l.Status, n.Answers, n.Shapes, n.Deviations)
		sum.Answers, sum.Shapes, sum.Deviations = sum.Answers+n.Answers, sum.Shapes+n.Shapes, sum.Deviations+n.Deviations
	}
	fmt.Fprintf(tw, "all\t\t%d\t%d\t%d\n", sum.Answers, sum.Shapes, sum.Deviations)
	tw.Flush()
}

// Main runs a package's tests, as its TestMain does, and fails them all if one
// answer was not as described. The table goes to standard output, which go
// test shows with -v.
func Main(m interface{ Run() int }) int {
	code := m.Run()
	t, err := process()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	case t == nil:
		fmt.Println(Variable + " is not set: no answer was held against the API's description")
		return code
	}
	t.Print(os.Stdout)
	if err := t.append(os.Getenv(TallyVariable)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	for _, f := range t.Faults() {
		fmt.Fprintln(os.Stderr, "not as described:", f)
		code = max(code, 1)
	}
	return code
}
