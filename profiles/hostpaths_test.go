package profiles

import (
	"context"
	"strings"
	"testing"
)

// TestHostPaths: a folder that is bound is made where there is none, as Compose
// does, unless the compose file says that it is not.
func TestHostPaths(t *testing.T) {
	readArchive(t, "testdata/profiles/state_volume.txt").unpack(t)
	p := mustLoad(t)
	stack, err := p.Stack(context.Background(), "v1.2.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(stack.YAML), "        bind:\n          create_host_path: true\n"); n != 3 {
		t.Errorf("%d of 3 folders are made:\n%s", n, stack.YAML)
	}
	said := []byte("services:\n  web:\n    volumes:\n      - type: bind\n        bind:\n          create_host_path: false\n")
	if got, err := hostPaths(said); err != nil || string(got) != string(said) {
		t.Errorf("%v: %s", err, got)
	}
}
