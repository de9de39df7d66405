package look

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"cattle/droplets"
)

// A file is a log in a file, with the one that it was rotated to.
type file struct {
	name    string
	path    string
	parse   parser
	rotated bool // there may be path.1

	last   string // the newest line that was seen; unique, or nearly
	lastAt time.Time
}

// overlap is how many lines tail repeats of those that were read a moment ago.
const overlap = 100

// apart is how much later than the last line one may be that is still taken
// for a repeated one.
const apart = 10 * time.Second

func (f *file) backlog(ctx context.Context, m *droplets.Machine, n int, since time.Time) ([]Entry, error) {
	return f.newest(ctx, m, func(at time.Time, lines int) bool { return lines < n && !at.Before(since) })
}

// newest reads the file from its end, as long as wanted says or until it comes
// to the last line that was seen.
func (f *file) newest(ctx context.Context, m *droplets.Machine, wanted func(at time.Time, lines int) bool) ([]Entry, error) {
	words := []string{"tac", f.path}
	if f.rotated {
		words = append(words, f.path+".1")
	}
	var lines []string
	err := m.Command(ctx, words, nil, func(r io.Reader) error {
		return eachLine(r, func(line string) error {
			at, _, ok := f.parse(line)
			if !ok {
				at = time.Unix(1<<40, 0) // no older than what it belongs to
			}
			if line == f.last && f.last != "" || !wanted(at, len(lines)) {
				if len(lines) == 0 && f.last == "" {
					lines, f.last, f.lastAt = nil, line, at
				}
				return droplets.ErrEnough
			}
			lines = append(lines, line)
			return nil
		})
	})
	var missing *droplets.CommandError
	if errors.As(err, &missing) && missing.Exit == 1 { // a file that is not there yet, or was never rotated
		err = nil
	}
	slices.Reverse(lines)
	return f.read(lines), err
}

// read makes entries of lines that come one after another.
func (f *file) read(lines []string) (out []Entry) {
	for _, line := range lines {
		at, text, ok := f.parse(line)
		if !ok {
			at, text = f.lastAt, line
		}
		f.last, f.lastAt = line, at
		out = append(out, entries(at, f.name, text)...)
	}
	return out
}

// follow reads what was missed, then what comes. The two overlap, so that
// nothing is lost between them; what is repeated ends with the last line.
func (f *file) follow(ctx context.Context, m *droplets.Machine, emit func(Entry)) error {
	missed, err := f.newest(ctx, m, func(at time.Time, _ int) bool { return !at.Before(f.lastAt) })
	if err != nil {
		return err
	}
	give := func(lines ...string) {
		for _, e := range f.read(lines) {
			emit(e)
		}
	}
	for _, e := range missed {
		emit(e)
	}
	var repeated []string
	waiting := f.last != ""
	words := []string{"tail", "--lines=" + strconv.Itoa(overlap), "--follow=name", "--retry", f.path}
	err = m.Command(ctx, words, nil, func(r io.Reader) error {
		return eachLine(r, func(line string) error {
			if !waiting {
				give(line)
				return nil
			}
			at, _, _ := f.parse(line)
			repeated = append(repeated, line)
			switch {
			case line == f.last:
				waiting = false
			case len(repeated) > overlap || at.After(f.lastAt.Add(apart)): // rotated in this moment
				waiting = false
				give(repeated...)
			}
			return nil
		})
	})
	return err
}
