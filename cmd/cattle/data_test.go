package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
)

// TestAskChoice: an empty line is the suggestion, and what is neither answer
// moves nothing. The question says how much there is, and since when.
func TestAskChoice(t *testing.T) {
	since := time.Date(2026, 11, 22, 14, 3, 0, 0, time.UTC)
	for typed, want := range map[string]release.DataChoice{"\n": release.Carry, "carry\n": release.Carry, " discard \n": release.Discard, "yes\n": "", "": release.Carry} {
		var asked strings.Builder
		std := newStdio(strings.NewReader(typed), io.Discard, &asked)
		got, err := askChoice(t.Context(), std, &droplets.Writes{Total: 37, Since: since.UnixMilli()})
		var refused *usageError
		if got != want || (err != nil) != (want == "") || err != nil && !errors.As(err, &refused) {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
		if !strings.Contains(asked.String(), "37 writes since 2026-11-22 14:03Z") {
			t.Errorf("it asks %q", asked.String())
		}
	}
}

// TestStateChanges: an entry that has another name, one that comes, one that
// stays behind and one that is elsewhere are each told once.
func TestStateChanges(t *testing.T) {
	was := map[string]string{"db": "sqlite data:blog.db", "uploads": "files uploads", "same": "files same", "moved": "files a"}
	is := map[string]string{"database": "sqlite data:blog.db", "media": "files media", "same": "files same", "moved": "files b"}
	got := strings.Join(stateChanges("blog-v1", was, is), "\n")
	for _, want := range []string{"the state db is called database", "the state media is new", "the state uploads (files uploads) is not in the profile any more: it stays behind on blog-v1", "the state moved is elsewhere from now on: files a → files b"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q is not told once:\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n"); n != 3 || stateChanges("blog-v1", was, was) != nil || stateChanges("blog-v1", nil, nil) != nil {
		t.Errorf("more is told than that:\n%s", got)
	}
}

// TestDataText: what became of the data, in lines.
func TestDataText(t *testing.T) {
	at := time.Date(2026, 11, 22, 3, 30, 0, 0, time.UTC)
	for want, d := range map[string]*release.DataReport{
		"": nil,
		"writes waited 1.2 s; 104.0 MB copied, 1.3 MB of it while they waited\n": {Freeze: 1200 * time.Millisecond, Bytes: 104e6,
			Entries: []release.DataEntry{{Name: "db", Bulk: 102e6, Delta: 1e6}, {Name: "up", Bulk: 7e5, Delta: 3e5}}},
		"writes waited 0.3 s\nbackup of before: 1f2e3d4c; to look into it: cattle restore --to /root/before 1f2e3d4c\n": {Freeze: 300 * time.Millisecond, Backup: "1f2e3d4c"},
		"restored from the backup 1f2e3d4c of 2026-11-22 03:30Z: what was written after that is not there\n":            {Restored: "1f2e3d4c", From: at},
	} {
		if got := dataText(d); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	if got := dataInHistory(&droplets.Moved{Freeze: 1200, Bytes: 104e6, Backup: "1f2e3d4c"}); got != "writes waited 1.2 s; 104.0 MB copied; backup 1f2e3d4c" {
		t.Errorf("the history says %q", got)
	}
}

// TestHeldWrites: that the live droplet holds writes is wrong where nobody is
// at it, and says until when.
func TestHeldWrites(t *testing.T) {
	at := time.Date(2026, 11, 22, 3, 30, 0, 0, time.UTC)
	idle, busy := &release.World{}, &release.World{Candidates: []release.Member{{}}}
	for i, tt := range []struct {
		brief *droplets.StateBrief
		w     *release.World
		want  string
	}{
		{nil, idle, "[]"},
		{&droplets.StateBrief{Phase: droplets.PhaseOpen}, idle, "[]"},
		{&droplets.StateBrief{Phase: droplets.PhaseFrozen}, busy, "[]"},
		{&droplets.StateBrief{Phase: droplets.PhaseCommitted, Until: at.UnixMilli()}, idle, "until 03:30:00 UTC at the latest, and no release is under way"},
		{&droplets.StateBrief{Phase: droplets.PhaseNew}, idle, "the live droplet holds writes, and no release is under way"},
	} {
		if got := fmt.Sprint(heldFailure(tt.brief, tt.w)); !strings.Contains(got, tt.want) {
			t.Errorf("%d: %s lacks %q", i, got, tt.want)
		}
	}
}

// TestLiveData: entries that are copied at the same time are shown side by side,
// each where it was, and the next step begins without them.
func TestLiveData(t *testing.T) {
	l := &live{step: &liveRow{name: "copy"}}
	for _, text := range []string{"db: 1.0 of 9.0 MB", "uploads: 0.1 of 2.0 MB", "db: 8.0 of 9.0 MB"} {
		l.tellData(text)
	}
	if want := "db: 8.0 of 9.0 MB; uploads: 0.1 of 2.0 MB"; l.step.text != want {
		t.Errorf("%q, not %q", l.step.text, want)
	}
}
