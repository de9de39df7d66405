package cloudinit

import (
	"os"
	"path/filepath"
	"testing"
)

// TestCompiled: after prepare the modules come compiled, those of this very archive.
func TestCompiled(t *testing.T) {
	d := newStateDroplet(t, t.TempDir(), "new")
	find := func(pattern string) []string {
		found, err := filepath.Glob(d.root + "/var/lib/cattle/program/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	d.do("prepare", "--adopt")
	if n := len(find("*/__pycache__/*.pyc")); n < 15 {
		t.Errorf("%d modules are compiled", n)
	}
	first := find("*")
	d.write(first[0][len(d.root):]+"/writes.py", "import machine\ndef writes(_): machine.say({'phase': 'compiled'})\n")
	if from := d.do("writes").Phase; from != "compiled" {
		t.Error("the modules are the archive's still")
	}
	// Another archive has nothing of them, and its own after the next prepare.
	if err := os.Remove(d.root + "/opt/cattle/state"); err != nil {
		t.Fatal(err)
	}
	d.write("/opt/cattle/state", string(Engine()))
	d.wants("engine", "", "", "writes")
	for range 2 {
		d.do("prepare")
	}
	if now := find("*"); len(now) != 1 || now[0] == first[0] {
		t.Errorf("compiled are %v, before %v", now, first)
	}
	d.wants("engine", "", "", "writes")
}
