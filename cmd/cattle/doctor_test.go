package main

import (
	"slices"
	"testing"
	"time"

	"cattle/droplets/look"
)

// TestJudgeVitals: each number has its finding from its limit on.
func TestJudgeVitals(t *testing.T) {
	sound := look.Vitals{DiskUsed: 89, DiskFree: 2e9, Memory: 1000 << 20, MemoryFree: 50 << 20}
	tests := []struct {
		name   string
		change func(*look.Vitals)
		units  []string
		want   []string
	}{
		{"sound", func(*look.Vitals) {}, nil, []string{"droplet"}},
		{"disk", func(v *look.Vitals) { v.DiskUsed = 90 }, nil, []string{"disk"}},
		{"memory", func(v *look.Vitals) { v.MemoryFree = 49 << 20 }, nil, []string{"memory"}},
		{"reboot and a unit", func(v *look.Vitals) { v.Reboot = true }, []string{"postfix.service"}, []string{"units", "reboot"}},
	}
	for _, tt := range tests {
		v := sound
		tt.change(&v)
		var got []string
		for _, f := range judgeVitals(v, tt.units) {
			got = append(got, f.About)
			if (f.Cure == "") != (f.About == "droplet") || f.Stops {
				t.Errorf("%s: %+v", tt.name, f)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestIssued: what was issued a week ago counts no more; four of five is a
// thing to know before --no-handoff.
func TestIssued(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ago := func(hours ...int) (at []time.Time) {
		for _, h := range hours {
			at = append(at, now.Add(-time.Duration(h)*time.Hour))
		}
		return at
	}
	for _, tt := range []struct {
		at   []time.Time
		need bool
		text string
	}{
		{nil, false, "0 of 5 certificates of this week's are used, as far as the droplet knows"},
		{ago(400, 168, 3, 2, 1), false, "3 of 5 certificates of this week's are used, as far as the droplet knows"},
		{ago(167, 3, 2, 1), true, "4 of 5 certificates of this week's are used, as far as the droplet knows"},
	} {
		f := issued(tt.at, now)
		if f.Found != tt.text || (f.Cure != "") != tt.need {
			t.Errorf("%+v", f)
		}
		if tt.need && f.Cure != "release without --no-handoff, which asks for new ones; the next is free 2026-11-22 13:00Z" {
			t.Error(f.Cure)
		}
	}
}
