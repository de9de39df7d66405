package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// control is for other processes, on loopback and without a token:
//
//	GET    /_sandbox/requests        [{"method","path","query","status","at","body"}, …]
//	DELETE /_sandbox/requests        forgets them
//	GET    /_sandbox/state           what is there, see Snapshot
//	POST   /_sandbox/behaviour       {"release":"v1.2.0","kind":"never-healthy"}; "after" is a duration such as "30s"
//	POST   /_sandbox/faults          a Fault; "delay" and "stale" are durations such as "2s"
//	DELETE /_sandbox/faults          takes all back
//	POST   /_sandbox/images/missing  {"reference":"ghcr.io/me/blog:v9"}
//	POST   /_sandbox/images/login    {"host":"ghcr.io","username":"me","password":"…"}
//	POST   /_sandbox/relay           {"away":true}: the mail relay takes nothing, until it is false
//	POST   /_sandbox/updates         packages of the distribution have updates from now on
//
// A POST answers 204, or 400 with {"message"}; behaviour, images, relay and updates
// are of stub machines alone.
func (c *Cloud) control(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxBody))
	var answer any
	var err error
	if c.real() && stubOnly(r.URL.Path) {
		write(w, badRequest(errReal.Error()))
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /_sandbox/requests":
		answer = c.Requests()
	case "DELETE /_sandbox/requests":
		c.ResetRequests()
	case "GET /_sandbox/state":
		answer = c.Snapshot()
	case "POST /_sandbox/behaviour":
		err = c.controlBehaviour(body)
	case "POST /_sandbox/faults":
		err = c.controlFault(body)
	case "DELETE /_sandbox/faults":
		c.ClearFaults()
	case "POST /_sandbox/images/missing":
		err = c.controlMissing(body)
	case "POST /_sandbox/updates":
		c.PublishUpdates()
	case "POST /_sandbox/relay":
		err = c.controlRelay(body)
	case "POST /_sandbox/images/login":
		err = c.controlLogin(body)
	default:
		write(w, notFound())
		return
	}
	switch {
	case err != nil:
		write(w, badRequest(err.Error()))
	case answer != nil:
		write(w, ok(answer))
	default:
		write(w, noContent())
	}
}

func stubOnly(path string) bool {
	return path == "/_sandbox/behaviour" || path == "/_sandbox/updates" || path == "/_sandbox/relay" || strings.HasPrefix(path, "/_sandbox/images/")
}

func (c *Cloud) controlBehaviour(body []byte) error {
	var in struct {
		Release string `json:"release"`
		Behaviour
		After span `json:"after"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return err
	}
	in.Behaviour.After = time.Duration(in.After)
	if err := in.Behaviour.check(); err != nil {
		return err
	}
	c.Break(in.Release, in.Behaviour)
	return nil
}

func (c *Cloud) controlFault(body []byte) error {
	var in struct {
		Fault
		Delay span `json:"delay"`
		Stale span `json:"stale"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return err
	}
	in.Fault.Delay, in.Fault.Stale = time.Duration(in.Delay), time.Duration(in.Stale)
	c.Fault(in.Fault)
	return nil
}

func (c *Cloud) controlMissing(body []byte) error {
	var in struct {
		Reference string `json:"reference"`
	}
	err := json.Unmarshal(body, &in)
	if err == nil {
		c.MissingImage(in.Reference)
	}
	return err
}

func (c *Cloud) controlRelay(body []byte) error {
	var in struct{ Away bool }
	err := json.Unmarshal(body, &in)
	if err == nil {
		c.RelayAway(in.Away)
	}
	return err
}

func (c *Cloud) controlLogin(body []byte) error {
	var in struct{ Host, Username, Password string }
	err := json.Unmarshal(body, &in)
	if err == nil {
		c.RegistryLogin(in.Host, in.Username, in.Password)
	}
	return err
}

// span is a duration in JSON: "1m30s", or nanoseconds.
type span time.Duration

func (s *span) UnmarshalJSON(b []byte) error {
	var word string
	if json.Unmarshal(b, &word) != nil {
		return json.Unmarshal(b, (*int64)(s))
	}
	d, err := time.ParseDuration(word)
	*s = span(d)
	return err
}
