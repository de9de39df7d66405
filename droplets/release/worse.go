package release

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"cattle/droplets"
)

// The rules by which a watched release is worse than what served before. Each
// number is a compromise: a release that is taken back for nothing costs its
// operator an hour, one that is bad costs the visitors theirs.
const (
	// missesInRow of the health check, at its own interval: one is a lost
	// packet, two are a restart that was quick.
	missesInRow = 3
	// downInRow is how many samples in a row find a service down: Docker's own
	// restarts take one or two of them.
	downInRow = 3
	// fewRequests prove nothing, and fewErrors may be one visitor who tries again.
	fewRequests = 20
	fewErrors   = 5
	// sameFactor and samePoint are how much larger the share of failed requests
	// may be: twice, which is what a site's days differ by, or one point where
	// twice of next to nothing is nothing.
	sameFactor = 2.0
	samePoint  = 0.01
	// sigmas are the standard deviations that chance is given. The figures are
	// looked at again and again, so it is given three of them.
	sigmas = 3.0
	// fewRestarts: one may have been the last of the start.
	fewRestarts = 2
)

// figures are what a site is judged by.
type figures struct {
	misses           int   // health checks that failed, in a row
	missed           error // what the last one said
	requests, errors int   // of visitors, lately; answers of 500 and more
	services         map[string]service
}

// service is a compose service, all its containers together.
type service struct {
	restarts int           // in so much time
	over     time.Duration // in which they were counted
	down     int           // samples in a row that found it down
	why      error
}

// figuresOf is one sample. A droplet may say anything.
func figuresOf(t droplets.Traffic) figures {
	f := figures{requests: max(0, t.Requests), errors: max(0, t.Errors), services: map[string]service{}}
	for _, c := range t.Containers {
		s := f.services[c.Name]
		s.restarts += max(0, c.Restarts)
		s.over = max(s.over, time.Duration(c.Age)*time.Second)
		if err := serviceUp(c.Service); err != nil {
			s.down, s.why = 1, err
		}
		f.services[c.Name] = s
	}
	return f
}

// add takes a sample in: what counts is what came after the first one, for an
// app may restart until its database is there.
func (f *figures) add(seen, first figures) {
	f.requests, f.errors = seen.requests, seen.errors
	now := map[string]service{}
	for name, s := range seen.services {
		s.restarts = max(0, s.restarts-first.services[name].restarts)
		s.over = max(0, s.over-first.services[name].over)
		if s.down > 0 {
			s.down += f.services[name].down
		}
		now[name] = s
	}
	for name := range first.services {
		if _, there := seen.services[name]; !there {
			now[name] = service{down: f.services[name].down + 1, why: fmt.Errorf("service %s does not run", droplets.Printable(name))}
		}
	}
	f.services = now
}

// worse is why a release is worse than the one that served before, or nil.
// Where old is empty, because nobody could tell, what is wrong in itself counts.
func worse(old, now figures) error {
	if now.misses >= missesInRow {
		return fmt.Errorf("the health check failed %d times in a row: %w", now.misses, now.missed)
	}
	for _, name := range slices.Sorted(maps.Keys(now.services)) {
		if err := worseService(name, old.services[name], now.services[name]); err != nil {
			return err
		}
	}
	return worseShare(old, now)
}

func worseService(name string, old, now service) error {
	if now.down >= downInRow && old.down == 0 {
		return now.why
	}
	expected := 0.0
	if old.over > 0 {
		expected = float64(old.restarts) * now.over.Seconds() / old.over.Seconds()
	}
	if now.restarts >= fewRestarts && float64(now.restarts) > sameFactor*expected {
		return fmt.Errorf("service %s restarted %d times in %s; before: %d times in %s",
			droplets.Printable(name), now.restarts, brief(now.over), old.restarts, brief(old.over))
	}
	return nil
}

// worseShare compares the shares of failed requests. The old one is taken as
// if one more request of twenty had failed: few requests prove little, and none
// allow for a share of a tenth.
func worseShare(old, now figures) error {
	if now.requests < fewRequests || now.errors < fewErrors {
		return nil
	}
	share := float64(old.errors+1) / float64(old.requests+fewRequests)
	expected := max(sameFactor*share, share+samePoint) * float64(now.requests)
	if float64(now.errors) <= expected+sigmas*math.Sqrt(expected) {
		return nil
	}
	return fmt.Errorf("%d of %d requests failed; before: %d of %d", now.errors, now.requests, old.errors, old.requests)
}
