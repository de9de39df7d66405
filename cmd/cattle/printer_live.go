package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"cattle/droplets/release"
)

// live shows finished steps as lines that stay, and below them one line that
// moves: the running step, its time, and the boot steps that run under it.
type live struct {
	w      io.Writer
	width  func() int
	colour bool
	done   chan struct{}
	wg     sync.WaitGroup

	mu      sync.Mutex
	step    string
	text    string
	started time.Time
	boot    []string // boot steps that run now
	frame   int
}

// frameEvery is how often the moving line is drawn.
const frameEvery = 125 * time.Millisecond

const frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

func newLive(std stdio) *live {
	l := &live{w: std.raw.err, width: std.width, colour: colours(std), done: make(chan struct{})}
	l.wg.Go(l.animate)
	return l
}

func (l *live) animate() {
	tick := time.NewTicker(frameEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.mu.Lock()
			l.frame++
			l.draw()
			l.mu.Unlock()
		case <-l.done:
			return
		}
	}
}

func (l *live) event(e release.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Step = flat(e.Step)
	switch {
	case e.Kind == release.KindNotice:
		l.keep("  ", "note: "+flat(e.Text))
	case e.Kind == release.KindBoot:
		l.bootEvent(e)
	case e.Kind == release.KindWatch:
		l.text = flat(e.Text)
	case e.State == release.StateRunning:
		l.step, l.text, l.started = e.Step, flat(e.Text), e.Time
	case e.State == release.StateOK:
		l.keep(l.paint("32", "✓ "), cut(l.row(e.Step, e.Elapsed, l.text), l.width()-3))
		l.step = ""
	case e.State == release.StateSkipped:
		l.keep("– ", l.row(e.Step, e.Elapsed, l.folded(e.Text)))
		l.step = ""
	default:
		// Not cut: this is what the reader has to know.
		l.keep(l.paint("31", "✗ "), l.row(e.Step, e.Elapsed, l.folded(e.Text)))
		l.step = ""
	}
	l.draw()
}

func (l *live) bootEvent(e release.Event) {
	l.boot = slices.DeleteFunc(l.boot, func(s string) bool { return s == e.Step })
	switch e.State {
	case release.StateRunning:
		l.boot = append(l.boot, e.Step)
	case release.StateOK:
		l.keep("  ", l.paint("2", l.row("  "+e.Step, e.Elapsed, "")))
	default:
		l.keep("  ", l.paint("31", "  "+line(e)))
	}
}

// rowIndent is where the text of a row begins: mark, name, time and their gaps.
const rowIndent = 2 + 14 + 1 + 7 + 2

// folded is text that is not cut, but folded under the row that it belongs to.
func (l *live) folded(text string) string {
	return hang(flat(text), l.width()-rowIndent, rowIndent)
}

// row lines up a step's name, its time and what it does.
func (l *live) row(name string, took time.Duration, text string) string {
	return fmt.Sprintf("%-14s %7s  %s", name, seconds(took), text)
}

// keep writes a line that stays in the scrollback.
func (l *live) keep(mark, text string) { fmt.Fprintf(l.w, "\r\x1b[K%s%s\n", mark, text) }

// draw writes the moving line, cut to the terminal's width: a line that wraps
// could not be taken back.
func (l *live) draw() {
	if l.step == "" {
		fmt.Fprint(l.w, "\r\x1b[K")
		return
	}
	text := l.text
	if len(l.boot) > 0 {
		text = strings.Join(l.boot, ", ")
	}
	text = l.row(l.step, time.Since(l.started), text)
	runes := []rune(frames)
	fmt.Fprintf(l.w, "\r\x1b[K%c %s", runes[l.frame%len(runes)], cut(text, l.width()-3))
}

func cut(s string, n int) string {
	if r := []rune(s); n > 0 && len(r) > n {
		return string(r[:n])
	}
	return s
}

func (l *live) paint(code, s string) string {
	if !l.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (l *live) close() {
	close(l.done)
	l.wg.Wait()
	fmt.Fprint(l.w, "\r\x1b[K")
}
