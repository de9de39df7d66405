package sandbox

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// A machine keeps the history of its site: lines of JSON that it is given, and
// does not read. What is oldest goes first.
const (
	historyPath = "var/lib/cattle/history"
	maxEntries  = 500
	maxHistory  = 256 << 10 // bytes, with the ends of lines
)

// record takes an entry and, in a second line, what this machine was made of.
func (s *session) record() int {
	b, err := io.ReadAll(io.LimitReader(s.stdin, maxInput))
	given := strings.SplitN(strings.TrimRight(string(b), "\n"), "\n", 3)
	if err != nil || slices.ContainsFunc(given[:min(2, len(given))], notObject) {
		return s.fail(1, "record: stdin is no entry")
	}
	s.with(func(d *droplet, _ time.Time) {
		d.Disk.History = youngest(append(slices.Clone(d.Disk.History), given[0]))
		if len(given) > 1 {
			d.Disk.Manifest = given[1]
		}
		s.cloud.touch()
	})
	fmt.Fprintln(s.stdout, "recorded")
	return 0
}

func notObject(line string) bool {
	var o map[string]any
	return json.Unmarshal([]byte(line), &o) != nil
}

// youngest are as many of the last lines as are kept.
func youngest(lines []string) []string {
	from, bytes := len(lines), 0
	for from > 0 && len(lines)-from < maxEntries {
		if bytes += len(lines[from-1]) + 1; bytes > maxHistory {
			break
		}
		from--
	}
	return lines[from:]
}

// history prints what record was given: the last manifest, and the entries.
func (s *session) history() int {
	out := "{}\n"
	s.with(func(d *droplet, _ time.Time) {
		if d.Disk.Manifest != "" {
			out = d.Disk.Manifest + "\n"
		}
		for _, line := range d.Disk.History {
			out += line + "\n"
		}
	})
	if _, err := io.WriteString(s.stdout, out); err != nil {
		return 1
	}
	return 0
}

// packHistory adds the history to a tar of certificates.
func packHistory(tree []byte, history []string) ([]byte, error) {
	if len(history) == 0 {
		return tree, nil
	}
	text := []byte(strings.Join(history, "\n") + "\n")
	return rewrite(tree, func(*tar.Header, []byte) bool { return true },
		&tar.Header{Typeflag: tar.TypeReg, Name: historyPath, Mode: 0o600, Size: int64(len(text))}, text)
}

// unpackHistory takes it out again; nil where there is none.
func unpackHistory(b []byte) (tree []byte, history []string, err error) {
	tree, err = rewrite(b, func(h *tar.Header, content []byte) bool {
		if path.Clean("/"+h.Name) != "/"+historyPath || h.Typeflag != tar.TypeReg {
			return true
		}
		history = strings.Split(strings.TrimRight(string(content), "\n"), "\n")
		return false
	}, nil, nil)
	if history == nil {
		tree = b // to the byte
	}
	return tree, history, err
}

// rewrite copies the members of a tar that are to stay, and adds one.
func rewrite(from []byte, stays func(*tar.Header, []byte) bool, more *tar.Header, text []byte) ([]byte, error) {
	var b bytes.Buffer
	r, w := tar.NewReader(bytes.NewReader(from)), tar.NewWriter(&b)
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err == nil && h.Size > maxPEM {
			err = fmt.Errorf("%s is larger than %d bytes", h.Name, maxPEM)
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		if stays(h, content) {
			if err := put(w, h, content); err != nil {
				return nil, err
			}
		}
	}
	if more != nil {
		if err := put(w, more, text); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func put(w *tar.Writer, h *tar.Header, content []byte) error {
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}
