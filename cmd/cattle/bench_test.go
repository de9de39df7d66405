package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// BenchmarkStartup is the whole process, from exec to exit: of what does least,
// and of a look at the cloud, in an account of a thousand droplets.
func BenchmarkStartup(b *testing.B) {
	bin := filepath.Join(b.TempDir(), "cattle")
	if out, err := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(bin)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("help", func(b *testing.B) {
		timed(b, func() *exec.Cmd { return exec.Command(bin, "--help") })
		b.ReportMetric(float64(info.Size())/1e6, "MB")
	})
	b.Run("status", func(b *testing.B) {
		site := crowdedAccount(b, bin)
		b.ResetTimer()
		timed(b, func() *exec.Cmd { return site.command("status") })
		b.ReportMetric(float64(len(site.box.cloud.Requests()))/float64(b.N), "calls/op")
	})
}

// timed runs a command again and again, and reports the median beside the mean,
// which whatever else the computer does makes larger.
func timed(b *testing.B, command func() *exec.Cmd) {
	var took []time.Duration
	for b.Loop() {
		cmd := command()
		start := time.Now()
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
	b.ReportMetric(float64(took[0].Microseconds())/1000, "least-ms")
}
