// Package terminal draws a few rows that change, below lines that stay.
package terminal

import (
	"fmt"
	"io"
	"strings"
)

// A Screen is the lower end of a terminal. Lines that are kept scroll away as
// any output does; the rows below them are drawn anew each time.
//
// Between two drawings the cursor stands at the beginning of the first row, so
// there is nothing to remember: whatever a resize made of the rows, they are
// below the cursor, and a terminal that folds its lines anew takes the cursor
// along. So is what a shell needs after a kill: the cursor is never hidden
// beyond one write, and nothing but these rows is ever erased.
//
// It may be used by one goroutine at a time.
type Screen struct {
	w io.Writer
	// size is the terminal's, now; 0 where it does not tell.
	size func() (columns, rows int)
}

// NewScreen draws on w.
func NewScreen(w io.Writer, size func() (columns, rows int)) *Screen {
	return &Screen{w, size}
}

// What a terminal that takes nothing for an answer is taken for.
const (
	usualColumns = 80
	usualRows    = 24
)

// Size is how many columns a row may fill, and how many rows there is room for:
// one less of each, since what fills a terminal's last place makes it scroll.
func (s *Screen) Size() (columns, rows int) {
	columns, rows = s.size()
	if columns <= 0 {
		columns = usualColumns
	}
	if rows <= 0 {
		rows = usualRows
	}
	return max(columns-1, 1), max(rows-1, 1)
}

const (
	eraseBelow = "\r\x1b[J"
	// Between these nothing is wrapped: a row that is longer than it was measured,
	// or than the terminal has become, takes one row all the same.
	beginRows = "\x1b[?25l\x1b[?7l"
	endRows   = "\r\x1b[?7h\x1b[?25h"
)

// Show adds lines that stay and draws the rows below them, as many as there is
// room for. All of it is one write: two writers never mix.
func (s *Screen) Show(kept, rows []string) {
	_, room := s.Size()
	rows = rows[:min(len(rows), room)]
	var b strings.Builder
	b.WriteString(eraseBelow)
	for _, line := range kept {
		b.WriteString(line + "\n")
	}
	if len(rows) > 0 {
		b.WriteString(beginRows + strings.Join(rows, "\n"))
		if up := len(rows) - 1; up > 0 {
			fmt.Fprintf(&b, "\x1b[%dA", up)
		}
		b.WriteString(endRows)
	}
	io.WriteString(s.w, b.String())
}

// Clear erases the rows. What is written next stands in their place.
func (s *Screen) Clear() { s.Show(nil, nil) }

// Interrupt is what to write before a line of somebody who knows nothing of the
// screen: the rows go, and are drawn again below it.
const Interrupt = eraseBelow
