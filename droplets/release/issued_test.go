package release

import (
	"testing"
	"time"

	"cattle/droplets"
)

// TestIssuedFor counts those of one exact set of names within a week, and says
// when the next one is free.
func TestIssuedFor(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration, names ...string) droplets.Issuance {
		return droplets.Issuance{At: now.Add(-d).Unix(), Names: names}
	}
	const day = 24 * time.Hour
	ours := []string{"a.example", "b.example"}
	all := []droplets.Issuance{
		ago(7*day, "a.example", "b.example"), ago(time.Hour, "a.example"), ago(time.Hour, "a.example", "b.example", "c.example"),
		ago(6*day, "b.example", "a.example"), ago(5*day, ours...), ago(3*day, ours...), ago(2*day, ours...),
	}
	if got := IssuedFor(ours, all, now); got.Count != 4 || !got.Next.IsZero() {
		t.Errorf("%+v", got)
	}
	all = append(all, ago(time.Hour, ours...))
	if got := IssuedFor(ours, all, now); got.Count != 5 || !got.Next.Equal(now.Add(day)) {
		t.Errorf("%+v", got)
	}
	all = append(all, ago(0, ours...))
	if got := IssuedFor(ours, all, now); got.Count != 6 || !got.Next.Equal(now.Add(2*day)) {
		t.Errorf("%+v", got)
	}
}

// TestCertificateFault refuses what asks for a sixth, and nothing else.
func TestCertificateFault(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	site := Site{Domains: []string{"a.example"}, Limited: true}
	status := func(n int, held ...string) *droplets.MachineStatus {
		s := &droplets.MachineStatus{Certificate: &droplets.Certificate{Names: held}}
		for range n {
			s.Issued = append(s.Issued, droplets.Issuance{At: now.Unix() - 60, Names: site.Domains})
		}
		return s
	}
	unlimited := site
	unlimited.Limited = false
	for name, tt := range map[string]struct {
		site    Site
		c       Candidate
		refused bool
	}{
		"carried":            {site, Candidate{Live: status(5, "a.example")}, false},
		"left behind":        {site, Candidate{Live: status(5, "a.example"), NoHandoff: true}, true},
		"a name more":        {site, Candidate{Live: status(5, "b.example")}, true},
		"a name less":        {site, Candidate{Live: status(5, "a.example", "b.example")}, true},
		"the fifth":          {site, Candidate{Live: status(4, "b.example")}, false},
		"told to":            {site, Candidate{Live: status(5, "b.example"), SpendCertificate: true}, false},
		"not known":          {site, Candidate{NoHandoff: true}, false},
		"another authority":  {unlimited, Candidate{Live: status(5, "b.example")}, false},
		"without any domain": {Site{Limited: true}, Candidate{Live: status(5), NoHandoff: true}, false},
	} {
		if got := (&World{Now: now}).certificateFault("release", tt.site, &tt.c); len(got) > 0 != tt.refused {
			t.Errorf("%s: %v", name, got)
		}
	}
}
