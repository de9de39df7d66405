package main

import (
	"slices"
	"testing"

	"cattle/profiles"
)

// TestZonesOf: a rehearsal's account holds each name of a profile whose records
// cattle keeps, and no zone within another.
func TestZonesOf(t *testing.T) {
	p := &profiles.Profile{Domains: []string{"www.example.com", "example.com", "blog.example.net"}}
	if got := zonesOf(p); got != nil {
		t.Error("records that nobody keeps:", got)
	}
	p.DNS = "digitalocean"
	if got := zonesOf(p); !slices.Equal(got, []string{"example.com", "blog.example.net"}) {
		t.Error(got)
	}
	p.Domains = []string{"example.com", "*.example.com", "*.shop.example.com", "*.example.net"}
	if got := zonesOf(p); !slices.Equal(got, []string{"example.com", "example.net"}) {
		t.Error("with wildcards:", got)
	}
}
