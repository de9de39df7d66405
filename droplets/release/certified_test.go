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
