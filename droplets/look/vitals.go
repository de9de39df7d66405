package look

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cattle/droplets"
)

// Vitals are how a droplet is.
type Vitals struct {
	DiskUsed   int   // of its root, in percent
	DiskFree   int64 // bytes
	Memory     int64 // bytes
	MemoryFree int64 // bytes that a program could have
	Reboot     bool  // an update waits for one
}

// Feel asks a droplet for its vitals, with three commands on one connection.
func Feel(ctx context.Context, m *droplets.Machine) (v Vitals, err error) {
	disk, err := answer(ctx, m, "df", "-P", "-B1", "/")
	if err == nil {
		v.DiskUsed, v.DiskFree, err = parseDisk(disk)
	}
	if err != nil {
		return v, err
	}
	memory, err := answer(ctx, m, "cat", "/proc/meminfo")
	if err == nil {
		v.Memory, v.MemoryFree, err = parseMemory(memory)
	}
	if err != nil {
		return v, err
	}
	v.Reboot, err = succeeds(answer(ctx, m, "test", "-e", "/run/reboot-required"))
	return v, err
}

// succeeds tells a command that failed from one that could not be run.
func succeeds(_ []string, err error) (bool, error) {
	var failed *droplets.CommandError
	if errors.As(err, &failed) && failed.Exit == 1 {
		return false, nil
	}
	return err == nil, err
}

// parseDisk reads POSIX's form of df: device, size, used, free, percent, place.
func parseDisk(lines []string) (percent int, free int64, err error) {
	if len(lines) < 2 {
		return 0, 0, errors.New("df says nothing")
	}
	fields := strings.Fields(lines[1])
	if len(fields) < 6 {
		return 0, 0, fmt.Errorf("df says %q", droplets.Line(lines[1]))
	}
	free, err = strconv.ParseInt(fields[3], 10, 64)
	if err == nil {
		percent, err = strconv.Atoi(strings.TrimSuffix(fields[4], "%"))
	}
	if err != nil || percent < 0 || percent > 100 || free < 0 {
		return 0, 0, fmt.Errorf("df says %q", droplets.Line(lines[1]))
	}
	return percent, free, nil
}

// parseMemory reads proc_meminfo(5), whose kB are 1,024 bytes.
func parseMemory(lines []string) (all, free int64, err error) {
	found := map[string]int64{}
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[2] == "kB" {
			n, err := strconv.ParseInt(fields[1], 10, 40)
			if err == nil && n >= 0 {
				found[fields[0]] = n << 10
			}
		}
	}
	all, free = found["MemTotal:"], found["MemAvailable:"]
	if all == 0 || free > all {
		return 0, 0, errors.New("/proc/meminfo names no memory")
	}
	return all, free, nil
}
