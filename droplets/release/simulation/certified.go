package simulation

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"cattle/droplets/release"
)

// What a scene has of names and certificates.

// certified has the site's name lead to it, and one that it has not yet; it gets
// its certificate.
func certified(b *Bench) {
	b.T.Helper()
	ip := b.addresses(b.Cloud.Snapshot())[0].IP
	b.Call(http.MethodPost, "/v2/domains", []byte(`{"name":"`+zone+`"}`))
	for _, name := range []string{"blog", "www"} {
		b.Post("/v2/domains/"+zone+"/records", map[string]any{"type": "A", "name": name, "data": ip})
	}
	time.Sleep(10 * time.Minute)
	if len(b.Cloud.Issued()) == 0 {
		b.T.Fatal("there is no certificate")
	}
}

// challenges is where the records are that prove a wildcard, in the zone.
const challenges = "_acme-challenge.blog"

// wild has the profile of a surrounded site name a wildcard.
func wild(b *Bench) {
	surrounded(b)
	b.Site.Domains = []string{"blog." + zone, "*.blog." + zone}
}

// monthLeft has less than a month go by until the certificate ends.
func monthLeft(b *Bench) { time.Sleep(65 * 24 * time.Hour) }

// judgeChallenges wants no record for a challenge to be left, unless somebody was
// killed, or has told of it.
func (b *Bench) judgeChallenges() {
	for _, r := range b.runs {
		if r.killed || strings.Contains(Told(r.err), "challenges in the domain") {
			return
		}
	}
	if !b.Site.DNS {
		return
	}
	for _, r := range b.records() {
		if r.Name == challenges {
			b.violate(accounted, "the record %s %s is left, and nobody is told", r.Type, r.Name)
		}
	}
}

// aNameMore adds a name to the profile, once there is a certificate without it.
func aNameMore(b *Bench) {
	const more = "www." + zone
	if len(b.Cloud.Issued()) > 0 && !slices.Contains(b.Site.Domains, more) {
		b.Site.Domains = append(b.Site.Domains, more)
	}
}

// ReleasesAsking is the verb release, which asks the live droplet first what it
// is, as the command does.
func ReleasesAsking(version string) Verb {
	return func(b *Bench, ctx context.Context, o *release.Operator) (*release.Report, error) {
		w, err := o.SurveyRelease(ctx, b.Site)
		if err != nil {
			return nil, err
		}
		c := b.Candidate(version)
		if told, err := o.AskLive(ctx, w); err == nil {
			c.Live = told.Status
		}
		p, err := release.PlanRelease("release", b.Site, w, c)
		if err != nil {
			return nil, err
		}
		return b.carryOut(ctx, o, p)
	}
}
