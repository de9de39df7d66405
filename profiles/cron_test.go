package profiles

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

type cronCase struct {
	schedule string
	want     []string
	next     string // first elapse after cronNow, as systemd computes it
}

const cronNow = "2026-01-01 00:00:30 UTC" // a Thursday

func cronCases() []cronCase {
	return []cronCase{
		{"* * * * *", []string{"*-*-* *:*:00 UTC"}, "Thu 2026-01-01 00:01:00 UTC"},
		{"@hourly", []string{"*-*-* *:00:00 UTC"}, "Thu 2026-01-01 01:00:00 UTC"},
		{"@daily", []string{"*-*-* 00:00:00 UTC"}, "Fri 2026-01-02 00:00:00 UTC"},
		{"@midnight", []string{"*-*-* 00:00:00 UTC"}, "Fri 2026-01-02 00:00:00 UTC"},
		{"@weekly", []string{"Sun *-*-* 00:00:00 UTC"}, "Sun 2026-01-04 00:00:00 UTC"},
		{"@monthly", []string{"*-*-01 00:00:00 UTC"}, "Sun 2026-02-01 00:00:00 UTC"},
		{"@yearly", []string{"*-01-01 00:00:00 UTC"}, "Fri 2027-01-01 00:00:00 UTC"},
		{"@annually", []string{"*-01-01 00:00:00 UTC"}, "Fri 2027-01-01 00:00:00 UTC"},
		{"30 4 * * *", []string{"*-*-* 04:30:00 UTC"}, "Thu 2026-01-01 04:30:00 UTC"},
		{"*/15 * * * *", []string{"*-*-* *:00,15,30,45:00 UTC"}, "Thu 2026-01-01 00:15:00 UTC"},
		{"5-59/20 8-17 * * *", []string{"*-*-* 08..17:05,25,45:00 UTC"}, "Thu 2026-01-01 08:05:00 UTC"},
		{"7/25 * * * *", []string{"*-*-* *:07,32,57:00 UTC"}, "Thu 2026-01-01 00:07:00 UTC"},
		{"0 9 * * mon-fri", []string{"Mon,Tue,Wed,Thu,Fri *-*-* 09:00:00 UTC"}, "Thu 2026-01-01 09:00:00 UTC"},
		{"0 9 * * FRI-SUN", []string{"Sun,Fri,Sat *-*-* 09:00:00 UTC"}, "Fri 2026-01-02 09:00:00 UTC"},
		{"0 9 * * 0,7", []string{"Sun *-*-* 09:00:00 UTC"}, "Sun 2026-01-04 09:00:00 UTC"},
		{"0 0 1 jan,jul *", []string{"*-01,07-01 00:00:00 UTC"}, "Wed 2026-07-01 00:00:00 UTC"},
		{"0 0 1,15 * 1", []string{"*-*-01,15 00:00:00 UTC", "Mon *-*-* 00:00:00 UTC"}, "Mon 2026-01-05 00:00:00 UTC"},
		{"0 0 1 3 1", []string{"*-03-01 00:00:00 UTC", "Mon *-03-* 00:00:00 UTC"}, "Sun 2026-03-01 00:00:00 UTC"},
		{"0 0 */10 * 1", []string{"Mon *-*-01,11,21,31 00:00:00 UTC"}, "Mon 2026-05-11 00:00:00 UTC"},
		{"0 0 29 2 *", []string{"*-02-29 00:00:00 UTC"}, "Tue 2028-02-29 00:00:00 UTC"},
		{" 1,2,3,5 0 * * * ", []string{"*-*-* 00:01..03,05:00 UTC"}, "Thu 2026-01-01 00:01:00 UTC"},
		{"0 0 31 2 1", []string{"*-02-31 00:00:00 UTC", "Mon *-02-* 00:00:00 UTC"}, "Mon 2026-02-02 00:00:00 UTC"},
	}
}

func TestOnCalendar(t *testing.T) {
	for _, c := range cronCases() {
		if got := (Cron{Schedule: c.schedule}).OnCalendar(); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.schedule, got, c.want)
		}
	}
}

// TestOnCalendarBySystemd asks systemd when it would run the job first.
func TestOnCalendarBySystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	for _, c := range cronCases() {
		var first time.Time
		for _, expression := range (Cron{Schedule: c.schedule}).OnCalendar() {
			next := nextElapse(t, analyze, expression)
			if !next.IsZero() && (first.IsZero() || next.Before(first)) {
				first = next
			}
		}
		if got := first.Format("Mon 2006-01-02 15:04:05 UTC"); got != c.next {
			t.Errorf("%q: first at %s, want %s", c.schedule, got, c.next)
		}
	}
}

// nextElapse is zero for an expression that never elapses.
func nextElapse(t *testing.T, analyze, expression string) time.Time {
	t.Helper()
	cmd := exec.Command(analyze, "calendar", "--base-time="+cronNow, expression)
	cmd.Env = append(cmd.Environ(), "TZ=UTC", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", expression, err, out)
	}
	for line := range strings.Lines(string(out)) {
		if when, ok := strings.CutPrefix(strings.TrimSpace(line), "Next elapse: "); ok && when != "never" {
			next, err := time.Parse("Mon 2006-01-02 15:04:05 UTC", when)
			if err != nil {
				t.Fatal(err)
			}
			return next
		}
	}
	return time.Time{}
}

func TestBadSchedules(t *testing.T) {
	for _, s := range []string{
		"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 * *", "* * * 0 *",
		"* * * * 8", "5-1 * * * *", "*/0 * * * *", "*/60 * * * *", "a * * * *", "1- * * * *", "-1 * * * *", "+1 * * * *", "1,,2 * * * *",
		"* * L * *", "@reboot", "@", "0 0 30 2 *", "0 0 31 apr,jun *", "* * * mon *",
	} {
		if got := (Cron{Schedule: s}).OnCalendar(); got != nil {
			t.Errorf("%q: got %q, want nothing", s, got)
		}
	}
}
