//go:build live

package cloudtest

import (
	"os"
	"testing"
)

// TestLive runs the suite on a real account, after it ended what an earlier
// run left. docs/live.md says what it makes and what it costs:
//
//	CATTLE_LIVE=yes DIGITALOCEAN_ACCESS_TOKEN=… go test -tags live -v -timeout 30m ./droplets/cloudtest/
func TestLive(t *testing.T) {
	token := os.Getenv("DIGITALOCEAN_ACCESS_TOKEN")
	if os.Getenv("CATTLE_LIVE") != "yes" || token == "" {
		t.Fatal("this spends money: set CATTLE_LIVE=yes and DIGITALOCEAN_ACCESS_TOKEN")
	}
	base := os.Getenv("DIGITALOCEAN_API_URL")
	if base == "" {
		base = "https://api.digitalocean.com"
	}
	api := API{BaseURL: base, Token: token, Domain: os.Getenv("CATTLE_LIVE_DOMAIN")}
	Sweep(t, api)
	Run(t, api)
}
