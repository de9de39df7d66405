package probe

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Prober{}
		if p.Timeline(10) != nil {
			t.Error("a timeline of nothing")
		}
		start := time.Now()
		for i := range 10 {
			time.Sleep(time.Second)
			took := 100 * time.Millisecond
			if i == 7 {
				took = 700 * time.Millisecond
			}
			p.record(Sample{Asked: time.Now().Add(-took), Answered: i != 3, Said: string(rune('a' + i))})
		}
		slices := p.Timeline(5)
		if len(slices) != 5 || slices[0].From.Sub(start) != 900*time.Millisecond {
			t.Fatalf("%+v", slices)
		}
		requests, failed := 0, 0
		for _, s := range slices {
			requests, failed = requests+s.Requests, failed+s.Failed
		}
		if requests != 10 || failed != 1 || slices[3].Slowest != 700*time.Millisecond || slices[0].Slowest != 100*time.Millisecond || slices[4].Said != "j" {
			t.Errorf("%+v", slices)
		}
	})
}
