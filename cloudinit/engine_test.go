package cloudinit

import (
	"bytes"
	"os"
	"testing"
)

// TestEnginePacks: the same bytes each time, which python3 runs.
func TestEnginePacks(t *testing.T) {
	if !bytes.Equal(Engine(), Engine()) {
		t.Fatal("packed twice, the engine is not the same")
	}
	path := t.TempDir() + "/state"
	if err := os.WriteFile(path, Engine(), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, path, "nothing")
	if err == nil || !bytes.Contains(out, []byte(`{"error": {"code": "engine"`)) {
		t.Errorf("a verb that it does not know: %v, %s", err, out)
	}
}
