package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
	"cattle/droplets/look"
)

func cpCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "cp", Usage: "copy a file or a folder from a droplet or a container, or there", ArgsUsage: "SRC DST", OnUsageError: usage,
		Description: "One of both is here, the other one there: live:/path, standby:/path, candidate:/path or ID:/path on a droplet,\n" +
			"SERVICE:/path in a container (of the live droplet, or --to another). A folder that exists is copied into; - is\n" +
			"standard input or output. Permissions are kept; what arrives there is root's.\n\n" +
			"    cattle cp web:/data/blog.db .\n" +
			"    cattle cp dump.sql db:/tmp/\n" +
			"    cattle cp standby:/var/log/cattle logs\n" +
			"    cattle cp live:/etc/nginx/nginx.conf - | less",
		Flags: []cli.Flag{fileFlag(), toFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 2, 2); err != nil {
				return &usageError{"cp needs SRC DST", "cattle cp web:/data/blog.db ."}
			}
			job, err := parseCopy(c.String("to"), c.Args().Get(0), c.Args().Get(1))
			if err != nil {
				return err
			}
			return job.run(c.Context, std, c.String("file"))
		},
	}
}

// A copyJob has one end here and the other one there.
type copyJob struct {
	local    string // "-": standard input or output
	to       string // the droplet
	service  string // "" is the droplet itself
	path     string
	download bool
}

// remoteEnd is NAME:/path; whatever has a slash before the colon is a file here.
var remoteEnd = regexp.MustCompile(`^([^/:]+):(.*)$`)

func parseCopy(to, src, dst string) (job copyJob, err error) {
	from, there := remoteEnd.FindStringSubmatch(src), remoteEnd.FindStringSubmatch(dst)
	end := from
	job.download, job.local = from != nil, dst
	if !job.download {
		end, job.local = there, src
	}
	const hint = "cattle cp web:/data/blog.db . ; a file here with a colon in its name is ./NAME"
	switch {
	case from == nil && there == nil:
		return job, &usageError{"neither SRC nor DST is on a droplet", hint}
	case from != nil && there != nil:
		return job, &usageError{"SRC and DST are both on droplets", "copy it here first: cattle cp " + src + " ."}
	case !path.IsAbs(end[2]) || path.Clean(end[2]) == "/":
		return job, &usageError{fmt.Sprintf("%q is no path from / on of a file or a folder", end[2]), hint}
	}
	job.to, job.path = to, path.Clean(end[2])
	_, err = strconv.Atoi(end[1])
	if err == nil || slices.Contains([]string{"live", "standby", "candidate"}, end[1]) {
		job.to = end[1]
	} else {
		job.service = end[1]
	}
	return job, nil
}

func (job copyJob) run(ctx context.Context, std stdio, file string) error {
	if _, err := os.Stat(job.local); err != nil && !job.download && job.local != "-" {
		return &usageError{err.Error(), "cattle cp --help"}
	}
	t, err := reach(ctx, std, file, job.to)
	if err != nil {
		return err
	}
	defer t.close()
	place := look.Place{Path: job.path}
	if job.service != "" {
		c, err := t.service(ctx, job.service)
		if err != nil {
			return err
		}
		place.Container = c.Name
	}
	p := &progress{std: std, name: path.Base(job.path), began: time.Now(), hidden: !std.errTTY || std.outTTY && job.local == "-"}
	done, err := job.copy(ctx, std, t.machine, place, p.add)
	p.clear()
	if err != nil {
		return err
	}
	fmt.Fprintf(std.err, "cattle: copied %s, %s in %s\n", count(done.Files, "file"), size(done.Bytes), seconds(time.Since(p.began)))
	if len(done.Skipped) > 0 {
		return &leftOut{done.Skipped}
	}
	return nil
}

func (job copyJob) copy(ctx context.Context, std stdio, m *droplets.Machine, place look.Place, add func(int)) (look.Copied, error) {
	switch {
	case job.download && job.local == "-":
		out := std.raw.out
		if std.outTTY {
			out = std.out
		}
		return place.Print(ctx, m, out, add)
	case job.download:
		return place.Fetch(ctx, m, job.local, add)
	case job.local == "-":
		return place.SendFile(ctx, m, std.in, "stdin", add)
	}
	return place.Send(ctx, m, job.local, add)
}

// leftOut is the failure of a copy that is not whole.
type leftOut struct{ names []string }

func (e *leftOut) Error() string {
	const most = 5
	shown := e.names[:min(most, len(e.names))]
	more := ""
	if n := len(e.names) - most; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return "left out, because it is no file or leads out of the copy: " + droplets.Line(strings.Join(shown, ", ")) + more
}

// progress shows in a terminal how much has been copied.
type progress struct {
	std    stdio
	name   string
	began  time.Time
	hidden bool

	mu    sync.Mutex
	bytes int64
	drawn time.Time
}

func (p *progress) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes += int64(n)
	if now := time.Now(); !p.hidden && now.Sub(p.drawn) > 100*time.Millisecond {
		p.drawn = now
		rate := float64(p.bytes) / max(now.Sub(p.began).Seconds(), 0.001)
		line := fmt.Sprintf("%s  %s  %s/s", p.name, size(p.bytes), size(int64(rate)))
		if width := p.std.columns(); width > 0 && len(line) >= width {
			line = line[max(0, len(line)-width+1):]
		}
		io.WriteString(p.std.raw.err, "\r\x1b[K"+droplets.Line(line))
	}
}

func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.drawn.IsZero() {
		io.WriteString(p.std.raw.err, "\r\x1b[K")
	}
}

// size is bytes for people, in units of 1000.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	for _, unit := range strings.Fields("kB MB GB") {
		if f /= 1000; f < 999.5 {
			return fmt.Sprintf("%.1f %s", f, unit)
		}
	}
	return fmt.Sprintf("%.1f TB", f/1000)
}
