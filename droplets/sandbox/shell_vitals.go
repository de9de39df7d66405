package sandbox

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// memory is /proc/meminfo of a stub: half of what its size has is in use.
func (c *Cloud) memory(d *droplet) string {
	kb := 1024 * c.shelf.size(d.Size).Memory
	return fmt.Sprintf("MemTotal:       %d kB\nMemFree:        %d kB\nMemAvailable:   %d kB\n", kb, kb/4, kb/2)
}

// df knows -P -B1 /: a tenth of the disk is used.
func (p place) df(_ context.Context, args []string) int {
	if !slices.Equal(args, []string{"-P", "-B1", "/"}) {
		return p.fail(1, "df: this machine is a stub, whose df knows -P -B1 / alone")
	}
	p.with(func(d *droplet, _ time.Time) {
		all := int64(p.cloud.shelf.size(d.Size).Disk) << 30
		fmt.Fprintf(p.stdout, "Filesystem     1-blocks        Used   Available Capacity Mounted on\n/dev/vda1 %d %d %d      10%% /\n", all, all/10, all-all/10)
	})
	return 0
}
