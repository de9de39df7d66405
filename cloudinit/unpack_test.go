package cloudinit

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"testing"
)

func (w written) content(t *testing.T) []byte {
	t.Helper()
	if w.Encoding == "" {
		return []byte(w.Content)
	}
	packed, err := base64.StdEncoding.DecodeString(w.Content)
	if err != nil || w.Encoding != "gz+b64" {
		t.Fatal(w.Path, w.Encoding, err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
