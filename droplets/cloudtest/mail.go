package cloudtest

import (
	"archive/tar"
	"bytes"
	"testing"
)

// mail waits nowhere yet. What is no mail by its name, or no file, is not taken.
func (m Target) mail(t *testing.T) {
	if !m.Mails {
		m.lacks(t, "mail", "install-mail")
		return
	}
	for range 2 {
		if out := m.want(t, "mail", nil); len(out) > 0 {
			t.Errorf("%d bytes of mail, where none waits", len(out))
		}
	}
	if _, _, exit := m.Exec(m.context(t), "install-mail", bytes.Repeat([]byte("no tar "), 200)); exit == 0 {
		t.Error("nonsense was taken for mail")
	}
	strange := []tar.Header{
		{Typeflag: tar.TypeReg, Name: "hold/no.name", Mode: 0o700},
		{Typeflag: tar.TypeReg, Name: "active/4Q1z", Mode: 0o700},
		{Typeflag: tar.TypeSymlink, Name: "hold/4Q2z", Linkname: "/etc/passwd"},
	}
	for _, of := range [][]tar.Header{nil, strange, {{Typeflag: tar.TypeSymlink, Name: "hold", Linkname: "/etc"}}} {
		if out := m.want(t, "install-mail", tarOf(t, of)); len(out) > 0 {
			t.Errorf("of %v it took %q", of, out)
		}
	}
	m.want(t, "mail", nil)
}

func tarOf(t *testing.T, headers []tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
