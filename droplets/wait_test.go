package droplets_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets"
)

func TestWaitNamesWhatItWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look := func(context.Context) (bool, error) { return false, errors.New("still off") }
		start := time.Now()
		err := droplets.Wait(t.Context(), "droplet 7 to wake", time.Minute, droplets.Every(7*time.Second), look)
		var late *droplets.WaitError
		if !errors.As(err, &late) || !strings.Contains(err.Error(), "waited 1m0s for droplet 7 to wake: still off") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("took %s", took)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		err := droplets.Wait(ctx, "x", time.Hour, droplets.Every(time.Minute), func(context.Context) (bool, error) { return false, nil })
		if !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
	})
}

// TestAround counts the looks at something that takes as long as expected, and
// how late it is seen.
func TestAround(t *testing.T) {
	const closely = time.Second
	tests := []struct {
		name           string
		expected, real time.Duration
		looks          int
		late           time.Duration
	}{
		{"as expected", 30 * time.Second, 30 * time.Second, 8, closely},
		{"a little longer", 30 * time.Second, 33 * time.Second, 12, closely},
		{"much faster", 60 * time.Second, 20 * time.Second, 3, 11 * time.Second},
		{"unknown", 0, 30 * time.Second, 15, 3 * closely},
		{"much longer: seldom again", 10 * time.Second, 100 * time.Second, 60, 3 * closely},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pause, passed, looks := droplets.Around(tt.expected, closely), time.Duration(0), 1
			for passed < tt.real {
				passed += pause(passed)
				looks++
			}
			if looks > tt.looks || passed-tt.real > tt.late {
				t.Errorf("%d looks, %s late; want %d, %s", looks, passed-tt.real, tt.looks, tt.late)
			}
		})
	}
}

// TestWaitEndsALook: a look that never comes to an end is one that waits too long.
func TestWaitEndsALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		look := func(ctx context.Context) (bool, error) {
			if looks++; looks == 1 {
				return false, errors.New("still off")
			}
			<-ctx.Done()
			return false, ctx.Err()
		}
		start := time.Now()
		err := droplets.Wait(t.Context(), "droplet 7 to wake", time.Minute, droplets.Every(7*time.Second), look)
		var late *droplets.WaitError
		if !errors.As(err, &late) || !strings.Contains(err.Error(), "still off") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("took %s", took)
		}
	})
}
