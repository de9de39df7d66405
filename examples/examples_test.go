package examples_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"cattle/examples"
	"cattle/profiles"
	"cattle/secrets"
)

// TestExamplesAreRight copies each example out of the binary and checks it as
// `cattle check --strict` does.
func TestExamplesAreRight(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, examples.FS); err != nil {
		t.Fatal(err)
	}
	paths, err := fs.Glob(examples.FS, "*/cattle.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		p, faults := profiles.Load(filepath.Join(dir, path), profiles.Options{SecretNames: secrets.Names})
		for _, f := range faults {
			t.Error(f)
		}
		if faults.HasErrors() {
			continue
		}
		if _, err := p.Stack(t.Context(), "v1.0.0", nil); err != nil {
			t.Error(err)
		}
		if _, err := fs.Stat(examples.FS, filepath.Dir(path)+"/README.md"); err != nil {
			t.Error(err)
		}
	}
}
