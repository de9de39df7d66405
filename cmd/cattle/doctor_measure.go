package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"cattle/droplets"
	"cattle/droplets/measure"
)

// measuredFor is how long a measurement may take: what its cost is worked out from.
const measuredFor = 20 * time.Minute

// measureAccount makes droplets and tells what they did.
func measureAccount(ctx context.Context, std stdio, file string, asJSON, yes bool) error {
	p, err := examined(ctx, std, file)
	if err != nil {
		return err
	}
	defer p.o.Login.Close()
	size, err := p.smallest(ctx)
	if err != nil {
		return err
	}
	cost := 2 * size.PriceHourly * measuredFor.Hours()
	what := fmt.Sprintf("this makes two droplets (%s, %s) and a reserved IP, and ends them again: some minutes, at most $%.3f", size.Slug, p.where.Region, cost)
	if err := confirmed(ctx, std, yes, "yes", what); err != nil {
		return err
	}
	report, err := measure.Measure(ctx, measure.Options{Cloud: p.cloud.Cloud, Dialer: p.o.Dialer, Region: p.where.Region, Size: size.Slug, Image: p.where.Image,
		Say: func(line string) { fmt.Fprintln(std.err, "cattle:", droplets.Printable(line)) }})
	if report == nil {
		return err
	}
	for what, text := range report.Refusals {
		report.Refusals[what] = withoutAddresses(text)
	}
	if asJSON {
		out := struct {
			Type string `json:"message_type"`
			*measure.Report
		}{"measure", report}
		return errors.Join(writeJSON(std.out, out), err)
	}
	return errors.Join(say(std.out, measured(report)), err)
}

// smallest is the cheapest size of the region.
func (p *patient) smallest(ctx context.Context) (droplets.Size, error) {
	sizes, err := p.cloud.Sizes(ctx)
	if err != nil {
		return droplets.Size{}, err
	}
	sizes = slices.DeleteFunc(sizes, func(s droplets.Size) bool { return !s.Available || !slices.Contains(s.Regions, p.where.Region) })
	if len(sizes) == 0 {
		return droplets.Size{}, &usageError{"no size is on offer in " + p.where.Region, "doctl compute region list, and set droplet.region"}
	}
	return slices.MinFunc(sizes, func(a, b droplets.Size) int {
		return int((a.PriceHourly - b.PriceHourly) * 1e6)
	}), nil
}

var address = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+|\b[0-9a-fA-F]*(?::[0-9a-fA-F]*){2,}\b`)

// withoutAddresses is a text of the API that may be shown to anybody.
func withoutAddresses(text string) string {
	return address.ReplaceAllStringFunc(text, func(s string) string {
		if net.ParseIP(s) == nil {
			return s
		}
		return "ADDRESS"
	})
}

// measured is the report as a block for an issue. A 0 was not reached.
func measured(r *measure.Report) string {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-34s %s\n", what, droplets.Printable(fmt.Sprintf(format, args...)))
	}
	line("cattle", "%s", version())
	line("droplets", "%s, %s, %s", r.Size, r.Region, r.Image)
	for i, d := range r.Droplets {
		line(fmt.Sprintf("droplet %d, from its order", i+1), "active %.1f s, sshd %.1f s, end of cloud-init %.1f s", d.Active, d.SSH, d.CloudInit)
		line(fmt.Sprintf("droplet %d, from its delete", i+1), "gone %.1f s", d.Gone)
	}
	m := r.Move
	line("reserved IP made, until it answers", "%.1f s", m.Reserve)
	line("assign, from the request", "accepted %.2f s, done %.1f s, only the new droplet answers %.1f s", m.Accepted, m.Done, m.Seen)
	line("requests meanwhile", "%d, %d failed, longest gap %.2f s, slowest %.2f s", m.Requests, m.Failed, m.Gap, m.Slowest)
	line("an open connection", "%s", m.Open)
	line("addresses of clients", "%s", m.Addresses)
	for _, what := range slices.Sorted(maps.Keys(r.Refusals)) {
		line(what, "%s", r.Refusals[what])
	}
	return b.String()
}
