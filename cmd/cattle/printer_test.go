package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// TestLiveLeavesARecord draws on a terminal of 60 columns: what stays is a
// line a step, and what moves never wraps.
func TestLiveLeavesARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newLive(stdio{raw: rawStreams{err: &out}, env: func(string) string { return "" }, width: func() int { return 60 }})
		for _, e := range story() {
			l.event(e)
			time.Sleep(time.Second)
		}
		l.close()
		var kept []string
		for line := range strings.SplitSeq(out.String(), "\n") {
			shown := strings.Split(line, "\r\x1b[K")
			for _, moving := range shown[:len(shown)-1] {
				if n := len([]rune(moving)); n > 60 {
					t.Errorf("%d columns: %q", n, moving)
				}
			}
			kept = append(kept, shown[len(shown)-1])
		}
		want := []string{
			"    docker        14.0 s  ",
			"    boot: packages failed after 1.0 s",
			"    boot: nginx skipped",
			"  note: a note�[31m",
			"✗ boot            15.0 s  boot step packages failed",
			"                          �]0;title�",
			"✓ undo             1m30s  destroy the candidate",
			"",
		}
		if got, want := strings.Join(kept, "\n"), strings.Join(want, "\n"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}
