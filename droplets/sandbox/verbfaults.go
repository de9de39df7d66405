package sandbox

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// verbMethod is the Method of faults that hit verbs.
const verbMethod = "SSH"

// exitCut is no exit status: the connection was cut, nobody is told one.
const exitCut = -1

// faulty runs a verb with the fault that hits it, if one does.
func (s *session) faulty(ctx context.Context, verb string) int {
	f := s.cloud.match(&http.Request{Method: verbMethod, URL: &url.URL{Path: "/" + verb}}, nil)
	if f.After {
		return s.faultyAfter(ctx, verb, f)
	}
	f.strike(false)
	if sleep(ctx, f.Delay) != nil {
		return 1
	}
	switch {
	case f.Reset:
		return exitCut
	case f.Status != 0 && strings.HasPrefix(verb, stateVerb):
		io.WriteString(s.stdout, f.Answer+"\n") // the program says there why it fails
		return f.Status
	case f.Status != 0:
		return s.fail(f.Status, "%s", f.Answer)
	case f.Answer != "":
		io.WriteString(s.stdout, f.Answer)
		return 0
	}
	return s.do(ctx, verb)
}

// faultyAfter lets the verb have its effect; half of what it says arrives.
func (s *session) faultyAfter(ctx context.Context, verb string, f Fault) int {
	var said bytes.Buffer
	out := s.stdout
	s.stdout = &said
	status := s.do(ctx, verb)
	f.strike(true)
	out.Write(said.Bytes()[:said.Len()/2])
	if sleep(ctx, f.Delay) != nil {
		return 1
	}
	switch {
	case f.Reset:
		return exitCut
	case f.Status != 0:
		return f.Status
	}
	out.Write(said.Bytes()[said.Len()/2:])
	return status
}
