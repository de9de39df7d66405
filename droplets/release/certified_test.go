package release

import (
	"strings"
	"testing"
	"time"

	"cattle/droplets"
)

// TestCertified judges certificates that a standby may have.
func TestCertified(t *testing.T) {
	names, now := []string{"a.example", "b.example"}, time.Now()
	for name, tt := range map[string]struct {
		c    *droplets.Certificate
		want string
	}{
		"none":    {nil, ""},
		"good":    {&droplets.Certificate{Names: names, NotAfter: now.Add(time.Hour)}, ""},
		"expired": {&droplets.Certificate{Names: names, NotAfter: now.Add(-time.Second)}, "expired"},
		"narrow":  {&droplets.Certificate{Names: names[:1], NotAfter: now.Add(time.Hour)}, "does not cover b.example"},
	} {
		err := certified(tt.c, names)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNamed: a wildcard has the names one label below, and not its own apex.
func TestNamed(t *testing.T) {
	names := []string{"example.org", "*.example.com"}
	for name, want := range map[string]bool{"example.org": true, "*.example.com": true, "www.example.com": true,
		"example.com": false, "a.b.example.com": false, "www.example.org": false, "com": false} {
		if covers(names, name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
}
