package cloudtest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

const historyPath = "var/lib/cattle/history"

// history is kept as it is given, within bounds, and goes from machine to
// machine with the certificates.
func (m Target) history(t *testing.T) {
	m.says(t, "{}")
	for name, in := range map[string]string{"nothing": "", "no object": "x\n", "no manifest": "{}\nx\n"} {
		if _, _, exit := m.Exec(m.context(t), "record", []byte(in)); exit == 0 {
			t.Errorf("%s was taken for an entry", name)
		}
	}
	m.says(t, "{}")
	const first, second, made = `{"n":1,"by":"é ' \" $x"}`, `{"n":2}`, `{"release":"v1"}`
	m.record(t, first+"\n"+made+"\n")
	m.says(t, made, first)
	m.record(t, second+"\n")
	m.says(t, made, first, second)

	tree := m.want(t, "certificates", nil)
	if got := historyIn(t, tree); got != first+"\n"+second+"\n" {
		t.Errorf("with the certificates goes the history %q", got)
	}
	m.record(t, `{"n":3}`)
	m.want(t, "install-certificates", tree)
	m.says(t, made, first, second)
	var none bytes.Buffer
	tar.NewWriter(&none).Close()
	m.want(t, "install-certificates", none.Bytes())
	m.says(t, made, first, second)
	m.bounds(t)
}

// bounds: 500 entries, 256 KiB; what is oldest goes first, in whole lines.
func (m Target) bounds(t *testing.T) {
	var many []string
	for i := range 700 {
		many = append(many, fmt.Sprintf(`{"n":%d}`, i))
	}
	m.want(t, "install-certificates", withHistory(t, strings.Join(many, "\n")+"\n"))
	m.record(t, `{"n":700}`)
	if got := m.entries(t); len(got) != 500 || got[0] != `{"n":201}` || got[499] != `{"n":700}` {
		t.Errorf("of 701 entries there are %d, from %s on", len(got), got[0])
	}
	long := `{"n":"` + strings.Repeat("x", 100<<10) + `"}`
	for range 3 {
		m.record(t, long)
	}
	if got := m.entries(t); len(got) != 2 || got[0] != long || got[1] != long {
		t.Errorf("of 300 KiB there are %d entries", len(got))
	}
}

func (m Target) record(t *testing.T, in string) {
	t.Helper()
	if said := strings.TrimSpace(string(m.want(t, "record", []byte(in)))); said != "recorded" {
		t.Errorf("record says %q", said)
	}
}

// says wants these lines of the verb history.
func (m Target) says(t *testing.T, want ...string) {
	t.Helper()
	if got := string(m.want(t, "history", nil)); got != strings.Join(want, "\n")+"\n" {
		t.Errorf("history says\n%swant %q", got, want)
	}
}

func (m Target) entries(t *testing.T) []string {
	t.Helper()
	return strings.Split(strings.TrimRight(string(m.want(t, "history", nil)), "\n"), "\n")[1:]
}

func historyIn(t *testing.T, tree []byte) string {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(tree)); ; {
		h, err := r.Next()
		if err != nil {
			t.Errorf("no history goes with the certificates: %v", err)
			return ""
		}
		if h.Name == historyPath {
			b, err := io.ReadAll(r)
			if err != nil {
				t.Error(err)
			}
			return string(b)
		}
	}
}

func withHistory(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: historyPath, Mode: 0o600, Size: int64(len(text))})
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
