package profiles

import (
	"testing"
)

// TestFaults loads every case of testdata/faults and compares all that is
// printed: place, severity, message, source line, caret and hint.
func TestFaults(t *testing.T) {
	for _, path := range archives(t, "faults") {
		t.Run(caseName(path), func(t *testing.T) {
			a := readArchive(t, path)
			a.unpack(t)
			p, faults := Load("cattle.yaml", Options{SecretNames: lineNames})
			if len(faults) == 0 {
				t.Fatal("no fault was found")
			}
			if (p == nil) != faults.HasErrors() {
				t.Errorf("profile %v with errors %v", p != nil, faults.HasErrors())
			}
			a.golden(t, path, "want", faults.Error()+"\n")
		})
	}
}
