package droplets

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clockTolerance is how far this computer's clock may be from the API's and
// still be taken as it is: the API's Date has whole seconds, and an answer is
// under way for some of them when it was sent again.
const clockTolerance = 5 * time.Second

// A clock tells the cloud's time. Leases and ends of standbys stand in tags,
// written by one operator and read by another: by their own clocks, one that
// is an hour ahead would take a release under way for one that was left
// behind. So all go by the clock that they share, which every answer of the
// API shows in its Date header (RFC 9110, 6.6.1). Safe for concurrent use.
type clock struct{ ahead atomic.Int64 } // of this computer's clock, nanoseconds

// hear corrects the clock by an answer of the API's.
func (c *clock) hear(resp *http.Response) {
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return
	}
	ahead := time.Until(date)
	if ahead.Abs() < clockTolerance {
		ahead = 0
	}
	c.ahead.Store(int64(ahead))
}

// now is the cloud's time, by the latest answer; before the first one, this
// computer's. It carries no monotonic reading: it is for the calendar.
func (c *clock) now() time.Time {
	return time.Now().Add(time.Duration(c.ahead.Load())).Round(0)
}
