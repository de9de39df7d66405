package probe

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Stats is what a prober saw.
type Stats struct {
	Requests int           `json:"requests"`
	Failed   int           `json:"failed"`
	Gap      time.Duration `json:"longest_gap_ns"` // longest time from one answer to the next
	Slowest  time.Duration `json:"slowest_ns"`
}

// A Prober asks at a door at a fixed rate, each request on its own connection
// and none waiting for another, and keeps what came of it.
type Prober struct {
	door   Door
	path   string
	client *http.Client
	cancel context.CancelFunc
	done   chan struct{}
	// seen gets the body of each 200, and "" for what was none, in the order of
	// the answers.
	seen chan string

	mu      sync.Mutex
	samples []Sample
}

// A Sample is what became of one request. Answered is anything below 500; Said
// is the answer, where it is a word; Why, of one that was not answered, is what
// came instead.
type Sample struct {
	Asked, Ended time.Time
	Answered     bool
	Said         string
	Why          error
}

// aWord is the longest answer that a sample keeps, in bytes: an attempt's id
// has 16.
const aWord = 64

// Timeout is how long a request may take before it counts as failed.
const Timeout = 5 * time.Second

// Start asks for path every so often, until Stop or until ctx ends.
func Start(ctx context.Context, d Door, path string, every time.Duration) *Prober {
	ctx, cancel := context.WithCancel(ctx)
	p := &Prober{door: d, path: path, client: d.Client(), cancel: cancel, done: make(chan struct{}), seen: make(chan string, 64)}
	go p.loop(ctx, every)
	return p
}

func (p *Prober) loop(ctx context.Context, every time.Duration) {
	defer close(p.done)
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(every)
	defer tick.Stop()
	// A ticker drops what a busy computer misses; a visitor does not.
	for next := time.Now(); ; next = next.Add(every) {
		wg.Go(func() { p.ask(ctx) })
		if time.Now().After(next.Add(every)) {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Prober) ask(ctx context.Context) {
	start := time.Now()
	rctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	status, body, err := p.door.Get(rctx, p.client, p.path)
	if ctx.Err() != nil {
		// Stopped while it was asking: that is no answer and no failure.
		return
	}
	// Anything below 500 is an answer: a droplet that is not cattle's, from
	// which the reserved IP is moved away, knows no identity path.
	answered := err == nil && status < http.StatusInternalServerError
	if err != nil || status != http.StatusOK {
		body = ""
	}
	body = strings.TrimSpace(body)
	if !answered && err == nil {
		err = fmt.Errorf("the status was %d", status)
	}
	p.record(Sample{Asked: start, Answered: answered, Said: body, Why: err})
	select {
	case p.seen <- body:
	default:
	}
}

func (p *Prober) record(s Sample) {
	if len(s.Said) > aWord {
		s.Said = ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Ended = time.Now()
	p.samples = append(p.samples, s)
}

// Stop ends the probing and waits for what is under way. It may be called twice.
func (p *Prober) Stop() {
	p.cancel()
	<-p.done
}

// Stats sums up what was seen until now.
func (p *Prober) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Sum(p.samples, time.Now())
}

// Sum sums up what was seen since the first request that was answered: a site
// that nobody got before was not interrupted. The time from the last answer
// until then counts as a gap too.
func Sum(samples []Sample, until time.Time) Stats {
	var s Stats
	var answers []time.Time
	first := began(samples)
	for _, one := range samples {
		if one.Asked.Before(first) {
			continue
		}
		s.Requests++
		if !one.Answered {
			s.Failed++
			continue
		}
		answers = append(answers, one.Ended)
		s.Slowest = max(s.Slowest, one.Ended.Sub(one.Asked))
	}
	slices.SortFunc(answers, time.Time.Compare)
	for i := 1; i < len(answers); i++ {
		s.Gap = max(s.Gap, answers[i].Sub(answers[i-1]))
	}
	if n := len(answers); n > 0 {
		s.Gap = max(s.Gap, until.Sub(answers[n-1]))
	}
	return s
}

// began is when the first request that was answered was asked; zero without one.
func began(samples []Sample) (first time.Time) {
	for _, one := range samples {
		if one.Answered && (first.IsZero() || one.Asked.Before(first)) {
			first = one.Asked
		}
	}
	return first
}

// Samples are the requests that are over, in the order in which they were asked.
func (p *Prober) Samples() []Sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := slices.Clone(p.samples)
	slices.SortStableFunc(out, func(a, b Sample) int { return a.Asked.Compare(b.Asked) })
	return out
}

// Sees waits until the body was id n times in a row, in answers that come from
// now on: what was seen before may not be true any more.
func (p *Prober) Sees(ctx context.Context, id string, n int) error {
	for len(p.seen) > 0 {
		<-p.seen
	}
	for inRow := 0; inRow < n; {
		select {
		case got := <-p.seen:
			if inRow++; got != id {
				inRow = 0
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
