package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// trafficWindow is how far the verb traffic looks back.
	trafficWindow = 10 * time.Minute
	// restartEvery is how often a service restarts that does so all the time.
	restartEvery = 5 * time.Second
	trafficPath  = "/opt/cattle/traffic"
)

// An accessLog is nginx's of one droplet: the visitors' requests by the second,
// for the figures, and each request of anybody, for those who read it.
type accessLog struct {
	seconds []servedSecond // in the order of time
	asked   int            // requests since FailsSome began

	served, rotated []servedRequest // access.log and access.log.1
	written         int             // requests in all, for their ids
}

// rotateAt is how many requests are kept in a log, before it becomes the one
// that was rotated.
const rotateAt = 10_000

// A servedRequest is one that nginx has answered.
type servedRequest struct {
	at                       time.Time
	from, method, uri, proto string
	agent, host              string
	status, size             int
	number                   int
	app                      bool // it was passed to the app
}

func (l *accessLog) write(r servedRequest) {
	if len(l.served) >= rotateAt {
		l.rotated, l.served = l.served, nil
	}
	l.written++
	r.number = l.written
	l.served = append(l.served, r)
}

// lines are requests in the format that a droplet's nginx.conf gives it.
func (l *accessLog) lines(served []servedRequest) []string {
	out := make([]string, len(served))
	for i, r := range served {
		out[i] = fmt.Sprintf(`%s - - [%s] "%s %s %s" %d %d "-" "%s" %s %032x 0.001 0.001`, r.from, r.at.UTC().Format("02/Jan/2006:15:04:05 -0700"),
			r.method, nginxEscape(r.uri), r.proto, r.status, r.size, nginxEscape(r.agent), nginxEscape(r.host), r.number)
	}
	return out
}

// nginxEscape writes quotes, backslashes and all that is not plain ASCII as
// \xXX, which is what nginx's log_format does by default.
func nginxEscape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' || c < ' ' || c > '~' {
			fmt.Fprintf(&b, `\x%02X`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
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

// log notes a request; the operator's checks are none of the visitors'.
func (s *site) log(r *http.Request, w *loggedWriter) {
	now := s.cloud.lock()
	defer s.cloud.unlock()
	d := s.cloud.droplet(s.droplet)
	if d == nil {
		return
	}
	log := s.cloud.logOf(d)
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	log.write(servedRequest{at: now, from: from, method: r.Method, uri: r.RequestURI, proto: r.Proto, agent: cmp.Or(r.UserAgent(), "-"),
		host: hostname(r.Host), status: w.status, size: w.size, app: w.app})
	if r.UserAgent() != "cattle" {
		log.add(now, w.status >= http.StatusInternalServerError)
	}
}

// loggedWriter remembers what was answered.
type loggedWriter struct {
	http.ResponseWriter
	status, size int
	app          bool
}

func (w *loggedWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *loggedWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.size += n
	return n, err
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
