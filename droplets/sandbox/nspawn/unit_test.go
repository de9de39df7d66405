package nspawn

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct{ ip, local, mac string }{
		{"198.18.0.10", "169.254.1.10", "02:00:c6:12:00:0a"},
		{"198.18.1.255", "169.254.2.255", "02:00:c6:12:01:ff"},
		{"198.18.254.1", "169.254.255.1", "02:00:c6:12:fe:01"},
	} {
		ip := netip.MustParseAddr(c.ip)
		local, err := linkLocal(ip)
		if err != nil || local.String() != c.local || hardware(ip).String() != c.mac {
			t.Errorf("%s has %s and %s (%v), want %s and %s", ip, local, hardware(ip), err, c.local, c.mac)
		}
	}
	for _, ip := range []string{"198.18.255.1", "198.18.168.254", "198.19.0.1", "10.0.0.1"} {
		if local, err := linkLocal(netip.MustParseAddr(ip)); err == nil {
			t.Errorf("%s is taken for a droplet with %s", ip, local)
		}
	}
}

func TestAssignRules(t *testing.T) {
	a, b, none := netip.MustParseAddr("198.18.0.10"), netip.MustParseAddr("198.18.0.11"), netip.Addr{}
	for _, c := range []struct {
		from, to netip.Addr
		want     string
	}{
		{none, a, "add element ip sandbox reserved { 198.19.0.1 : 198.18.0.10 }\n"},
		{a, b, "delete element ip sandbox reserved { 198.19.0.1 }\nadd element ip sandbox reserved { 198.19.0.1 : 198.18.0.11 }\n"},
		{a, none, "delete element ip sandbox reserved { 198.19.0.1 }\n"},
		{none, none, ""},
	} {
		if got := assignRules(netip.MustParseAddr("198.19.0.1"), c.from, c.to); got != c.want {
			t.Errorf("from %s to %s:\n%swant\n%s", c.from, c.to, got, c.want)
		}
	}
}

func TestMissing(t *testing.T) {
	err := missing([]string{"root"}, func(program string) bool { return program != "nft" && program != "mmdebstrap" })
	var m *MissingError
	if !errors.As(err, &m) || strings.Join(m.Missing, " ") != "root mmdebstrap nft" {
		t.Fatalf("missing is %v", err)
	}
	if want := "apt-get install --no-install-recommends mmdebstrap nftables"; m.Install != want {
		t.Errorf("to install: %q, want %q", m.Install, want)
	}
	if want := "booted machines need what is missing here: root, mmdebstrap, nft"; err.Error() != want {
		t.Errorf("it says %q, want %q", err, want)
	}
	if err := missing(nil, func(string) bool { return true }); err != nil {
		t.Errorf("nothing is missing: %v", err)
	}
	if err := missing([]string{"root"}, func(string) bool { return true }); !errors.As(err, &m) || m.Install != "" {
		t.Errorf("without root: %v, install %q", err, m.Install)
	}
}

func TestRecipes(t *testing.T) {
	names := map[string]bool{}
	for _, r := range recipes() {
		got, err := recipeOf(r.Slug)
		if err != nil || got.Suite != r.Suite {
			t.Errorf("recipe of %s: %v, %v", r.Slug, got, err)
		}
		names[r.name()] = true
		for _, p := range r.Packages {
			switch p {
			case "docker.io", "nginx", "certbot", "postfix", "nftables":
				t.Errorf("%s is in no stock image", p)
			}
		}
		changed := r
		changed.Packages = append([]string{"more"}, r.Packages...)
		if changed.name() == r.name() {
			t.Errorf("another recipe of %s has the same name %s", r.Slug, r.name())
		}
		if strings.Contains(r.finish(), "://") {
			t.Error("a mirror's address is in the recipe")
		}
	}
	if len(names) != 2 {
		t.Errorf("names %v, want two", names)
	}
	if _, err := recipeOf("fedora-42-x64"); err == nil || !strings.Contains(err.Error(), "debian-13-x64 and ubuntu-24-04-x64") {
		t.Errorf("an unknown image: %v", err)
	}
}

func TestArchiveOf(t *testing.T) {
	const targets = "Debian|Debian-Security|http://a.example/debian-security/\n" +
		"Node Source|Node Source|https://b.example/\n" +
		"Debian|Debian|http://a.example/debian/\n" +
		"Debian|Debian|http://c.example/debian/\n"
	if got := archiveOf(targets, "Debian"); got != "http://a.example/debian" {
		t.Errorf("Debian's archive is %q", got)
	}
	if got := archiveOf(targets, "Ubuntu"); got != "" {
		t.Errorf("Ubuntu's archive is %q, want none", got)
	}
}

func TestTail(t *testing.T) {
	log := &tail{limit: 10}
	for _, s := range []string{"first\n", "second\n", "\n", "third"} {
		log.Write([]byte(s))
	}
	if got := log.String(); got != "cond\n\nthird" && len(got) != 10 {
		t.Errorf("kept %q", got)
	}
	if got := log.lines(1); len(got) != 1 || got[0] != "third" {
		t.Errorf("the last line is %q", got)
	}
	if got := log.lines(5); len(got) != 2 {
		t.Errorf("the last lines are %q", got)
	}
}

// What the sandbox lays over a root is complete, and a link that is in its
// place is replaced, not followed.
func TestSiteFiles(t *testing.T) {
	root := t.TempDir()
	elsewhere := root + "/elsewhere"
	if err := os.MkdirAll(root+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, root+"/etc/resolv.conf"); err != nil {
		t.Skip("no links here:", err)
	}
	files, err := siteFiles([]byte("PEM"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := f.write(root); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(root + f.path); err != nil || info.Mode() != f.mode || info.Size() == 0 {
			t.Errorf("%s: %v, %v", f.path, info, err)
		}
	}
	if got, _ := os.ReadFile(root + "/etc/resolv.conf"); string(got) != "nameserver 198.18.0.3\n" {
		t.Errorf("resolv.conf is %q", got)
	}
	if _, err := os.Lstat(elsewhere); err == nil {
		t.Error("a link was followed")
	}
	if without, _ := siteFiles(nil); len(without) != len(files)-1 {
		t.Errorf("%d files without an authority, %d with one", len(without), len(files))
	}
}
