package sandbox

import (
	"encoding/json"
	"net/http"
	"time"
)

const (
	// trafficWindow is how far the verb traffic looks back.
	trafficWindow = 10 * time.Minute
	// restartEvery is how often a service restarts that does so all the time.
	restartEvery = 5 * time.Second
	trafficPath  = "/opt/cattle/traffic"
)

// An accessLog is what the visitors of one droplet got, by the second: nginx's
// own log, of which only the figures are asked for.
type accessLog struct {
	seconds []servedSecond // in the order of time
	asked   int            // requests since FailsSome began
}

type servedSecond struct {
	unix             int64
	requests, errors int
}

// logOf is the droplet's log. The cloud must be locked.
func (c *Cloud) logOf(d *droplet) *accessLog {
	l := c.logs[d.ID]
	if l == nil {
		l = &accessLog{}
		c.logs[d.ID] = l
	}
	return l
}

func (l *accessLog) add(now time.Time, failed bool) {
	if n := len(l.seconds); n == 0 || l.seconds[n-1].unix != now.Unix() {
		l.seconds = append(l.recent(now), servedSecond{unix: now.Unix()})
	}
	last := &l.seconds[len(l.seconds)-1]
	last.requests++
	if failed {
		last.errors++
	}
}

func (l *accessLog) recent(now time.Time) []servedSecond {
	since := now.Add(-trafficWindow).Unix()
	for i, s := range l.seconds {
		if s.unix >= since {
			return l.seconds[i:]
		}
	}
	return nil
}

// log notes a request, unless it is one of the operator's checks.
func (s *site) log(r *http.Request, failed bool) {
	if r.UserAgent() == "cattle" {
		return
	}
	now := s.cloud.lock()
	defer s.cloud.unlock()
	if d := s.cloud.droplet(s.droplet); d != nil {
		s.cloud.logOf(d).add(now, failed)
	}
}

// loggedWriter remembers whether an answer was the server's failure.
type loggedWriter struct {
	http.ResponseWriter
	failed bool
}

func (w *loggedWriter) WriteHeader(status int) {
	w.failed = status >= http.StatusInternalServerError
	w.ResponseWriter.WriteHeader(status)
}

// traffic prints what visitors got lately, and how often containers have
// restarted, where user-data brought the script for it.
func (s *session) traffic() int {
	var v obj
	s.with(func(d *droplet, now time.Time) {
		if _, there := s.cloud.seed(d).files[trafficPath]; there {
			v = s.cloud.traffic(d, now)
		}
	})
	if v == nil {
		return s.noVerb("traffic")
	}
	if json.NewEncoder(s.stdout).Encode(v) != nil {
		return 1
	}
	return 0
}

func (c *Cloud) traffic(d *droplet, now time.Time) obj {
	requests, errors := 0, 0
	for _, s := range c.logOf(d).recent(now) {
		requests, errors = requests+s.requests, errors+s.errors
	}
	v, b := c.vitals(d, now), c.behaviour(d)
	containers := c.services(d, v, now)
	for i, one := range containers {
		one["restarts"], one["age"] = 0, int(now.Sub(v.appAt).Seconds())
		if i == 0 && b.Kind == Restarts && b.begun(v.appAt, now) {
			one["restarts"] = 1 + int((now.Sub(v.appAt)-b.After)/restartEvery)
		}
	}
	return obj{"window": int(trafficWindow.Seconds()), "requests": requests, "errors": errors, "containers": containers}
}
