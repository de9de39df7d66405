package profiles

import (
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkLoad reads the shortest profile: what every command does first.
func BenchmarkLoad(b *testing.B) {
	path := filepath.Join(b.TempDir(), "cattle.yaml")
	text := "app: blog\ndomain: blog.example.com\nimage: ghcr.io/me/blog\nport: 8000\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p, faults := Load(path, Options{})
		if faults.HasErrors() {
			b.Fatal(faults)
		}
		if _, err := p.Stack(b.Context(), "v1.0.0", nil); err != nil {
			b.Fatal(err)
		}
	}
}
