package page_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cattle/cmd/cattle/page"
	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/release/probe"
)

func at(seconds float64) time.Time {
	return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

func plan() *release.Plan {
	live := &release.Member{Birth: droplets.Birth{Release: "v1.0.0", Attempt: "old"}, Born: true}
	return &release.Plan{
		Verb: "release", Release: "v1.1.0", Site: release.Site{App: "blog", Cutover: release.Cutover{Failed: 3, Gap: 5 * time.Second}},
		World:   &release.World{Live: live, Reserved: droplets.ReservedIP{IP: "198.51.100.7", DropletID: 7}},
		Changes: []release.Change{{What: "release", From: "v1.0.0", To: "v1.1.0"}},
		Cost:    release.Cost{Monthly: 12, Before: 6, Overlap: 0.0089},
		Steps:   []release.Step{{Name: "create", Title: "order a droplet"}, {Name: "boot"}, {Name: "gate", Title: "three times in a row"}, {Name: "switch"}},
	}
}

// told tells a record of a release up to its boot, whose journal was read in
// one go, twenty seconds after it began and by a clock that is an hour ahead.
func told(bootEnds release.State) *page.Record {
	r := page.NewRecord("release", "v0.1.0")
	r.Planned(plan(), []page.Difference{{"packages", "+ imagemagick"}}, []string{"the plan's notice"})
	step := func(when float64, name string, s release.State, took time.Duration, text string) {
		r.Happened(release.Event{Time: at(when), Kind: release.KindStep, Step: name, State: s, Elapsed: took, Text: text})
	}
	boot := func(when float64, name string, s release.State, took time.Duration) {
		r.Happened(release.Event{Time: at(20), Droplet: at(when + 3600), Kind: release.KindBoot, Step: name, State: s, Elapsed: took})
	}
	step(0, "create", release.StateRunning, 0, "order a droplet")
	step(10, "create", release.StateOK, 10*time.Second, "")
	step(10, "boot", release.StateRunning, 0, "boot within 10m")
	boot(10, "network", release.StateRunning, 0)
	boot(12, "network", release.StateOK, 2*time.Second)
	boot(12, "packages", release.StateRunning, 0)
	boot(12, "images", release.StateRunning, 0)
	boot(20, "packages", bootEnds, 8*time.Second)
	r.Happened(release.Event{Time: at(20), Kind: release.KindNotice, Text: "a notice of the run"})
	text := ""
	if bootEnds == release.StateFailed {
		text = "boot step packages failed"
	}
	step(20, "boot", bootEnds, 10*time.Second, text)
	return r
}

func written(t *testing.T, r *page.Record, o page.Outcome) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b, o); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, b.String())
	return b.String()
}

// wellFormed demands that every element is closed in its order, which no
// browser does, and returns them.
func wellFormed(t *testing.T, html string) (all []xml.StartElement) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(html))
	d.Entity = xml.HTMLEntity
	for {
		token, err := d.Token()
		switch e := token.(type) {
		case xml.StartElement:
			all = append(all, e.Copy())
		case nil:
			if !errors.Is(err, io.EOF) {
				t.Fatalf("%v\n%s", err, html)
			}
			return all
		}
	}
}

func contains(t *testing.T, html string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(html, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// TestVerdict: the headline says what the exit status says.
func TestVerdict(t *testing.T) {
	for _, tt := range []struct {
		o    page.Outcome
		want string
	}{
		{page.Outcome{}, "blog: v1.1.0 serves"},
		{page.Outcome{Status: 1}, "blog: v1.1.0 failed"},
		{page.Outcome{Status: 2}, "blog: nothing was done"},
		{page.Outcome{Status: 3, Serving: "v1.0.0"}, "blog: v1.1.0 was not released"},
		{page.Outcome{Status: 4}, "blog: v1.1.0 serves, and something needs you"},
		{page.Outcome{Status: 130}, "blog: v1.1.0 was interrupted"},
	} {
		r := told(release.StateOK)
		r.Came(&release.Report{})
		html := written(t, r, tt.o)
		contains(t, html, "<title>"+tt.want+"</title>")
		if tt.o.Serving != "" {
			contains(t, html, "v1.0.0 still serves.")
		}
	}
	contains(t, written(t, page.NewRecord("rebuild", "v"), page.Outcome{}), "<title>cattle rebuild: there was nothing to do</title>")
}

// bars are the bars of a page: the name of the step, then left and width.
func bars(html string) map[string]string {
	out := map[string]string{}
	row := regexp.MustCompile(`(?s)</span> (\S+)<span class="unseen">, ([^<]*)</span>.*?<span class="track" aria-hidden="true">(?:<span class="bar" style="left: ([\d.]+)%; width: ([\d.]+)%"></span>)?</span>`)
	for _, m := range row.FindAllStringSubmatch(html, -1) {
		out[m[1]] = m[2]
		if m[3] != "" {
			out[m[1]] += fmt.Sprintf(" | %.4s %.4s", m[3], m[4])
		}
	}
	return out
}

// TestTimeline: steps of the boot are where they were on the droplet, whenever
// the journal was read and whatever its clock said; what overlapped overlaps.
func TestTimeline(t *testing.T) {
	r := told(release.StateFailed)
	r.Happened(release.Event{Time: at(20), Kind: release.KindStep, Step: "undo", State: release.StateRunning, Text: "destroy the candidate"})
	r.Happened(release.Event{Time: at(40), Kind: release.KindStep, Step: "undo", State: release.StateOK, Elapsed: 20 * time.Second})
	got := bars(written(t, r, page.Outcome{Status: 3, Serving: "v1.0.0"}))
	want := map[string]string{
		"create": "done, from 0 ms on | 0 25", "boot": "failed, from 10.0 s on | 25 25",
		"network": "done, from 10.0 s on | 25 5", "packages": "failed, from 12.0 s on | 30 20", "images": "unfinished, from 12.0 s on | 30 20",
		"gate": "not reached", "switch": "not reached", "undo": "done, from 20.0 s on | 50 50",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestBootOfALiar: a droplet's clock and durations may say anything. The bars
// stay within their parent's.
func TestBootOfALiar(t *testing.T) {
	for _, droplet := range []time.Time{{}, time.Unix(1, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		r := told(release.StateOK)
		for _, took := range []time.Duration{-time.Hour, 1<<63 - 1, -1 << 63} {
			r.Happened(release.Event{Time: at(21), Droplet: droplet, Kind: release.KindBoot, Step: "liar", State: release.StateRunning})
			r.Happened(release.Event{Time: at(22), Droplet: droplet.Add(took), Kind: release.KindBoot, Step: "liar", State: release.StateOK, Elapsed: took})
			r.Happened(release.Event{Time: at(22), Droplet: droplet, Kind: release.KindBoot, Step: "late", State: release.StateOK, Elapsed: took})
		}
		for _, m := range regexp.MustCompile(`left: ([^%]*)%; width: ([^%]*)%`).FindAllStringSubmatch(written(t, r, page.Outcome{}), -1) {
			var left, width float64
			if _, err := fmt.Sscan(m[1]+" "+m[2], &left, &width); err != nil || left < 0 || width <= 0 || left+width > 100.001 {
				t.Errorf("a bar at %s", m[0])
			}
		}
	}
}

// switched are ten requests a second for three seconds, of which one fails in
// the moment of the switch.
func switched() (out []probe.Sample) {
	for i := range 30 {
		s := probe.Sample{Asked: at(float64(i) / 10), Ended: at(float64(i)/10 + 0.02), Answered: i != 15, Said: "old"}
		if i > 15 {
			s.Said, s.Ended = "new", at(float64(i)/10+0.045)
		}
		if i == 15 {
			s.Said = ""
		}
		out = append(out, s)
	}
	return out
}

func TestVisits(t *testing.T) {
	r := told(release.StateOK)
	r.Came(&release.Report{Attempt: "new", Visits: switched()})
	html := written(t, r, page.Outcome{})
	contains(t, html,
		"v1.0.0 answered: 15", "v1.1.0 answered: 14", "failed: 1", "1 of 3 allowed", "225 ms of 5.0 s allowed", "<dd>45 ms</dd>",
		"30 requests in 2.9 s, ten a second; v1.0.0 answered at first; v1.1.0 answered from 1.6 s on.",
		`<td>0</td><td class="n">10</td><td class="n">0</td><td class="n">20 ms</td><td>v1.0.0</td>`,
		`<td>1 s</td><td class="n">10</td><td class="n">1</td><td class="n">45 ms</td><td>v1.0.0, then v1.1.0</td>`)
	if n := strings.Count(html, "M"); n < 30 {
		t.Errorf("%d lines in the chart", n)
	}
}

// TestPageIsWholeInItself: nothing is loaded and nothing runs, whatever the
// texts look like: they are text.
func TestPageIsWholeInItself(t *testing.T) {
	const hostile = `<script>alert(1)</script><img src=x onerror=alert(1)>"'><style>*{display:none}</style>` + "\x1b[2J\u202e\x00</pre>javascript:x"
	p := plan()
	p.Release, p.Site.App = hostile, hostile
	p.World.Live.Birth.Release = hostile
	p.Changes = []release.Change{{What: hostile, From: hostile, To: hostile}}
	for i := range p.Steps {
		p.Steps[i].Title = hostile
	}
	r := page.NewRecord("release", hostile)
	r.Planned(p, []page.Difference{{hostile, hostile}}, []string{hostile})
	for _, kind := range []release.Kind{release.KindStep, release.KindBoot, release.KindNotice} {
		for _, state := range []release.State{release.StateRunning, release.StateFailed} {
			r.Happened(release.Event{Time: at(1), Kind: kind, Step: hostile, State: state, Text: hostile, Tail: hostile})
		}
	}
	r.Came(&release.Report{Attempt: "new", IP: hostile, Address: hostile, Visits: switched(), Snapshot: &release.SnapshotReport{Name: hostile},
		Standby: &release.StandbyAfter{Release: hostile}, Watch: &release.WatchReport{Requests: 10, Before: &release.Served{Requests: 5, Errors: 1}},
		Updates: &droplets.Updates{Kernel: &droplets.Update{Name: hostile, From: hostile, To: hostile}, Packages: []droplets.Update{{Name: hostile, From: hostile, To: hostile}}, More: 2}})
	html := written(t, r, page.Outcome{Status: 3, Serving: hostile, Failures: []page.Failure{{hostile, hostile, hostile}}})
	known := strings.Fields("html head meta title style body main header h1 h2 h3 p dl div dt dd section strong pre span ol ul li figure figcaption svg path b details summary table thead tbody tr th td footer")
	harmless := strings.Fields("lang charset colspan http-equiv content name class style aria-hidden aria-label role tabindex viewBox preserveAspectRatio d scope")
	styles := 0
	for _, e := range wellFormed(t, html) {
		if !slices.Contains(known, e.Name.Local) {
			t.Errorf("the element %s", e.Name.Local)
		}
		if e.Name.Local == "style" {
			styles++
		}
		for _, a := range e.Attr {
			if !slices.Contains(harmless, a.Name.Local) || a.Name.Local == "style" && strings.Trim(a.Value, "-abcdefghijklmnopqrstuvwxyz0123456789:;%. ") != "" {
				t.Errorf("the attribute %s=%q", a.Name.Local, a.Value)
			}
		}
	}
	if styles != 1 {
		t.Errorf("%d styles", styles)
	}
	for _, bad := range []string{"\x1b", "\u202e", "\x00", "url(", "@import", "http:", "https:"} {
		if strings.Contains(html, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	contains(t, html, "&lt;script&gt;", "default-src 'none'")
}

// TestNilRecord: without --report nothing is kept.
func TestNilRecord(t *testing.T) {
	var r *page.Record
	r.Planned(plan(), nil, nil)
	r.Happened(release.Event{})
	r.Came(nil)
}

// TestData: how long writes waited, and what was copied meanwhile.
func TestData(t *testing.T) {
	r := told(release.StateOK)
	r.Came(&release.Report{Data: &release.DataReport{Freeze: 1200 * time.Millisecond, Bytes: 104e6, Entries: []release.DataEntry{{Delta: 1.3e6}},
		Backup: "1f2e3d4c", Restored: "5a6b7c8d", From: at(0)}})
	contains(t, written(t, r, page.Outcome{}), "<dt>Writes waited</dt><dd>1.2 s</dd>", "<dd>104.0 MB, 1.3 MB of it while they waited</dd>",
		"<dd>backup 5a6b7c8d of 2026-11-21 12:00:00 UTC</dd>", "<dt>Backup of before</dt><dd>1f2e3d4c</dd>")
}
