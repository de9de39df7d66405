package droplets

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A WaitError says what a wait had waited for when its time was up.
type WaitError struct {
	For  string
	Took time.Duration
	Last error // the last look's failure, or nil
}

func (e *WaitError) Error() string {
	s := fmt.Sprintf("waited %s for %s", e.Took.Round(time.Second), e.For)
	if e.Last != nil {
		s += ": " + e.Last.Error()
	}
	return s
}

func (e *WaitError) Unwrap() error { return e.Last }

// errNoAnswer is why a look ends whose wait is over.
var errNoAnswer = errors.New("no answer")

// Wait looks until look says that it is done or fails for good. A look's
// error with done=false is remembered and looked over. pause gives the time to
// the next look from the time that has passed. Ends with *WaitError after
// within, also when a look itself does not come to an end: its context does.
func Wait(ctx context.Context, what string, within time.Duration, pause func(passed time.Duration) time.Duration, look func(context.Context) (done bool, err error)) error {
	start := time.Now()
	bounded, cancel := context.WithTimeoutCause(ctx, within, errNoAnswer)
	defer cancel()
	var last error
	for {
		done, err := look(bounded)
		if done {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if bounded.Err() == nil || last == nil {
			last = err
		}
		passed := time.Since(start)
		if passed >= within {
			return &WaitError{For: what, Took: passed, Last: last}
		}
		if serr := sleep(ctx, min(pause(passed), within-passed)); serr != nil {
			return serr
		}
	}
}

// Every is a pause that does not change.
func Every(d time.Duration) func(time.Duration) time.Duration {
	return func(time.Duration) time.Duration { return d }
}

// Around looks rarely until the thing is due and closely from then on: few
// requests, and little time lost. expected is how long it took the last time;
// 0 means that nobody knows: then it looks closely at first and seldom later.
func Around(expected, closely time.Duration) func(time.Duration) time.Duration {
	if expected <= 0 {
		return func(passed time.Duration) time.Duration { return min(max(passed/2, closely), 3*closely) }
	}
	return func(passed time.Duration) time.Duration {
		left := expected - passed
		if left <= closely {
			// Twice as long as expected: it is not coming at once any more.
			if -left > expected {
				return 3 * closely
			}
			return max(left, closely)
		}
		return max(left/2, closely)
	}
}
