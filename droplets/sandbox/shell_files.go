package sandbox

import (
	"archive/tar"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A keptFile is one that somebody put on a machine or into a container.
type keptFile struct {
	Folder bool      `json:"folder,omitempty"`
	Mode   int64     `json:"mode"`
	Time   time.Time `json:"time"`
	Data   []byte    `json:"data,omitempty"`
}

const (
	accessLogPath = "/var/log/nginx/access.log"
	errorLogPath  = "/var/log/nginx/error.log"
	journalPath   = "/var/lib/cattle/journal"
	stepLogs      = "/var/log/cattle/"
)

// files are all there are at a place, by path, with the folders that they are in.
func (p place) files() map[string]keptFile {
	all := map[string]keptFile{}
	p.with(func(d *droplet, now time.Time) {
		if p.container == "" {
			p.machineFiles(all, d, now)
		} else {
			all["/etc/hostname"] = keptFile{Mode: 0o644, Time: now, Data: []byte(containerID(p.container)[:12] + "\n")}
			all["/tmp"] = keptFile{Folder: true, Mode: 0o1777, Time: now}
			all["/data"] = keptFile{Folder: true, Mode: 0o755, Time: now}
		}
		for name, f := range d.Disk.Files {
			if where, at, _ := strings.Cut(name, ":"); where == p.container {
				all[at] = f
			}
		}
	})
	for name, f := range maps.Clone(all) {
		for at := path.Dir(name); ; at = path.Dir(at) {
			if _, there := all[at]; !there {
				all[at] = keptFile{Folder: true, Mode: 0o755, Time: f.Time}
			}
			if at == "/" {
				break
			}
		}
	}
	return all
}

// machineFiles are what user-data wrote, and what the machine has logged. The
// cloud must be locked.
func (p place) machineFiles(all map[string]keptFile, d *droplet, now time.Time) {
	born := d.Disk.BootAt
	seed := p.cloud.seed(d)
	for name, data := range seed.files {
		all[name] = keptFile{Mode: cmp.Or(seed.modes[name], 0o644), Time: born, Data: data}
	}
	for _, name := range []string{"/root", "/run", "/tmp", "/var/log"} {
		all[name] = keptFile{Folder: true, Mode: 0o755, Time: born}
	}
	all["/proc/meminfo"] = keptFile{Mode: 0o444, Time: now, Data: []byte(p.cloud.memory(d))}
	run := p.cloud.boot(d)
	for _, r := range run.steps {
		if !r.end.IsZero() && !r.end.After(now) && r.state != "skipped" {
			all[stepLogs+r.name+".log"] = keptFile{Mode: 0o600, Time: r.end, Data: []byte(r.tail)}
		}
	}
	for _, name := range []string{journalPath, accessLogPath, accessLogPath + ".1", errorLogPath} {
		if lines, there := p.grown(d, now, name); there {
			all[name] = keptFile{Mode: 0o640, Time: now, Data: []byte(strings.Join(append(lines, ""), "\n"))}
		}
	}
}

// grown is a log that grows, in lines; ok is false while it is not there. The
// cloud must be locked.
func (p place) grown(d *droplet, now time.Time, name string) (lines []string, ok bool) {
	if p.container != "" {
		return nil, false
	}
	nginx, log := p.cloud.vitals(d, now).nginx, p.cloud.logOf(d)
	switch name {
	case journalPath:
		run := p.cloud.boot(d)
		for _, l := range run.journal(now) {
			line, _ := json.Marshal(l) // numbers and text
			lines = append(lines, string(line))
		}
		return lines, !run.began.IsZero() && !run.began.After(now)
	case accessLogPath:
		return log.lines(log.served), nginx
	case accessLogPath + ".1":
		return log.lines(log.rotated), nginx && len(log.rotated) > 0
	case errorLogPath:
		return nil, nginx
	}
	return nil, false
}

// lines are those of a file by now; ok is false while it is not there.
func (p place) lines(name string) (lines []string, ok bool) {
	p.with(func(d *droplet, now time.Time) { lines, ok = p.grown(d, now, name) })
	if ok {
		return lines, true
	}
	f, there := p.files()[name]
	return splitLines(string(f.Data)), there && !f.Folder
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func (p place) cat(_ context.Context, args []string) int {
	if len(args) == 0 {
		io.Copy(p.stdout, p.stdin)
		return 0
	}
	status, all := 0, p.files()
	for _, name := range args {
		switch f, there := all[path.Clean(name)]; {
		case !there:
			status = p.fail(1, "cat: %s: No such file or directory", name)
		case f.Folder:
			status = p.fail(1, "cat: %s: Is a directory", name)
		default:
			p.stdout.Write(f.Data)
		}
	}
	return status
}

// ls lists names, one a line: what it does where nobody sits at a terminal.
func (p place) ls(_ context.Context, args []string) int {
	given, rest, unknown := options(args, map[string]string{"-1": "one", "-a": "all", "-l": "long"})
	if unknown != "" {
		return p.fail(2, "ls: invalid option -- '%s'", strings.TrimLeft(unknown, "-"))
	}
	if len(rest) == 0 {
		rest = []string{"/root"}
	}
	all := p.files()
	f, there := all[path.Clean(rest[0])]
	if !there {
		return p.fail(2, "ls: cannot access '%s': No such file or directory", rest[0])
	}
	names := []string{rest[0]}
	if f.Folder {
		names = inFolder(all, path.Clean(rest[0]))
	}
	for _, name := range names {
		if _, long := given["long"]; long {
			one := all[name]
			kind := map[bool]string{true: "d", false: "-"}[one.Folder]
			fmt.Fprintf(p.stdout, "%s%s 1 root root %d %s ", kind, rwx(one.Mode), len(one.Data), one.Time.UTC().Format("Jan _2 15:04"))
		}
		if f.Folder {
			name = path.Base(name)
		}
		fmt.Fprintln(p.stdout, name)
	}
	return 0
}

// rwx is a mode as ls writes it.
func rwx(mode int64) string {
	text := []byte("rwxrwxrwx")
	for i := range text {
		if mode&(0o400>>i) == 0 {
			text[i] = '-'
		}
	}
	return string(text)
}

// inFolder are the paths right below a folder.
func inFolder(all map[string]keptFile, folder string) (names []string) {
	for name := range all {
		if name != "/" && path.Dir(name) == folder {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// test knows -e, -f and -d.
func (p place) test(_ context.Context, args []string) int {
	if len(args) != 2 {
		return p.fail(2, "test: this stub knows -e, -f and -d")
	}
	f, there := p.files()[path.Clean(args[1])]
	if there && (args[0] == "-e" || args[0] == "-d" && f.Folder || args[0] == "-f" && !f.Folder) {
		return 0
	}
	return 1
}

// tac prints files from their last line to their first.
func (p place) tac(_ context.Context, args []string) int {
	status := 0
	for _, name := range args {
		lines, there := p.lines(path.Clean(name))
		if !there {
			status = p.fail(1, "tac: failed to open '%s' for reading: No such file or directory", name)
		}
		for _, line := range slices.Backward(lines) {
			if _, err := fmt.Fprintln(p.stdout, line); err != nil {
				return 1
			}
		}
	}
	return status
}

// followEvery is how often a log is looked at that is followed. tail's own
// default is a second, where the system does not tell it of changes.
const followEvery = 100 * time.Millisecond

// tail prints a file's last lines, and follows it by its name.
func (p place) tail(ctx context.Context, args []string) int {
	given, rest, unknown := options(args, map[string]string{"--lines": "lines=", "-n": "lines=", "--follow": "follow=", "-F": "F", "-f": "F", "--retry": "retry"})
	if unknown != "" {
		return p.fail(1, "tail: unrecognized option '%s'", unknown)
	}
	n := 10
	if text, ok := given["lines"]; ok {
		var err error
		if n, err = strconv.Atoi(strings.TrimPrefix(text, "+")); err != nil || strings.HasPrefix(text, "+") {
			return p.fail(1, "tail: invalid number of lines: '%s'", text)
		}
	}
	if len(rest) != 1 {
		return p.fail(1, "tail: this stub reads one file")
	}
	_, byName := given["follow"]
	_, short := given["F"]
	lines, there := p.lines(path.Clean(rest[0]))
	if !there {
		status := p.fail(1, "tail: cannot open '%s' for reading: No such file or directory", rest[0])
		if !byName && !short {
			return status
		}
	}
	shown := max(0, len(lines)-n)
	for {
		if len(lines) < shown { // another file of that name
			shown = 0
		}
		for ; shown < len(lines); shown++ {
			if _, err := fmt.Fprintln(p.stdout, lines[shown]); err != nil {
				return 1
			}
		}
		if !byName && !short {
			return 0
		}
		if sleep(ctx, followEvery) != nil {
			return 1
		}
		lines, _ = p.lines(path.Clean(rest[0]))
	}
}

// tar makes or reads an archive, on standard output or input.
func (p place) tar(_ context.Context, args []string) int {
	given, rest, unknown := options(args, map[string]string{"--create": "create", "-c": "create", "--extract": "extract", "-x": "extract",
		"--directory": "directory=", "-C": "directory=", "--no-same-owner": "owner", "--keep-directory-symlink": "keep"})
	folder, there := given["directory"]
	_, create := given["create"]
	_, extract := given["extract"]
	switch {
	case unknown != "":
		return p.fail(64, "tar: unrecognized option '%s'", unknown)
	case !there || create == extract:
		return p.fail(2, "tar: this stub wants --create or --extract, and --directory")
	case !p.files()[path.Clean(folder)].Folder:
		return p.fail(2, "tar: %s: Cannot open: No such file or directory\ntar: Error is not recoverable: exiting now", folder)
	case create && len(rest) != 1:
		return p.fail(2, "tar: Cowardly refusing to create an empty archive")
	case create:
		if !p.archive(path.Join(folder, rest[0])) {
			return p.fail(2, "tar: %s: Cannot stat: No such file or directory\ntar: Exiting with failure status due to previous errors", rest[0])
		}
		return 0
	}
	if err := p.unarchive(path.Clean(folder)); err != nil {
		return p.fail(2, "tar: %v", err)
	}
	return 0
}

// archive writes what is at a path as a tar, under its last name.
func (p place) archive(at string) bool {
	all := p.files()
	if _, there := all[at]; !there {
		return false
	}
	w := tar.NewWriter(p.stdout)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name != at && !strings.HasPrefix(name, strings.TrimSuffix(at, "/")+"/") {
			continue
		}
		f := all[name]
		h := &tar.Header{Typeflag: tar.TypeReg, Name: path.Base(at) + strings.TrimPrefix(name, at), Mode: f.Mode, Size: int64(len(f.Data)), ModTime: f.Time}
		if f.Folder {
			h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		}
		if w.WriteHeader(h) != nil {
			return true
		}
		w.Write(f.Data)
	}
	w.Close()
	return true
}

// unarchive puts the files of a tar into a folder.
func (p place) unarchive(folder string) error {
	t := tar.NewReader(io.LimitReader(p.stdin, maxInput))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return said("Unexpected EOF in archive")
		}
		f := keptFile{Folder: h.Typeflag == tar.TypeDir, Mode: h.Mode, Time: h.ModTime}
		if h.Typeflag != tar.TypeDir && h.Typeflag != tar.TypeReg {
			continue
		}
		if f.Data, err = io.ReadAll(t); err != nil {
			return said("Unexpected EOF in archive")
		}
		p.with(func(d *droplet, _ time.Time) {
			if d.Disk.Files == nil {
				d.Disk.Files = map[string]keptFile{}
			}
			d.Disk.Files[p.container+":"+path.Join(folder, path.Join("/", h.Name))] = f
			p.cloud.touch()
		})
	}
}
