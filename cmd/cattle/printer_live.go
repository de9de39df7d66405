package main

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"cattle/cmd/cattle/terminal"
	"cattle/droplets/release"
)

// live shows each finished step as a line that stays. Below them are rows that
// move: the running step, the steps of the boot while it is one, and what is
// still to come.
type live struct {
	screen *terminal.Screen
	colour bool
	done   chan struct{}
	wg     sync.WaitGroup

	mu    sync.Mutex
	step  *liveRow // that runs; nil: none
	boot  []liveRow
	data  []string // how far the entries are whose data is copied, as "name: text"
	ahead []string // steps of the plan that have not begun
	frame int
}

// A liveRow is a step, of the plan or of the boot.
type liveRow struct {
	name, text string
	state      release.State
	began      time.Time
	took       time.Duration // once it is over
}

// frameEvery is how often the rows are drawn. The size is asked each time, so a
// terminal that was resized is drawn right within one frame.
const frameEvery = 125 * time.Millisecond

const frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

// newLive shows a plan of those steps.
func newLive(std stdio, steps []release.Step) *live {
	l := &live{screen: terminal.NewScreen(std.raw.err, std.size), colour: colours(std), done: make(chan struct{})}
	for _, s := range steps {
		l.ahead = append(l.ahead, s.Name)
	}
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
			l.screen.Show(nil, l.rows())
			l.mu.Unlock()
		case <-l.done:
			return
		}
	}
}

func (l *live) event(e release.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.take(e)
	l.screen.Show(kept, l.rows())
}

func (l *live) close() {
	close(l.done)
	l.wg.Wait()
	l.screen.Clear()
}

// take changes the rows as an event says, and returns the lines that stay.
func (l *live) take(e release.Event) (kept []string) {
	columns, _ := l.screen.Size()
	row := liveRow{flat(e.Step), flat(e.Text), e.State, e.Time, e.Elapsed}
	switch {
	case e.Kind == release.KindNotice:
		return []string{"  note: " + terminal.Fold(row.text, columns-8, 8)}
	case e.Kind == release.KindBoot:
		l.takeBoot(row)
	case e.Kind == release.KindImages:
		l.tellBoot(row)
	case e.Kind == release.KindData:
		l.tellData(row.text)
	case e.Kind == release.KindWatch, e.Kind == release.KindBuild:
		if l.step != nil {
			l.step.text = row.text
		}
	case e.State == release.StateRunning:
		l.step, l.boot, l.data = &row, nil, nil
		l.ahead = behind(l.ahead, e.Step)
	default:
		kept = l.ended(row)
		l.step, l.boot = nil, nil
	}
	return kept
}

// behind are the steps that come after one. What is not of the plan is an
// undoing, after which nothing comes.
func behind(steps []string, name string) []string {
	i := slices.Index(steps, name)
	if i < 0 {
		return nil
	}
	return steps[i+1:]
}

// takeBoot keeps a step of the boot at the place where it began.
func (l *live) takeBoot(row liveRow) {
	i := slices.IndexFunc(l.boot, func(b liveRow) bool { return b.name == row.name })
	if i < 0 {
		l.boot = append(l.boot, row)
		return
	}
	l.boot[i] = row
}

// tellBoot says of a step of the boot how far it is.
func (l *live) tellBoot(row liveRow) {
	for i := range l.boot {
		if l.boot[i].name == row.name && l.boot[i].state == release.StateRunning {
			l.boot[i].text = row.text
		}
	}
}

// tellData says of an entry of the data how far it is; they are copied at the
// same time.
func (l *live) tellData(text string) {
	name, _, _ := strings.Cut(text, ":")
	i := slices.IndexFunc(l.data, func(told string) bool { return strings.HasPrefix(told, name+":") })
	if i < 0 {
		i, l.data = len(l.data), append(l.data, "")
	}
	l.data[i] = text
	if l.step != nil {
		l.step.text = strings.Join(l.data, "; ")
	}
}

// ended folds a step that is over into a line. Of a boot that failed the steps
// that are to blame stay too.
func (l *live) ended(row liveRow) []string {
	columns, _ := l.screen.Size()
	room := columns - rowIndent
	if row.state == release.StateOK {
		if l.step != nil && row.text == "" {
			row.text = cmp.Or(l.longest(room), l.step.text)
		}
		return []string{l.mark(row.state) + heading(row, terminal.Cut(row.text, room))}
	}
	// Not cut: this is what the reader has to know.
	kept := []string{l.mark(row.state) + heading(row, terminal.Fold(row.text, room, rowIndent))}
	if row.state == release.StateFailed {
		kept = append(kept, l.blamed()...)
	}
	return kept
}

// blamed are the steps of a boot that failed: those that failed, and in a line
// those that did not get that far.
func (l *live) blamed() (kept []string) {
	columns, _ := l.screen.Size()
	var rest []string
	for _, b := range l.boot {
		switch b.state {
		case release.StateFailed:
			kept = append(kept, "    "+l.mark(b.state)+heading(b, "failed"))
		case release.StateRunning:
			rest = append(rest, b.name+" was not over")
		case release.StateSkipped:
			rest = append(rest, b.name+" was not begun")
		}
	}
	if len(rest) > 0 {
		kept = append(kept, "    – "+terminal.Fold(strings.Join(rest, ", "), columns-6, 6))
	}
	return kept
}

// longest names the boot's steps that took longest, as many as fit.
func (l *live) longest(room int) string {
	steps := slices.Clone(l.boot)
	slices.SortStableFunc(steps, func(a, b liveRow) int { return cmp.Compare(b.took, a.took) })
	text := ""
	for i, s := range steps {
		part := s.name + " " + seconds(s.took)
		if i > 0 {
			part = ", " + part
		}
		if terminal.Width(text+part) > room-len(", …") {
			return strings.TrimPrefix(text+", …", ", ")
		}
		text += part
	}
	return text
}

// rows are what moves, no longer than the terminal is wide and high.
func (l *live) rows() []string {
	if l.step == nil {
		return nil
	}
	columns, room := l.screen.Size()
	rows := []string{l.moving(*l.step, columns)}
	for _, b := range l.shownBoot(room - 2) { // the step's own row and what is ahead
		rows = append(rows, "    "+l.moving(b, columns-4))
	}
	if len(l.ahead) > 0 {
		rows = append(rows, l.paint("2", terminal.Cut("  then "+strings.Join(l.ahead, ", "), columns)))
	}
	return rows
}

// shownBoot are the boot's rows; where there is no room for all, only those that
// are not done.
func (l *live) shownBoot(room int) []liveRow {
	if len(l.boot) <= room {
		return l.boot
	}
	return slices.DeleteFunc(slices.Clone(l.boot), func(b liveRow) bool { return b.state == release.StateOK })
}

// moving is a row that is drawn again and again: of one that runs, the time
// until now.
func (l *live) moving(row liveRow, columns int) string {
	mark := l.mark(row.state)
	if row.state == release.StateRunning {
		row.took = time.Since(row.began)
		spinner := []rune(frames)
		mark = string(spinner[l.frame%len(spinner)]) + " "
	}
	text := terminal.Cut(heading(row, row.text), columns-2)
	if row.state == release.StateOK {
		text = l.paint("2", text)
	}
	return mark + text
}

// rowIndent is where the text of a row begins: mark, name, time and their gaps.
const rowIndent = 2 + nameColumns + 1 + 7 + 2

const nameColumns = 14

// heading lines up a step's name, its time and what is to be said of it.
func heading(row liveRow, text string) string {
	took := seconds(row.took)
	s := terminal.Pad(row.name, nameColumns) + " " + strings.Repeat(" ", max(0, 7-len(took))) + took
	return strings.TrimRight(s+"  "+text, " ")
}

func (l *live) mark(s release.State) string {
	switch s {
	case release.StateOK:
		return l.paint("32", "✓") + " "
	case release.StateFailed:
		return l.paint("31", "✗") + " "
	}
	return "– "
}

func (l *live) paint(code, s string) string {
	if !l.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
