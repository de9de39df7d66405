package look

import "testing"

// TestParseVitals reads what df and proc_meminfo(5) print, and refuses
// what they never would.
func TestParseVitals(t *testing.T) {
	head := "Filesystem        1-blocks        Used   Available Capacity Mounted on"
	used, free, err := parseDisk([]string{head, "/dev/vda1      25294311424 2529431142 22764880282      10% /"})
	if used != 10 || free != 22764880282 || err != nil {
		t.Error(used, free, err)
	}
	for _, line := range []string{"", "/dev/vda1 1 2 3 x% /", "/dev/vda1 1 2 -3 5% /", "/dev/vda1 1 2 3 105% /", "/dev/vda1 1 2"} {
		if _, _, err := parseDisk([]string{head, line}); err == nil {
			t.Errorf("df: %q", line)
		}
	}
	all, left, err := parseMemory([]string{"MemTotal:        1024000 kB", "MemFree:  5 kB", "MemAvailable:     512000 kB", "HugePages_Total:       0"})
	if all != 1024000<<10 || left != 512000<<10 || err != nil {
		t.Error(all, left, err)
	}
	for _, lines := range [][]string{nil, {"MemTotal: x kB"}, {"MemTotal: 1 kB", "MemAvailable: 2 kB"}, {"MemTotal: -1 kB"}} {
		if _, _, err := parseMemory(lines); err == nil {
			t.Errorf("meminfo: %q", lines)
		}
	}
}
