package simulation

import (
	"cmp"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"testing"
	"time"

	"cattle/droplets/sandbox"
)

// verbMethod stands for the method in points that are verbs over SSH.
const verbMethod = "SSH"

// A Point is one call of a verb: the nth one of its route, or the nth time
// that a verb is asked of a droplet.
type Point struct {
	Method, Route string
	Nth           int
}

func (p Point) String() string { return fmt.Sprintf("%s %s #%d", p.Method, p.Route, p.Nth) }

// reads tells whether the call changes nothing.
func (p Point) reads() bool {
	switch p.Method {
	case http.MethodGet:
		return true
	case verbMethod:
		return slices.Contains([]string{"/status", "/journal", "/certificates", "/history", "/dpkg-query", "/state-writes", "/state-backups"}, p.Route)
	}
	return false
}

func (p Point) ssh() bool { return p.Method == verbMethod }

var variable = regexp.MustCompile(`/([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+(\.\d+)*|cattle:[^/]+)`)

func routeOf(urlPath string) string { return variable.ReplaceAllString(urlPath, "/*") }

// at has a fault hit the point, in the calls of agent. Verbs over SSH have no
// agent: they are anybody's.
func (p Point) at(f sandbox.Fault, agent string) sandbox.Fault {
	f.Method, f.Path, f.Nth = p.Method, path.Clean(p.Route), p.Nth
	if !p.ssh() {
		f.Agent = agent
	}
	return f
}

// points are the calls of the scene's verb when nothing goes wrong, and the
// verbs over SSH: what is seen counts, there is no list. Of a wait that looks
// again and again they have the first look and the last one.
func (th *theatre) points(t *testing.T, s *scene) (out []Point) {
	t.Helper()
	if th.known[s.name] != nil {
		return th.known[s.name]
	}
	th.begin(t, s, 1, func(b *Bench) {
		a := b.actor("op1")
		if s.trips != nil {
			s.trips(b)
		}
		r := b.perform(a, s.name, s.verb)
		b.rest()
		if (r.err != nil) != s.fails {
			t.Fatalf("%s: %v\n%s", s.name, r.err, b.History())
		}
		out = b.pointsOf("op1", r.began)
	})
	th.known[s.name] = out
	return out
}

type seen struct {
	at time.Time
	Point
}

func (b *Bench) pointsOf(agent string, since time.Time) (out []Point) {
	var all []seen
	for _, r := range b.Cloud.Requests() {
		if r.Agent == agent {
			all = append(all, seen{r.At, Point{Method: r.Method, Route: routeOf(r.Path)}})
		}
	}
	for _, c := range b.Cloud.Changes() {
		if c.What == sandbox.Ran && !c.At.Before(since) {
			all = append(all, seen{c.At, Point{Method: verbMethod, Route: "/" + c.Note}})
		}
	}
	slices.SortStableFunc(all, func(x, y seen) int { return cmp.Or(x.at.Compare(y.at), cmp.Compare(x.Route, y.Route)) })
	n := map[Point]int{}
	for _, one := range all {
		p := one.Point
		n[p]++
		p.Nth = n[p]
		if l := len(out); l > 1 && p.reads() && p.Route == out[l-1].Route && p.Route == out[l-2].Route {
			out = out[:l-1]
		}
		out = append(out, p)
	}
	return out
}
