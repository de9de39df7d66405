package internet

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestAPIInTheWorld: droplets reach what is public of the API, over TLS alone.
func TestAPIInTheWorld(t *testing.T) {
	asked := ""
	w := newWorld(t, Options{API: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { asked += r.URL.Path + " "; io.WriteString(rw, "{}") })})
	for address, status := range map[string]int{
		"https://api.digitalocean.com/v2/account":        200,
		"https://api.digitalocean.com/_sandbox/requests": 404,
		"http://api.digitalocean.com/v2/account":         404,
	} {
		res, err := w.client.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%s: %d, want %d", address, res.StatusCode, status)
		}
	}
	if strings.TrimSpace(asked) != "/v2/account" {
		t.Errorf("asked for %s", asked)
	}
}
