package sandbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
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

// find knows when certificates of the site were issued, and nothing else.
func (p place) find(_ context.Context, args []string) int {
	if !slices.Equal(args, []string{"/etc/letsencrypt/archive", "-name", "cert*.pem", "-printf", `%T@\n`}) {
		return p.fail(1, "find: this machine is a stub, whose find looks for certificates alone")
	}
	var out strings.Builder
	p.with(func(d *droplet, _ time.Time) {
		for _, past := range pastCertificates(d.Disk.Certificates) {
			fmt.Fprintf(&out, "%d.0000000000\n", past.at.Unix())
		}
	})
	if out.Len() == 0 {
		return p.fail(1, "find: '/etc/letsencrypt/archive': No such file or directory")
	}
	fmt.Fprint(p.stdout, out.String())
	return 0
}
