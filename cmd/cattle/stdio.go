package main

import (
	"io"
	"sync"
	"unicode/utf8"

	"cattle/cmd/cattle/page"
	"cattle/droplets"
)

// stdio is everything that a command touches of its process.
type stdio struct {
	in io.Reader
	// out and err take text for people and JSON for programs, and let nothing
	// through that a terminal would obey: a cloud, a registry or a droplet may
	// have written it.
	out, err io.Writer
	// raw is for those alone who draw, and who clean what they are given, and
	// for what is not text: user-data, a session on a droplet.
	raw                   rawStreams
	env                   func(string) string
	inTTY, outTTY, errTTY bool
	size                  func() (columns, rows int) // of the reader's terminal
	remedy                *remedy                    // see interruptible
	record                *page.Record               // for the page of --report; nil: none
	crier                 *crier                     // for those whom `notify` names; nil: none
}

type rawStreams struct{ out, err io.Writer }

func newStdio(in io.Reader, out, err io.Writer) stdio {
	return stdio{in: in, out: &printable{w: out}, err: &printable{w: err}, raw: rawStreams{out, err}}
}

// columns is the width of the reader's terminal, 0 where there is none.
func (std stdio) columns() int {
	if !std.errTTY {
		return 0
	}
	columns, _ := std.size()
	return columns
}

// printable writes what droplets.Printable makes of the text. It may be used
// from several goroutines; each Write stays whole.
type printable struct {
	w    io.Writer
	mu   sync.Mutex
	rest []byte // the beginning of a character whose end is in the next Write
}

func (p *printable) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := append(p.rest, b...)
	whole := len(text)
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if tail := text[len(text)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				whole = len(text) - i
			}
			break
		}
	}
	p.rest = append([]byte(nil), text[whole:]...)
	if _, err := io.WriteString(p.w, droplets.Printable(string(text[:whole]))); err != nil {
		return 0, err
	}
	return len(b), nil
}
