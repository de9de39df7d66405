package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hinshun/vt10x"

	"cattle/cmd/cattle/terminal"
	"cattle/droplets/release"
)

// story is a release as its events tell it, with text that a hostile droplet
// may have written.
func story() []release.Event {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	return []release.Event{
		{Time: at, Kind: release.KindStep, Step: "boot", State: release.StateRunning, Text: strings.Repeat("long ", 40)},
		{Time: at, Kind: release.KindBoot, Step: "docker", State: release.StateRunning},
		{Time: at, Kind: release.KindBoot, Step: "docker", State: release.StateOK, Elapsed: 14 * time.Second},
		{Time: at, Kind: release.KindBoot, Step: "packages", State: release.StateFailed, Elapsed: time.Second, Tail: "\x1b[2Jgone"},
		{Time: at, Kind: release.KindBoot, Step: "nginx", State: release.StateSkipped},
		{Time: at, Kind: release.KindNotice, Text: "a note\x1b[31m"},
		{Time: at, Kind: release.KindWatch, Step: "watch", State: release.StateRunning, Text: "9m left\x1b[2J; of " + strings.Repeat("9", 60)},
		{Time: at, Kind: release.KindStep, Step: "boot", State: release.StateFailed, Elapsed: 15 * time.Second, Text: "boot step packages failed \x1b]0;title\a"},
		{Time: at, Kind: release.KindStep, Step: "undo", State: release.StateRunning, Text: "destroy the candidate"},
		{Time: at, Kind: release.KindStep, Step: "undo", State: release.StateOK, Elapsed: 90 * time.Second},
	}
}

func TestPlainLines(t *testing.T) {
	var out bytes.Buffer
	p := plainPrinter{&out}
	for _, e := range story() {
		p.event(e)
	}
	p.close()
	want := `12:00:00 boot: ` + strings.Repeat("long ", 40) + `
12:00:00 boot: docker …
12:00:00 boot: docker done in 14.0 s
12:00:00 boot: packages failed after 1.0 s
12:00:00 boot: nginx skipped
12:00:00 note: a note�[31m
12:00:00 watch: 9m left�[2J; of ` + strings.Repeat("9", 60) + `
12:00:00 boot failed after 15.0 s: boot step packages failed �]0;title�
12:00:00 undo: destroy the candidate
12:00:00 undo done in 1m30s
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A screen is a terminal of a reader: what it shows can be read.
type screen struct{ vt10x.Terminal }

// Write does with line breaks what the kernel does before a terminal sees them.
func (s screen) Write(b []byte) (int, error) {
	return s.Terminal.Write([]byte(strings.ReplaceAll(string(b), "\n", "\r\n")))
}

// The emulator leaves it to its users to lock what these two read.

func (s screen) Size() (columns, rows int) {
	s.Lock()
	defer s.Unlock()
	return s.Terminal.Size()
}

func (s screen) CursorVisible() bool {
	s.Lock()
	defer s.Unlock()
	return s.Terminal.CursorVisible()
}

// text is what the screen shows, without what is empty.
func (s screen) text() string {
	var out []string
	for line := range strings.SplitSeq(strings.ReplaceAll(s.String(), "\x00", " "), "\n") {
		out = append(out, strings.TrimRight(line, " "))
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n") + "\n"
}

// onScreen plays a release of those steps on a terminal of that size.
func onScreen(t *testing.T, columns, rows int, steps string, play func(screen, *live)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := screen{vt10x.New(vt10x.WithSize(columns, rows))}
		var plan []release.Step
		for name := range strings.FieldsSeq(steps) {
			plan = append(plan, release.Step{Name: name})
		}
		l := newLive(stdio{raw: rawStreams{err: s}, env: func(string) string { return "" }, size: s.Size}, plan)
		play(s, l)
		l.close()
	})
}

// TestLiveLeavesARecord: what stays is a line a step, readable whatever a
// droplet says, and nothing of what moved.
func TestLiveLeavesARecord(t *testing.T) {
	onScreen(t, 60, 20, "boot", func(s screen, l *live) {
		for _, e := range story() {
			l.event(e)
			time.Sleep(time.Second)
		}
		l.screen.Clear()
		want := `  note: a note�[31m
✗ boot            15.0 s  boot step packages failed
                          �]0;title�
    ✗ packages         1.0 s  failed
    – nginx was not begun
✓ undo             1m30s  destroy the candidate
`
		if got := s.text(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// booting is a release in the middle of its boot.
func booting(l *live) {
	step := func(name string, state release.State, took time.Duration, text string) {
		l.event(release.Event{Time: time.Now(), Kind: release.KindStep, Step: name, State: state, Elapsed: took, Text: text})
	}
	boot := func(name string, state release.State, took time.Duration) {
		l.event(release.Event{Time: time.Now(), Kind: release.KindBoot, Step: name, State: state, Elapsed: took})
	}
	step("create", release.StateRunning, 0, "order a droplet: s-1vcpu-1gb, debian-13-x64, in nyc3, and wait until it has an address")
	step("create", release.StateOK, 1200*time.Millisecond, "")
	step("boot", release.StateRunning, 0, "boot within 10m, deliver the key to its secrets over SSH")
	time.Sleep(2 * time.Second)
	boot("network", release.StateRunning, 0)
	boot("packages", release.StateRunning, 0)
	boot("network", release.StateOK, time.Second)
	boot("日本語", release.StateRunning, 0)
	time.Sleep(3*time.Second + frameEvery/2)
}

// TestLiveShowsTheBoot: the boot's steps are below their parent while it runs,
// and fold into its line when it is done.
func TestLiveShowsTheBoot(t *testing.T) {
	onScreen(t, 80, 24, "create boot handoff gate switch", func(s screen, l *live) {
		booting(l)
		want := `✓ create           1.2 s  order a droplet: s-1vcpu-1gb, debian-13-x64, in nyc3…
⠋ boot             5.0 s  boot within 10m, deliver the key to its secrets over…
    ✓ network          1.0 s
    ⠋ packages         3.0 s
    ⠋ 日本語           3.0 s
  then handoff, gate, switch
`
		if got := spin(s.text()); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		for _, e := range []release.Event{
			{Kind: release.KindBoot, Step: "packages", State: release.StateOK, Elapsed: 12 * time.Second},
			{Kind: release.KindBoot, Step: "日本語", State: release.StateOK, Elapsed: 9 * time.Second},
			{Kind: release.KindStep, Step: "boot", State: release.StateOK, Elapsed: 41200 * time.Millisecond},
		} {
			l.event(e)
		}
		want = `✓ create           1.2 s  order a droplet: s-1vcpu-1gb, debian-13-x64, in nyc3…
✓ boot            41.2 s  packages 12.0 s, 日本語 9.0 s, network 1.0 s
`
		if got := s.text(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// spin makes all frames of the spinner the first one.
func spin(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(frames, r) {
			return '⠋'
		}
		return r
	}, text)
}

// TestLiveResized changes the terminal's size in the middle of a boot. One
// frame later each row is there once, no longer than the terminal is wide.
func TestLiveResized(t *testing.T) {
	for _, size := range [][2]int{{40, 24}, {20, 24}, {120, 40}, {80, 8}, {80, 5}, {30, 4}, {7, 3}, {2, 2}, {1, 1}} {
		onScreen(t, 80, 24, "create boot handoff gate", func(s screen, l *live) {
			booting(l)
			s.Resize(size[0], size[1])
			time.Sleep(2 * frameEvery)
			text := s.text()
			if n := strings.Count(spin(text), "⠋ boot"); n != 1 && size[0] > 8 && size[1] > 2 {
				t.Errorf("%v: the step is there %d times\n%s", size, n, text)
			}
			if n := strings.Count(text, "packages"); n > 1 || n == 0 && size[0] > 20 && size[1] > 4 {
				t.Errorf("%v: the boot's step is there %d times\n%s", size, n, text)
			}
			// Where there is no room for all, what is done goes first.
			if size == [2]int{80, 5} && (strings.Contains(text, "network") || !strings.Contains(text, "then handoff")) {
				t.Errorf("%v: the wrong rows\n%s", size, text)
			}
			if !s.CursorVisible() {
				t.Error("the cursor is hidden")
			}
		})
	}
}

// TestLongestFits folds a boot of many steps into one line of any width.
func TestLongestFits(t *testing.T) {
	l := &live{}
	for i := range 12 {
		l.boot = append(l.boot, liveRow{name: fmt.Sprint("step", i), took: time.Duration(i) * time.Second})
	}
	for room := 1; room < 200; room++ {
		text := l.longest(room)
		if n := terminal.Width(text); n > room && text != "…" {
			t.Errorf("%d columns for %d: %q", n, room, text)
		}
	}
	if got := l.longest(40); got != "step11 11.0 s, step10 10.0 s, …" {
		t.Errorf("got %q", got)
	}
}
