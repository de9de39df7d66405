package probe

import "time"

// A Slice is what a prober saw in one stretch of its time. A request belongs to
// the stretch in which it was asked.
type Slice struct {
	From     time.Time
	Requests int
	Failed   int
	Slowest  time.Duration // of those that were answered
	Said     string        // the last answer that is one word, "" for none
}

// Timeline cuts the time from the first request to the last one's end into n
// slices of the same length; none where nothing was asked.
func (p *Prober) Timeline(n int) []Slice {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.samples) == 0 || n < 1 {
		return nil
	}
	from, to := p.samples[0].Asked, p.samples[0].Ended
	for _, s := range p.samples {
		if s.Asked.Before(from) {
			from = s.Asked
		}
		if s.Ended.After(to) {
			to = s.Ended
		}
	}
	step := to.Sub(from)/time.Duration(n) + 1
	out := make([]Slice, n)
	for i := range out {
		out[i].From = from.Add(time.Duration(i) * step)
	}
	for _, s := range p.samples {
		one := &out[s.Asked.Sub(from)/step]
		one.Requests++
		if !s.Answered {
			one.Failed++
			continue
		}
		if s.Said != "" {
			one.Said = s.Said
		}
		one.Slowest = max(one.Slowest, s.Ended.Sub(s.Asked))
	}
	return out
}
