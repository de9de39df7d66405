package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"cattle/cmd/cattle/terminal"
	"cattle/droplets/release"
)

type planJSON struct {
	Type    string       `json:"message_type"`
	Verb    string       `json:"verb"`
	App     string       `json:"app"`
	Release string       `json:"release"`
	IP      string       `json:"reserved_ip,omitempty"`
	Steps   []stepJSON   `json:"steps"`
	Changes []changeJSON `json:"changes"`
	Diff    *difference  `json:"diff,omitempty"`
	Cost    costJSON     `json:"cost"`
	Quota   *quotaJSON   `json:"quota,omitempty"`
	Issued  *issuedJSON  `json:"certificates,omitempty"`
	Notices []string     `json:"notices,omitempty"`
}

type changeJSON struct {
	What string `json:"what"`
	From string `json:"from"`
	To   string `json:"to"`
}

// costJSON is in US dollars.
type costJSON struct {
	Monthly float64 `json:"monthly_usd"`
	Before  float64 `json:"monthly_usd_before"`
	Overlap float64 `json:"overlap_usd_hourly"`
}

type stepJSON struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

type quotaJSON struct {
	Droplets int `json:"droplets"`
	Limit    int `json:"limit"`
}

// issuedJSON are certificates that were issued in the last seven days for one
// exact set of names, as far as the live droplet knows.
type issuedJSON struct {
	Names  []string   `json:"names"`
	Issued int        `json:"issued"`
	Limit  int        `json:"limit"`
	Next   *time.Time `json:"next,omitempty"` // when the next may be asked for
}

// issuedToJSON is nil where there are none.
func issuedToJSON(i release.Issued) *issuedJSON {
	if i.Count == 0 {
		return nil
	}
	out := &issuedJSON{Names: i.Names, Issued: i.Count, Limit: release.CertificatesPerSet}
	if !i.Next.IsZero() {
		out.Next = &i.Next
	}
	return out
}

// planNames is how wide the names of a plan's lines are; hooks have longer ones.
const planNames = 15

// printPlan writes the plan for people, folded at width columns (0: not at
// all), or for programs.
func printPlan(w io.Writer, width int, p *release.Plan, differs *difference, notices []string, asJSON bool) error {
	if asJSON {
		out := planToJSON(p, notices)
		out.Diff = differs
		return writeJSON(w, out)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s\n", strings.TrimSpace(p.Verb+" "+p.Release), p.Site.App)
	numbered, names := make([]string, len(p.Steps)), planNames
	for i, s := range p.Steps {
		numbered[i] = fmt.Sprintf("%d. %s", i+1, s.Name)
		names = max(names, len(numbered[i]))
	}
	row := func(name, text string) {
		fmt.Fprintf(&b, "  %-*s %s\n", names, name, terminal.Fold(text, width-names-3, names+3))
	}
	for i, s := range p.Steps {
		row(numbered[i], s.Title)
	}
	for _, c := range p.Changes {
		row(c.What+":", orNone(c.From)+" → "+orNone(c.To))
	}
	for _, r := range differs.rows() {
		row(r.What+":", r.Text)
	}
	if limit := p.World.Account.DropletLimit; limit > 0 {
		row("quota:", fmt.Sprintf("%d of %d droplets now, one more while it runs", p.World.InAccount, limit))
	}
	if p.Issued.Count > 0 && p.Site.Limited {
		row("certificates:", p.Issued.String())
	}
	row("cost:", cost(p.Cost))
	for _, n := range notices {
		row("note:", n)
	}
	return say(w, b.String())
}

func planToJSON(p *release.Plan, notices []string) planJSON {
	out := planJSON{Type: "plan", Verb: p.Verb, App: p.Site.App, Release: p.Release, IP: p.World.Reserved.IP,
		Cost: costJSON(p.Cost), Notices: notices, Changes: []changeJSON{}, Steps: []stepJSON{}} // lists, never null
	for _, c := range p.Changes {
		out.Changes = append(out.Changes, changeJSON(c))
	}
	for _, s := range p.Steps {
		out.Steps = append(out.Steps, stepJSON{s.Name, s.Title})
	}
	if limit := p.World.Account.DropletLimit; limit > 0 {
		out.Quota = &quotaJSON{p.World.InAccount, limit}
	}
	if p.Site.Limited {
		out.Issued = issuedToJSON(p.Issued)
	}
	return out
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func cost(c release.Cost) string {
	s := fmt.Sprintf("$%.2f a month afterwards ($%.2f now)", c.Monthly, c.Before)
	if c.Overlap > 0 {
		s += fmt.Sprintf("; the overlap $%.4f an hour", c.Overlap)
	}
	return s
}

func printReport(w io.Writer, r *release.Report, asJSON bool) error {
	if asJSON {
		return writeJSON(w, struct {
			Type string `json:"message_type"`
			*release.Report
		}{"result", r})
	}
	if r.Verb == "bake" {
		return say(w, bakeReport(r))
	}
	return say(w, reportText(r))
}

// reportText is what came of a release, rebuild or rollback, for people.
func reportText(r *release.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s is live at %s, on droplet %d (%s), after %s\n", r.App, r.Release, r.IP, r.Droplet, r.Address, seconds(r.Took))
	if s := r.Snapshot; s != nil {
		fmt.Fprintf(&b, "it began from the snapshot %s of %s\n", s.Name, s.Ago)
	}
	if c := r.Cutover; c.Requests > 0 {
		fmt.Fprintf(&b, "switch: %s, %d failed, longest gap %d ms\n", count(c.Requests, "request"), c.Failed, c.Gap.Milliseconds())
	}
	if w := r.Watch; w != nil {
		fmt.Fprintf(&b, "watched for %s: %s, %d failed", seconds(w.Took), count(w.Requests, "request"), w.Errors)
		if w.Before != nil {
			fmt.Fprintf(&b, "; before: %s, %d failed", count(w.Before.Requests, "request"), w.Before.Errors)
		}
		b.WriteByte('\n')
	}
	b.WriteString(dataText(r.Data))
	if r.NewIP && r.DNS {
		fmt.Fprintf(&b, "the reserved IP is new, and your domain leads to it; write it down in the profile: reserved_ip: %s\n", r.IP)
	} else if r.NewIP {
		fmt.Fprintf(&b, "the reserved IP is new: point your domain at %s, and write it down in the profile: reserved_ip: %s\n", r.IP, r.IP)
	}
	b.WriteString(updatesText(r.Updates, ""))
	if r.Standby != nil {
		fmt.Fprintf(&b, "standby: %s; to go back: cattle rollback\n", r.Standby.Release)
	}
	return b.String()
}
