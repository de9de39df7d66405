package page

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/release/probe"
)

// visits are the requests through the reserved IP while it moved, as a chart, as
// figures and as a table.
type visits struct {
	Figures []fact
	Summary string
	Series  []series
	Slowest string // the height of the chart
	Half    string
	Ticks   []tick
	Spans   []span
	Rows    []row
}

// A series is the requests of one kind, each a line from the chart's foot.
type series struct {
	Class string // before, after, other or failed
	Label string
	Count int
	Path  string // of an SVG of 1000 by 100
}

// A span is a time in which one release answered. Left and Width are percent.
type span struct {
	Class, Label string
	Left, Width  float64
}

// A row of the table is one stretch of the time.
type row struct {
	At, Slowest, Who string
	Requests, Failed int
}

const (
	chartWidth  = 1000
	chartHeight = 100
	// mostRows is how long the table may become.
	mostRows = 30
)

func (r *Record) visits() *visits {
	if r.report == nil || len(r.report.Visits) == 0 || r.plan.World.Reserved.DropletID == 0 {
		return nil
	}
	c := chart{samples: r.report.Visits, names: r.names()}
	c.from, c.to = c.samples[0].Asked, c.samples[0].Ended
	for _, s := range c.samples {
		if s.Ended.After(c.to) {
			c.to = s.Ended
		}
		if s.Answered {
			c.slowest = max(c.slowest, s.Ended.Sub(s.Asked))
		}
	}
	c.top = nextRound(c.slowest)
	v := &visits{Slowest: seconds(c.top), Half: seconds(c.top / 2), Series: c.series(), Spans: c.spans(), Rows: c.rows()}
	stats := r.report.Cutover
	if stats.Requests == 0 { // it was refused before they were summed up
		stats = probe.Sum(c.samples, c.to)
	}
	v.Figures = c.figures(stats, r.plan.Site.Cutover)
	v.Summary = c.summary()
	v.Ticks = ticks(max(c.to.Sub(c.from), time.Millisecond))
	return v
}

// A chart is the samples and their scale.
type chart struct {
	samples      []probe.Sample
	from, to     time.Time
	slowest, top time.Duration
	names        map[string]name // attempt's id to who that is
}

type name struct{ class, release string }

// names says who the attempts are that may answer.
func (r *Record) names() map[string]name {
	out := map[string]name{}
	if live := r.plan.World.Live; live != nil && live.Born {
		out[live.Birth.Attempt] = name{"before", live.Birth.Release}
	}
	out[r.report.Attempt] = name{"after", r.plan.Release}
	return out
}

func (c chart) who(s probe.Sample) name {
	if n, ok := c.names[s.Said]; ok {
		return n
	}
	return name{"other", "somebody else"}
}

// at is a time in percent of the chart's width.
func (c chart) at(t time.Time) float64 { return percent(t.Sub(c.from), max(c.to.Sub(c.from), 1)) }

// classes in the order of the legend.
func classes() []string { return []string{"before", "after", "other", "failed"} }

func (c chart) series() (out []series) {
	byClass := map[string]*series{}
	paths := map[string]*strings.Builder{}
	for _, s := range c.samples {
		class, label := "failed", "failed"
		height := float64(chartHeight)
		if s.Answered {
			who := c.who(s)
			class, label = who.class, who.release+" answered"
			height = max(chartHeight*float64(s.Ended.Sub(s.Asked))/float64(c.top), 1)
		}
		if byClass[class] == nil {
			byClass[class], paths[class] = &series{Class: class, Label: label}, &strings.Builder{}
		}
		byClass[class].Count++
		fmt.Fprintf(paths[class], "M%.1f %dV%.1f", c.at(s.Asked)*chartWidth/100, chartHeight, chartHeight-height)
	}
	for _, class := range classes() {
		if s := byClass[class]; s != nil {
			s.Path = paths[class].String()
			out = append(out, *s)
		}
	}
	return out
}

// spans are who answered, from the first answer of each to the next one's.
func (c chart) spans() (out []span) {
	answers := slices.DeleteFunc(slices.Clone(c.samples), func(s probe.Sample) bool { return !s.Answered })
	slices.SortStableFunc(answers, func(a, b probe.Sample) int { return a.Ended.Compare(b.Ended) })
	for _, s := range answers {
		who, at := c.who(s), c.at(s.Ended)
		if n := len(out); n > 0 && out[n-1].Class == who.class {
			continue
		}
		if n := len(out); n > 0 {
			out[n-1].Width = at - out[n-1].Left
		}
		out = append(out, span{Class: who.class, Label: who.release, Left: at})
	}
	if n := len(out); n > 0 {
		out[0].Width, out[0].Left = out[0].Width+out[0].Left, 0
		out[n-1].Width = 100 - out[n-1].Left
	}
	return out
}

// figures are the numbers that the switch is judged by, with their budget.
func (c chart) figures(s probe.Stats, budget release.Cutover) []fact {
	return []fact{
		{"Requests", fmt.Sprint(s.Requests)},
		{"Failed", fmt.Sprintf("%d of %d allowed", s.Failed, budget.Failed)},
		{"Longest gap", fmt.Sprintf("%s of %s allowed", seconds(s.Gap), seconds(budget.Gap))},
		{"Slowest answer", seconds(s.Slowest)},
		{"Median answer", seconds(median(c.samples))},
	}
}

// median is how long an answer took that half of them were faster than; 0
// without any.
func median(samples []probe.Sample) time.Duration {
	var took []time.Duration
	for _, s := range samples {
		if s.Answered {
			took = append(took, s.Ended.Sub(s.Asked))
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// summary is the chart in a sentence, for who does not see it.
func (c chart) summary() string {
	parts := []string{fmt.Sprintf("%d requests in %s, ten a second", len(c.samples), seconds(c.to.Sub(c.from)))}
	for i, s := range c.spans() {
		since := "at first"
		if i > 0 {
			since = fmt.Sprintf("from %s on", seconds(time.Duration(s.Left/100*float64(c.to.Sub(c.from)))))
		}
		parts = append(parts, s.Label+" answered "+since)
	}
	return strings.Join(parts, "; ") + "."
}

func (c chart) rows() []row {
	every := max(roundStep(c.to.Sub(c.from), mostRows), time.Second)
	var out []row
	var slowest time.Duration
	for _, s := range c.samples {
		i := int(s.Asked.Sub(c.from) / every)
		for len(out) <= i {
			out = append(out, row{At: short(time.Duration(len(out)) * every), Slowest: "–", Who: "nobody"})
			slowest = 0
		}
		one := &out[i]
		one.Requests++
		if !s.Answered {
			one.Failed++
			continue
		}
		slowest = max(slowest, s.Ended.Sub(s.Asked))
		one.Slowest = seconds(slowest)
		if who := c.who(s).release; one.Who == "nobody" {
			one.Who = who
		} else if !strings.HasSuffix(one.Who, who) {
			one.Who += ", then " + who
		}
	}
	return out
}

// nextRound is the round number at the top of an axis that has to hold d.
func nextRound(d time.Duration) time.Duration {
	for unit := time.Millisecond; ; unit *= 10 {
		for _, n := range []time.Duration{1, 2, 5} {
			if d <= n*unit {
				return n * unit
			}
		}
	}
}

// short is a time of an axis: its unit, and no fraction that it has not got.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%g s", d.Seconds())
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return d.String()
}
