package droplets_test

import (
	"strings"
	"testing"
	"time"

	"cattle/droplets"
)

// TestHistoryIsClean: lines that are no entries are left out, one that was
// written twice counts once, and no text moves a cursor.
func TestHistoryIsClean(t *testing.T) {
	const good = `{"at":"2026-11-22T08:45:00Z","verb":"release","release":"v1\u001b[2J","attempt":"00000000000000aa","outcome":"released","by":{"who":"me\ncattle: error: forged"},"took_ms":1,"steps":[{"name":"boot\u202e","ms":1}]}`
	tests := map[string]struct {
		said     string
		entries  int
		manifest bool
		fails    string
	}{
		"nothing":        {said: "", fails: "unexpected EOF"},
		"no manifest":    {said: "{}\n"},
		"nonsense":       {said: "nonsense\n", fails: "its manifest is none"},
		"one":            {said: "{}\n" + good + "\n", entries: 1},
		"written twice":  {said: "{}\n" + good + "\n" + good + "\n", entries: 1},
		"garbled before": {said: "{}\n{\"at\n{}\n{\"at\":\"2026-11-22T08:45:00Z\",\"outcome\":\"x\"}\n" + good + "\n", entries: 1},
		"manifest":       {said: `{"release":"v1\u001b[2J","profile":["\u001b[2Japp: blog"],"images":{"a\u0007":"b\n"}}` + "\n", manifest: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			m := h.connect(t)
			h.answer <- answer{out: strings.NewReader(tt.said)}
			got, err := m.History(t.Context())
			if (err != nil) != (tt.fails != "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
				t.Fatalf("got %v, want %q", err, tt.fails)
			}
			if len(got.Entries) != tt.entries || (got.Manifest != nil) != tt.manifest {
				t.Errorf("got %+v", got)
			}
			for _, e := range got.Entries {
				shows(t, e.Release+e.By.Who+e.Steps[0].Name)
			}
			if tt.manifest {
				shows(t, got.Manifest.Release+got.Manifest.Profile[0])
				for ref, digest := range got.Manifest.Images {
					shows(t, ref+digest)
				}
			}
		})
	}
}

// TestRecordWantsItsWord: a droplet that does not say that it wrote the entry
// down has not.
func TestRecordWantsItsWord(t *testing.T) {
	for said, ok := range map[string]bool{"recorded\n": true, "": false, "nonsense\x1b[2J\n": false} {
		h := newHostile(t)
		m := h.connect(t)
		h.answer <- answer{out: strings.NewReader(said)}
		err := m.Record(t.Context(), droplets.Entry{At: time.Now(), Reason: strings.Repeat("é", 9999)}, &droplets.Manifest{})
		if (err == nil) != ok {
			t.Errorf("%q: %v", said, err)
		}
		if err != nil {
			shows(t, err.Error())
		}
	}
}
