package terminal_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/hinshun/vt10x"

	"cattle/cmd/cattle/terminal"
)

// An emulator is a terminal whose screen can be read.
type emulator struct {
	vt10x.Terminal
	writes int
}

func newEmulator(columns, rows int) *emulator {
	return &emulator{Terminal: vt10x.New(vt10x.WithSize(columns, rows))}
}

// Write does with line breaks what the kernel does before a terminal sees them.
func (e *emulator) Write(b []byte) (int, error) {
	e.writes++
	return e.Terminal.Write([]byte(strings.ReplaceAll(string(b), "\n", "\r\n")))
}

// lines are what is on the screen, without what is empty at its end.
func (e *emulator) lines() []string {
	var out []string
	for line := range strings.SplitSeq(strings.ReplaceAll(e.String(), "\x00", " "), "\n") {
		out = append(out, strings.TrimRight(line, " "))
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

func (e *emulator) shows(t *testing.T, want ...string) {
	t.Helper()
	if got := e.lines(); !slices.Equal(got, want) {
		t.Errorf("the screen is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// sound demands what has to hold after every write, should it be the last one:
// a cursor that is seen, and lines that wrap.
func (e *emulator) sound(t *testing.T) {
	t.Helper()
	if !e.CursorVisible() || e.Mode()&vt10x.ModeWrap == 0 {
		t.Errorf("the cursor is visible: %v; lines wrap: %v", e.CursorVisible(), e.Mode()&vt10x.ModeWrap != 0)
	}
}

// TestShow draws rows that grow and shrink below lines that stay, also where
// the screen scrolls.
func TestShow(t *testing.T) {
	e := newEmulator(20, 6)
	s := terminal.NewScreen(e, e.Size)
	fmt.Fprint(e, "$ cattle\n")
	s.Show(nil, []string{"a", "b", "c"})
	e.sound(t)
	e.shows(t, "$ cattle", "a", "b", "c")
	s.Show([]string{"kept 1", "kept 2"}, []string{"d"})
	e.shows(t, "$ cattle", "kept 1", "kept 2", "d")
	s.Show([]string{"kept 3"}, []string{"e", "f", "g", "h"})
	e.shows(t, "kept 2", "kept 3", "e", "f", "g", "h")
	e.sound(t)
	s.Clear()
	fmt.Fprint(e, "$ ")
	e.shows(t, "kept 2", "kept 3", "$")
	if e.writes != 6 {
		t.Errorf("%d writes: somebody else's may come between two", e.writes)
	}
}

// TestShowIsBounded gives it more rows than there is room for, and longer ones.
func TestShowIsBounded(t *testing.T) {
	e := newEmulator(10, 4)
	s := terminal.NewScreen(e, e.Size)
	fmt.Fprint(e, "above\n")
	for range 3 {
		s.Show(nil, []string{"1" + strings.Repeat("x", 40), "2", "3", "4", "5"})
		e.sound(t)
		e.shows(t, "above", "1xxxxxxxxx", "2", "3")
	}
	if columns, rows := terminal.NewScreen(io.Discard, func() (int, int) { return 0, 0 }).Size(); columns != 79 || rows != 23 {
		t.Errorf("a terminal that tells nothing has %d columns and %d rows", columns, rows)
	}
}

// TestShowAfterResize changes the size between drawings: nothing is there twice
// and nothing that was kept is gone.
func TestShowAfterResize(t *testing.T) {
	e := newEmulator(40, 8)
	s := terminal.NewScreen(e, e.Size)
	fmt.Fprint(e, "above\n")
	for i, size := range [][2]int{{40, 8}, {12, 8}, {12, 5}, {60, 5}, {60, 12}, {20, 12}, {80, 24}} {
		e.Resize(size[0], size[1])
		row := fmt.Sprintf("row %d", i)
		s.Show(nil, []string{row, "second", "third"})
		e.sound(t)
		e.shows(t, "above", row, "second", "third")
	}
}

// TestInterrupt writes a line of somebody else's in the middle of the rows.
func TestInterrupt(t *testing.T) {
	e := newEmulator(30, 8)
	s := terminal.NewScreen(e, e.Size)
	s.Show([]string{"kept"}, []string{"a", "b", "c"})
	fmt.Fprint(e, "^C") // the kernel's echo
	fmt.Fprint(e, terminal.Interrupt+"interrupted\n")
	e.shows(t, "kept", "interrupted")
	s.Show(nil, []string{"a", "b", "c"})
	e.shows(t, "kept", "interrupted", "a", "b", "c")
}
