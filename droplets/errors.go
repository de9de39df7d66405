package droplets

import (
	"errors"
	"fmt"
	"net/http"
)

// An APIError is an answer of the API that is not a success.
type APIError struct {
	Op        string // what was asked, in words: "create droplet blog-v1-…"
	Status    int    // HTTP status
	Message   string // the API's own words; callers branch on Status, never on these
	RequestID string
}

func (e *APIError) Error() string {
	s := fmt.Sprintf("%s: the API answered %d: %s", e.Op, e.Status, e.Message)
	if e.RequestID != "" {
		s += " (request " + e.RequestID + ")"
	}
	return s
}

// NoAnswer means that the API was asked and nothing came back: whether the
// request was carried out is open.
type NoAnswer struct {
	Op  string // as in APIError
	Err error
}

func (e *NoAnswer) Error() string { return e.Op + ": " + e.Err.Error() }

func (e *NoAnswer) Unwrap() error { return e.Err }

// StatusOf is the HTTP status that the API answered with; 0 when it did not
// answer, which leaves open whether the request was carried out.
func StatusOf(err error) int {
	var api *APIError
	if errors.As(err, &api) {
		return api.Status
	}
	return 0
}

// NotFound tells that what was asked for is not there (or not yet listed).
func NotFound(err error) bool { return StatusOf(err) == http.StatusNotFound }

// Uncertain tells that the request may have been carried out all the same: no
// answer of the API came, or a server broke after it began. Who sees one looks
// again.
func Uncertain(err error) bool {
	s := StatusOf(err)
	return err != nil && (s < 400 || s >= 500)
}

// Busy tells that the API refused for now: 422 stands for a pending event on
// the droplet as well as for plain bad input, so callers bound their retries.
func Busy(err error) bool { return StatusOf(err) == http.StatusUnprocessableEntity }
