package cloudinit

import (
	"archive/zip"
	"bytes"
	"embed"
	"io"
	"io/fs"
	"strings"
)

// Folders with all that is in them: Python's own names begin with underscores.
//
//go:embed all:state
var engine embed.FS // read-only

// Engine is the program that carries the app's state between droplets, as it is
// put at /opt/cattle/state: a Python zipapp. The same version of cattle makes the
// same bytes, anew for each caller, in some milliseconds.
func Engine() []byte { return zipapp(engine) }

// zipapp makes one file of a tree's Python files. It writes to memory, where nothing
// fails: an error is a fault of the program.
func zipapp(tree fs.FS) []byte {
	var out bytes.Buffer
	out.WriteString("#!/usr/bin/python3\n")
	archive := zip.NewWriter(&out)
	archive.SetOffset(int64(out.Len()))
	err := fs.WalkDir(tree, "state", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".py") {
			return err
		}
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		// A header without a time: the bytes do not say when they were packed.
		file, err := archive.CreateHeader(&zip.FileHeader{Name: strings.TrimPrefix(name, "state/"), Method: zip.Deflate})
		if err != nil {
			return err
		}
		_, err = io.Copy(file, bytes.NewReader(content))
		return err
	})
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		panic("the engine cannot be packed: " + err.Error())
	}
	return out.Bytes()
}
