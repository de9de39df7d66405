package release

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestWorse goes along the edges of each rule.
func TestWorse(t *testing.T) {
	web := func(s service) map[string]service { return map[string]service{"web": s} }
	quiet := figures{requests: 2000}
	tests := []struct {
		name     string
		old, now figures
		want     string // "": not worse
	}{
		{"nothing known", figures{}, figures{}, ""},
		{"two misses", quiet, figures{misses: 2, missed: errors.New("500")}, ""},
		{"three misses", quiet, figures{misses: 3, missed: errors.New("answered 500")}, "3 times in a row: answered 500"},
		{"few requests", quiet, figures{requests: 19, errors: 19}, ""},
		{"few errors", quiet, figures{requests: 20, errors: 4}, ""},
		{"a quarter fails", quiet, figures{requests: 20, errors: 5}, "5 of 20 requests failed; before: 0 of 2000"},
		{"one in a hundred, which is the point", quiet, figures{requests: 2000, errors: 20}, ""},
		{"chance", quiet, figures{requests: 2000, errors: 34}, ""},
		{"beyond chance", quiet, figures{requests: 2000, errors: 35}, "35 of 2000"},
		{"as bad as before", figures{requests: 2000, errors: 200}, figures{requests: 2000, errors: 200}, ""},
		{"twice as bad", figures{requests: 2000, errors: 200}, figures{requests: 2000, errors: 400}, ""},
		{"much worse", figures{requests: 2000, errors: 200}, figures{requests: 2000, errors: 470}, "470 of 2000"},
		{"better", figures{requests: 2000, errors: 200}, figures{requests: 2000, errors: 3}, ""},
		{"old silent, a tenth fails", figures{}, figures{requests: 200, errors: 20}, ""},
		{"old silent, a quarter fails", figures{}, figures{requests: 200, errors: 50}, "50 of 200"},
		{"old hardly asked", figures{requests: 5}, figures{requests: 200, errors: 10}, ""},
		{"one restart", quiet, figures{services: web(service{restarts: 1, over: time.Minute})}, ""},
		{"two restarts", quiet, figures{services: web(service{restarts: 2, over: time.Minute})}, "service web restarted 2 times"},
		{"it always restarted", figures{services: web(service{restarts: 60, over: time.Hour})}, figures{services: web(service{restarts: 10, over: 5 * time.Minute})}, ""},
		{"it restarts more", figures{services: web(service{restarts: 60, over: time.Hour})}, figures{services: web(service{restarts: 11, over: 5 * time.Minute})}, "11 times in 5m"},
		{"down twice", quiet, figures{services: web(service{down: 2, why: errors.New("exited")})}, ""},
		{"down", quiet, figures{services: web(service{down: 3, why: errors.New("service web exited")})}, "service web exited"},
		{"down before too", figures{services: web(service{down: 1})}, figures{services: web(service{down: 9, why: errors.New("x")})}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := worse(tt.old, tt.now); err != nil {
				got = err.Error()
			}
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestFiguresAdd: what counts is what came after the first sample.
func TestFiguresAdd(t *testing.T) {
	sample := func(restarts int, over time.Duration, down int) figures {
		return figures{requests: restarts, services: map[string]service{"web": {restarts: restarts, over: over, down: down}}}
	}
	first := sample(7, time.Minute, 0)
	var now figures
	now.add(first, first)
	if s := now.services["web"]; s.restarts != 0 || s.over != 0 || s.down != 0 {
		t.Errorf("after the first sample: %+v", s)
	}
	for i := range 3 {
		now.add(sample(9, 2*time.Minute, 1), first)
		if s := now.services["web"]; s.restarts != 2 || s.over != time.Minute || s.down != i+1 {
			t.Errorf("sample %d: %+v", i, s)
		}
	}
	now.add(sample(1, 3*time.Minute, 0), first)
	if s := now.services["web"]; s.restarts != 0 || s.down != 0 {
		t.Errorf("its containers were made anew: %+v", s)
	}
	for range downInRow {
		now.add(figures{}, first)
	}
	if err := worse(figures{}, now); err == nil || !strings.Contains(err.Error(), "service web does not run") {
		t.Errorf("its containers are gone: %v", err)
	}
}
