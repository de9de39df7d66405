package look

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// made is a tar of entries; a file's content is its name.
func made(t testing.TB, entries ...tar.Header) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range entries {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			io.WriteString(w, h.Name)
		}
	}
	w.Close()
	return &out
}

func file1(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name} }
func dir1(name string) tar.Header  { return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755} }
func link1(kind byte, name, to string) tar.Header {
	return tar.Header{Typeflag: kind, Name: name, Linkname: to}
}

// listing is what there is below a folder: names, permissions, links' ends.
func listing(t testing.TB, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		name, _ := filepath.Rel(dir, path)
		if info.Mode()&fs.ModeSymlink != 0 {
			to, _ := os.Readlink(path)
			out = append(out, name+" -> "+to)
			return err
		}
		out = append(out, name+" "+info.Mode().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestHostileTar unpacks what a droplet that is somebody else's might send:
// nothing outside of the copy is touched.
func TestHostileTar(t *testing.T) {
	outside := "../../victim"
	for name, c := range map[string]struct {
		entries []tar.Header
		outside bool     // *OutsideError
		fails   bool     // or another error
		skipped []string // or it is left out
		left    []string // what is there afterwards
	}{
		"up":              {entries: []tar.Header{dir1("d/"), file1("d/" + outside)}, outside: true},
		"up and down":     {entries: []tar.Header{dir1("d/"), file1("d/../../d/x")}, outside: true},
		"absolute":        {entries: []tar.Header{dir1("d/"), file1("/etc/victim")}, outside: true},
		"another root":    {entries: []tar.Header{dir1("d/"), file1("e/x")}, outside: true},
		"longer root":     {entries: []tar.Header{dir1("d/"), file1("dd/x")}, outside: true},
		"root above":      {entries: []tar.Header{dir1("../"), file1("../victim")}, outside: true},
		"hard link up":    {entries: []tar.Header{dir1("d/"), link1(tar.TypeLink, "d/x", "../victim")}, outside: true},
		"hard link away":  {entries: []tar.Header{dir1("d/"), link1(tar.TypeLink, "d/x", "/etc/passwd")}, outside: true},
		"link away":       {entries: []tar.Header{dir1("d/"), link1(tar.TypeSymlink, "d/x", "/etc")}, skipped: []string{"x -> /etc"}},
		"link up":         {entries: []tar.Header{dir1("d/"), link1(tar.TypeSymlink, "d/x", "..")}, skipped: []string{"x -> .."}},
		"through a link":  {entries: []tar.Header{dir1("d/"), link1(tar.TypeSymlink, "d/x", "../.."), file1("d/x/victim")}, skipped: []string{"x -> ../.."}, fails: true},
		"links in turn":   {entries: []tar.Header{dir1("d/"), dir1("d/a"), link1(tar.TypeSymlink, "d/a/b", ".."), link1(tar.TypeSymlink, "d/c", "a/b/.."), file1("d/c/victim")}, fails: true},
		"over a link":     {entries: []tar.Header{dir1("d/"), file1("d/f"), link1(tar.TypeSymlink, "d/x", "f"), file1("d/x")}, left: []string{"f -rw-r--r--", "x -rw-r--r--"}},
		"over a folder":   {entries: []tar.Header{dir1("d/"), dir1("d/x"), file1("d/x")}, fails: true},
		"device":          {entries: []tar.Header{dir1("d/"), {Typeflag: tar.TypeBlock, Name: "d/sda", Devmajor: 8}}, skipped: []string{"sda"}},
		"fifo":            {entries: []tar.Header{dir1("d/"), {Typeflag: tar.TypeFifo, Name: "d/pipe"}}, skipped: []string{"pipe"}},
		"setuid":          {entries: []tar.Header{dir1("d/"), {Typeflag: tar.TypeReg, Name: "d/sh", Mode: 0o6755}}, left: []string{"sh -rwxr-xr-x"}},
		"only a device":   {entries: []tar.Header{{Typeflag: tar.TypeChar, Name: "d"}}, fails: true},
		"only a link":     {entries: []tar.Header{link1(tar.TypeSymlink, "d", "/etc/passwd")}, fails: true},
		"folder to link":  {entries: []tar.Header{dir1("d/"), dir1("d/x"), file1("d/y"), link1(tar.TypeSymlink, "d/y", "x"), dir1("d/y")}, left: []string{"x drwxr-xr-x", "y -> x"}},
		"closed folder":   {entries: []tar.Header{{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o755}, {Typeflag: tar.TypeDir, Name: "d/x", Mode: 0o500}, file1("d/x/f")}, left: []string{"x dr-x------", "x/f -rw-r--r--"}},
		"an earnest link": {entries: []tar.Header{dir1("./d/"), file1("./d/f"), link1(tar.TypeSymlink, "./d/l", "f"), link1(tar.TypeLink, "./d/h", "./d/f")}, left: []string{"f -rw-r--r--", "h -rw-r--r--", "l -> f"}},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			within := filepath.Join(top, "a", "b")
			if err := os.MkdirAll(within, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(top, "victim"), []byte("untouched"), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := unpack(made(t, c.entries...), filepath.Join(within, "copy"))
			var out *OutsideError
			if errors.As(err, &out) != c.outside || (err != nil) != (c.fails || c.outside) {
				t.Errorf("error %v", err)
			}
			if !slices.Equal(got.Skipped, c.skipped) {
				t.Errorf("left out: %q", got.Skipped)
			}
			if text, _ := os.ReadFile(filepath.Join(top, "victim")); string(text) != "untouched" {
				t.Errorf("the file outside has %q", text)
			}
			for _, line := range listing(t, top) {
				if !strings.HasPrefix(line, "a/b/copy") && line != "a drwxr-xr-x" && line != "a/b drwxr-xr-x" && line != "victim -rw-------" {
					t.Error("outside there is", line)
				}
			}
			if err == nil {
				if left := listing(t, filepath.Join(within, "copy")); !slices.Equal(left, c.left) {
					t.Errorf("there is %q", left)
				}
			}
		})
	}
}

// TestUnpackFile is about one file: over an older one, whole or not at all.
func TestUnpackFile(t *testing.T) {
	dir := t.TempDir()
	to := filepath.Join(dir, "f")
	if err := os.WriteFile(to, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	whole := made(t, tar.Header{Typeflag: tar.TypeReg, Name: "name", Mode: 0o640, ModTime: time.Unix(1e9, 0)}).Bytes()
	if _, err := unpack(bytes.NewReader(whole[:514]), to); err == nil {
		t.Error("half a file is taken for one")
	}
	if left := listing(t, dir); !slices.Equal(left, []string{"f -rw-------"}) {
		t.Errorf("after a half there is %q", left)
	}
	got, err := unpack(bytes.NewReader(whole), to)
	if err != nil || got.Files != 1 || got.Bytes != 4 {
		t.Errorf("%+v, %v", got, err)
	}
	info, _ := os.Stat(to)
	if text, _ := os.ReadFile(to); string(text) != "name" || info.Mode() != 0o640 || info.ModTime().Unix() != 1e9 {
		t.Errorf("%q %v", text, info)
	}
}

// TestPackUnpack sends a folder there and back.
func TestPackUnpack(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(from, "sub/empty"), 0o700), os.WriteFile(filepath.Join(from, "run"), []byte("#!"), 0o750),
		os.WriteFile(filepath.Join(from, "sub/ü "+strings.Repeat("x", 200)), nil, 0o600), os.Symlink("../run", filepath.Join(from, "sub/link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var stream bytes.Buffer
	w := tar.NewWriter(&stream)
	sent, err := pack(w, from, "name")
	if err != nil || w.Close() != nil || sent.Files != 2 {
		t.Fatal(sent, err)
	}
	for r := tar.NewReader(bytes.NewReader(stream.Bytes())); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s tells who owns it here", h.Name)
		}
	}
	got, err := unpack(&stream, filepath.Join(to, "copy"))
	if err != nil || got.Files != 2 || !slices.Equal(listing(t, from), listing(t, filepath.Join(to, "copy"))) {
		t.Errorf("%+v %v\n%q\n%q", got, err, listing(t, from), listing(t, filepath.Join(to, "copy")))
	}
}

// FuzzUnpack lets any tar at all write into a folder: nothing else changes.
func FuzzUnpack(f *testing.F) {
	f.Add("d/x", byte(tar.TypeReg), "", "d/x/y", byte(tar.TypeSymlink), "../..")
	f.Add("d/x", byte(tar.TypeSymlink), "..", "d/x/victim", byte(tar.TypeLink), "d/x")
	f.Fuzz(func(t *testing.T, a string, kindA byte, toA, b string, kindB byte, toB string) {
		top := t.TempDir()
		within := filepath.Join(top, "a")
		os.MkdirAll(within, 0o755)
		var stream bytes.Buffer
		w := tar.NewWriter(&stream)
		for _, h := range []tar.Header{dir1("d/"), {Name: a, Typeflag: kindA, Linkname: toA, Mode: 0o777}, {Name: b, Typeflag: kindB, Linkname: toB, Mode: 0o777}} {
			if w.WriteHeader(&h) != nil {
				t.Skip("no tar")
			}
		}
		w.Close()
		unpack(&stream, filepath.Join(within, "copy"))
		for _, line := range listing(t, top) {
			if line != "a drwxr-xr-x" && !strings.HasPrefix(line, "a/copy") {
				t.Fatalf("outside there is %q", line)
			}
		}
	})
}
