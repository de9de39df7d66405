package main

import (
	"slices"
	"testing"
	"time"

	"cattle/droplets/look"
	"cattle/droplets/release"
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

// TestIssued: four of five is a thing to know before --no-handoff.
func TestIssued(t *testing.T) {
	next := time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)
	const cure = "release without --no-handoff, which asks for new ones"
	for _, tt := range []struct {
		issued     release.Issued
		text, cure string
	}{
		{release.Issued{}, "0 of 5 certificates of this week's are used, as far as the droplet knows", ""},
		{release.Issued{Count: 3}, "3 of 5 certificates of this week's are used, as far as the droplet knows", ""},
		{release.Issued{Count: 4}, "4 of 5 certificates of this week's are used, as far as the droplet knows", cure},
		{release.Issued{Count: 5, Next: next}, "5 of 5 certificates of this week's are used, as far as the droplet knows", cure + "; the next is free 2026-11-22 13:00Z"},
	} {
		if f := issued(tt.issued); f.Found != tt.text || f.Cure != tt.cure {
			t.Errorf("%+v", f)
		}
	}
}
