package sandbox

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestEveryRouteHasScopes: a route that the table forgets would refuse every
// limited token, and one that only the table has is none.
func TestEveryRouteHasScopes(t *testing.T) {
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	routes := slices.Sorted(maps.Keys(c.handlers()))
	if table := slices.Sorted(maps.Keys(c.scopes)); !slices.Equal(table, routes) {
		t.Errorf("routes\n%s\nscopes\n%s", strings.Join(routes, "\n"), strings.Join(table, "\n"))
	}
	for route := range c.scopes {
		method, path, _ := strings.Cut(route, " ")
		r, _ := http.NewRequest(method, "http://api.test"+path, nil)
		if _, pattern := c.mux.Handler(r); pattern != route {
			t.Errorf("%s is answered by %q", route, pattern)
		}
	}
}
