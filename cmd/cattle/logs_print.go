package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cattle/droplets"
	"cattle/droplets/look"
	"cattle/droplets/release"
)

// A logPrinter writes lines in one format, whatever they come from.
type logPrinter struct {
	std         stdio
	asJSON, raw bool
	names       []string
	droplet     string
	err         error // of the first write that failed
}

type logJSON struct {
	Type    string    `json:"message_type"`
	Time    time.Time `json:"time"`
	Droplet string    `json:"droplet"`
	Name    string    `json:"name"`
	Line    string    `json:"line"`
}

func (p *logPrinter) print(e look.Entry) {
	if p.err != nil {
		return
	}
	if p.asJSON {
		p.err = writeJSON(p.std.out, logJSON{"log", e.Time.UTC(), p.droplet, e.Name, e.Line})
		return
	}
	width := 0
	for _, n := range p.names {
		width = max(width, len(n))
	}
	head := fmt.Sprintf("%s %-*s |", e.Time.UTC().Format(time.RFC3339), width, e.Name)
	text := e.Line
	if !p.raw {
		head, text = droplets.Line(head), droplets.Printable(text)
	}
	if p.std.outTTY && p.std.env("NO_COLOR") == "" && p.std.env("TERM") != "dumb" {
		head = fmt.Sprintf("\x1b[%dm%s\x1b[0m", p.colour(e.Name), head)
	}
	_, p.err = fmt.Fprintln(p.std.raw.out, head, strings.TrimSuffix(text, "\n"))
}

// colour is one of six that can be told apart on light and on dark.
func (p *logPrinter) colour(name string) int {
	return []int{36, 33, 32, 35, 34, 31}[max(0, slices.Index(p.names, name))%6]
}

// notice tells something that is no line of a log.
func (p *logPrinter) notice(text string) {
	if p.asJSON {
		jsonPrinter{p.std.out}.event(release.Event{Time: time.Now(), Kind: release.KindNotice, Text: text})
		return
	}
	fmt.Fprintf(p.std.err, "cattle: %s\n", text)
}
