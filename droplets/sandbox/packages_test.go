package sandbox

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestArchiveMovesOn: a machine has the packages of when it booted, and apt
// tells of exactly those that the archive has newer ones of by now.
func TestArchiveMovesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		at := time.Now()
		now := c.archive(at)
		if later := c.archive(at.Add(30 * 24 * time.Hour)); later != now+30 {
			t.Errorf("in 30 days the archive went from %d to %d", now, later)
		}
		c.PublishUpdates()
		published := c.archive(at)
		newer := 0
		for _, p := range stubPackages() {
			if p.at(now) != p.at(published) {
				newer++
			}
		}
		if newer == 0 || newer == len(stubPackages()) {
			t.Errorf("%d of %d packages have updates", newer, len(stubPackages()))
		}
		if i := slices.IndexFunc(stubPackages(), func(p stubPackage) bool { return strings.Contains(p.at(now), "%") }); i >= 0 {
			t.Errorf("version %q", stubPackages()[i].at(now))
		}
	})
}
