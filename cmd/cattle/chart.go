package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"cattle/droplets"
	"cattle/droplets/release/probe"
)

// chartColumns is how wide a chart is drawn: with its labels it stays below 80.
const chartColumns = 64

// blocks are eight heights of one character.
var blocks = []rune("▁▂▃▄▅▆▇█")

// bar is a value of 0 to top as one character; 0 is a space.
func bar(value, top float64) rune {
	if value <= 0 || top <= 0 {
		return ' '
	}
	i := int(value / top * float64(len(blocks)))
	return blocks[min(i, len(blocks)-1)]
}

// drawLoad shows what visitors got while releases went by: how many were
// answered, how slowly at worst, which failed, and by whom. names says what the
// attempts' ids stand for.
func drawLoad(load, identity []probe.Slice, names map[string]string) string {
	if len(load) < 2 {
		return ""
	}
	step := load[1].From.Sub(load[0].From)
	var most, failed int
	var slowest time.Duration
	for _, s := range load {
		most, failed, slowest = max(most, s.Requests), failed+s.Failed, max(slowest, s.Slowest)
	}
	var answered, slow, lost strings.Builder
	for _, s := range load {
		answered.WriteRune(bar(float64(s.Requests-s.Failed), float64(most)))
		slow.WriteRune(bar(s.Slowest.Seconds(), slowest.Seconds()))
		lost.WriteRune(map[bool]rune{true: 'X', false: '·'}[s.Failed > 0])
	}
	served, legend := drawServed(identity, names)
	var b strings.Builder
	fmt.Fprintf(&b, "a column is %s of requests\n", step.Round(100*time.Millisecond))
	fmt.Fprintf(&b, "answered  %s  %.0f a second at most\n", answered.String(), float64(most)/step.Seconds())
	fmt.Fprintf(&b, "slowest   %s  %d ms at most\n", slow.String(), slowest.Milliseconds())
	fmt.Fprintf(&b, "failed    %s  %d\n", lost.String(), failed)
	fmt.Fprintf(&b, "serves    %s  %s\n", served, legend)
	return b.String()
}

// drawServed gives each attempt a letter, in the order in which they served.
func drawServed(identity []probe.Slice, names map[string]string) (row, legend string) {
	var order, words []string
	var b strings.Builder
	for _, s := range identity {
		if s.Said == "" {
			b.WriteByte('?')
			continue
		}
		i := slices.Index(order, s.Said)
		if i < 0 {
			i = len(order)
			order = append(order, s.Said)
			name := names[s.Said]
			if name == "" {
				name = "attempt " + s.Said
			}
			words = append(words, fmt.Sprintf("%c %s", 'a'+i, name))
		}
		b.WriteByte(byte('a' + i))
	}
	return b.String(), strings.Join(words, ", ")
}

// drawBoot shows a boot step by step, as it overlapped.
func drawBoot(entries []droplets.JournalEntry) string {
	type row struct {
		name       string
		start, end int64 // unix milliseconds
		state      droplets.StepState
	}
	var rows []row
	var begin, end int64
	for _, e := range entries {
		if begin == 0 {
			begin = e.At
		}
		end = max(end, e.At)
		switch {
		case e.Step == droplets.BootStep:
		case e.State == droplets.StepRunning:
			rows = append(rows, row{e.Step, e.At, 0, e.State})
		default:
			for i := range rows {
				if rows[i].name == e.Step {
					rows[i].end, rows[i].state = e.At, e.State
				}
			}
		}
	}
	if end <= begin {
		return ""
	}
	column := func(at int64) int { return int((at - begin) * (chartColumns - 10) / (end - begin)) }
	var b strings.Builder
	for _, r := range rows {
		if r.end == 0 {
			r.end = end
		}
		from := column(r.start)
		length := max(1, column(r.end)-from)
		line := fmt.Sprintf("%-10s%s%s", droplets.Printable(r.name), strings.Repeat(" ", from), strings.Repeat("━", length))
		pad := strings.Repeat(" ", max(1, chartColumns+2-utf8.RuneCountInString(line)))
		fmt.Fprintf(&b, "%s%s%5.1f s", line, pad, float64(r.end-r.start)/1000)
		if r.state != droplets.StepOK {
			fmt.Fprintf(&b, "  %s", r.state)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
