package cloudinit

import (
	"testing"
)

// BenchmarkRender is the whole way from a loaded profile to user-data, and how
// large that is.
func BenchmarkRender(b *testing.B) {
	for name, in := range cases() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var size int
			for b.Loop() {
				u, err := Render(in)
				if err != nil {
					b.Fatal(err)
				}
				size = len(u.Bytes())
			}
			b.ReportMetric(float64(size), "user-data-bytes")
		})
	}
}
