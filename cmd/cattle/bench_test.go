package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkStartup is the whole process, from exec to exit: of what does least,
// and of a look at the cloud, in an account of a thousand droplets.
func BenchmarkStartup(b *testing.B) {
	bin := filepath.Join(b.TempDir(), "cattle")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as releases are
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(bin)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("help", func(b *testing.B) {
		timed(b, func() *exec.Cmd { return exec.Command(bin, "--help") })
		b.ReportMetric(float64(info.Size())/1e6, "binary-MB")
	})
	b.Run("status", func(b *testing.B) {
		site := crowdedAccount(b, bin)
		b.ResetTimer()
		timed(b, func() *exec.Cmd { return site.command("status") })
		b.ReportMetric(float64(len(site.box.cloud.Requests()))/float64(b.N), "calls/op")
	})
}

// timed runs a command again and again, and reports the median beside the mean,
// which whatever else the computer does makes larger, and the most memory that
// a run had in RAM.
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
	if resident, ok := residentMB(command()); ok {
		b.ReportMetric(resident, "RSS-MB")
	}
}

// residentMB is asked of GNU time, where that is installed: of a child of this
// process Linux would tell this process's own memory, which is larger.
func residentMB(cmd *exec.Cmd) (float64, bool) {
	timer := exec.Command("/usr/bin/time", append([]string{"--quiet", "-f", "%M", "--"}, cmd.Args...)...)
	timer.Dir, timer.Env = cmd.Dir, cmd.Env
	var told bytes.Buffer
	timer.Stderr = &told
	if timer.Run() != nil {
		return 0, false
	}
	lines := strings.Fields(told.String())
	kib, err := strconv.ParseFloat(lines[len(lines)-1], 64)
	return kib * 1024 / 1e6, err == nil
}
