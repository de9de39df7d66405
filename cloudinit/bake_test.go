package cloudinit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cattle/profiles"
)

// baking is the fullest profile's baking droplet.
func baking(image string) Input {
	in := full(image)
	in.Bake = true
	return in
}

// packagesAlone is a bake before anything was released.
func packagesAlone(image string) Input {
	in := baking(image)
	in.Release, in.Stack, in.Images, in.Sealed = "", &profiles.Stack{}, nil, nil
	return in
}

// TestBakeHasNothingOfTheApp: what is the app's, or one droplet's alone, is not
// in a bake's user-data, with few exceptions that strip takes away.
func TestBakeHasNothingOfTheApp(t *testing.T) {
	for _, image := range images() {
		for _, in := range []Input{baking(image), packagesAlone(image)} {
			// Sensitive above all: delivered over SSH, whatever the profile says.
			in.Profile.Secrets.Deliver = profiles.DeliverUserData
			u := render(t, in)
			for _, f := range u.Files() {
				if bytes.Contains(f.Content, []byte(testIdentity)) {
					t.Errorf("%s holds the age key", f.Path)
				}
				if strings.HasPrefix(f.Path, "/srv/") || strings.HasPrefix(f.Path, "/etc/nginx/") || strings.Contains(f.Path, "compose") ||
					strings.Contains(f.Path, "cattle-app") || strings.Contains(f.Path, "cattle-cron") {
					t.Errorf("%s is the app's", f.Path)
				}
			}
			if sealed := file(u, "/etc/cattle/secrets.sops") != ""; sealed != (in.Sealed != nil) {
				t.Errorf("sealed secrets: %t", sealed)
			}
			if uses := file(u, "/etc/cattle/uses.json"); strings.Contains(uses, "SMTP") || strings.Contains(uses, "ADMINS") {
				t.Errorf("it uses more than the registries' logins: %s", uses)
			}
		}
	}
}

func file(u *UserData, path string) string {
	i := slices.IndexFunc(u.Files(), func(f File) bool { return f.Path == path })
	if i < 0 {
		return ""
	}
	return string(u.Files()[i].Content)
}

// TestWrittenIsWhole: strip takes away what this list has.
func TestWrittenIsWhole(t *testing.T) {
	u := render(t, baking(images()[0]))
	list := strings.Split(strings.TrimSuffix(file(u, "/etc/cattle/written"), "\n"), "\n")
	for _, f := range u.Files() {
		if !slices.Contains(list, f.Path) {
			t.Errorf("%s is not in the list", f.Path)
		}
	}
	if len(list) != len(u.Files()) {
		t.Errorf("%d files, a list of %d", len(u.Files()), len(list))
	}
	if other := render(t, full(images()[0])); file(other, "/etc/cattle/written")+file(other, "/opt/cattle/strip")+file(other, "/opt/cattle/bake") != "" {
		t.Error("a droplet that is no baking one can strip itself")
	}
}

func TestPackagesDigest(t *testing.T) {
	digest := func(change func(*Input)) string {
		in := full(images()[0])
		change(&in)
		got, err := PackagesDigest(in.Profile, in.SOPS)
		if err != nil {
			t.Fatal(err)
		}
		if in.Bake = true; !strings.Contains(file(render(t, in), "/etc/cattle/settings"), "PACKAGES_DIGEST='"+got+"'\n") {
			t.Errorf("the droplet does not know its own digest %s", got)
		}
		return got
	}
	base := digest(func(*Input) {})
	for name, c := range map[string]struct {
		change func(*Input)
		same   bool
	}{
		"release":  {func(in *Input) { in.Release = "v9" }, true},
		"routes":   {func(in *Input) { in.Profile.Routes = nil }, true},
		"order":    {func(in *Input) { in.Profile.Packages = []string{"nginx", "htop"} }, true},
		"packages": {func(in *Input) { in.Profile.Packages = []string{"ncdu"} }, false},
		"mail":     {func(in *Input) { in.Profile.Mail = nil }, false},
		"image":    {func(in *Input) { in.Profile.Droplet.Image = images()[1] }, false},
		"sops":     {func(in *Input) { in.SOPS = Download{URL: "https://x", SHA256: strings.Repeat("0", 64)} }, false},
	} {
		if got := digest(c.change); (got == base) != c.same || len(got) != 32 {
			t.Errorf("%s changed: digest %s, before %s", name, got, base)
		}
	}
	if _, err := PackagesDigest(&profiles.Profile{Droplet: profiles.Droplet{Image: "centos-9"}}, Download{}); err == nil {
		t.Error("an image that nothing is rendered for has a digest")
	}
}

// stripped runs strip in a droplet's root in which a droplet has lived: every
// trace holds the word TRACEOF. systemctl, docker and the like only note that
// they were called; what remains of TRACEOF, and what of the rest, is printed.
const stripped = `
fake() { printf '#!/bin/bash\n%s\n' "$2" >/usr/local/bin/$1; chmod 755 /usr/local/bin/$1; }
fake systemctl 'if [[ $1 == list-unit-files ]]; then printf "%s enabled enabled\n" ssh.service cattle-firewall.service $(cat /run/more 2>/dev/null); fi'
fake docker 'echo overlay2'
fake cloud-init 'if [[ $1 == clean ]]; then rm -rf /var/lib/cloud /var/log/cloud-init.log; fi'
fake journalctl true; fake mountpoint 'exit 1'; fake umount true; fake swapoff true; fake fstrim true; fake sync true
sed -i 's|^export PATH=|&/usr/local/bin:|' /opt/cattle/strip
trace() { mkdir -p "$(dirname "$1")"; echo TRACEOF >"$1"; }
/opt/cattle/strip units >/run/cattle-units
echo docker.service nginx.service >/run/more
for file in /etc/ssh/ssh_host_ed25519_key /root/.ssh/authorized_keys /root/.bash_history /root/.docker/config.json /home/debian/.ssh/authorized_keys \
	/var/lib/cloud/instance/user-data.txt /var/lib/cloud/seed/nocloud/user-data /var/log/cloud-init.log /var/log/nginx/access.log /var/log/cattle/pull.log \
	/var/log/journal/1/system.journal /var/lib/cattle/journal /var/lib/docker/containers/1/config.v2.json /var/lib/docker/network/files/local-kv.db \
	/var/lib/docker/engine-id /var/lib/containerd/x/meta.db /swapfile /var/lib/systemd/random-seed /tmp/x /var/tmp/x /etc/machine-id /etc/hostname \
	/var/lib/postfix/prng_exch /etc/ssl/private/ssl-cert-snakeoil.key /etc/network/interfaces.d/50-cloud-init /etc/cattle/age.key; do
	trace $file
done
printf 'UUID=1 / ext4\n/swapfile none swap sw 0 0 TRACEOF\n' >/etc/fstab
mkdir -p /etc/systemd/system/sysinit.target.wants
ln -s ../cattle-firewall.service /etc/systemd/system/sysinit.target.wants/
for file in /var/lib/docker/overlay2/layer /var/lib/docker/image/index /opt/cattle/sops; do mkdir -p ${file%/*}; echo KEPT >$file; done
cp -a /etc/cattle/written /run/written
/opt/cattle/strip
grep -rl TRACEOF /etc /root /home /var /tmp /opt /swapfile 2>/dev/null | sed 's/^/left: /' || true
while read -r file; do [[ ! -e $file ]] || echo "left: $file"; done </run/written
find /etc /opt /var -name '*cattle*' ! -path /var/lib/cattle-baked.json ! -path /var/lib/cattle-baked.units ! -path /opt/cattle ! -name cattle-lint-root | sed 's/^/left: /'
[[ -d /var/log/nginx && -e /etc/machine-id && ! -s /etc/machine-id ]] || echo 'a folder of logs, or the empty machine-id, is missing'
for file in /var/lib/docker/overlay2/layer /var/lib/docker/image/index /opt/cattle/sops; do [[ -s $file ]] || echo "gone: $file"; done
for unit in docker nginx; do [[ $(readlink /etc/systemd/system/$unit.service) == /dev/null ]] || echo "$unit starts by itself"; done
[[ $(sort /var/lib/cattle-baked.units) == $'docker.service\nnginx.service' ]] || cat /var/lib/cattle-baked.units
grep -q '^{"format":1,"at":[0-9]*,"image":"debian-13-x64","packages":"[0-9a-f]*"}$' /var/lib/cattle-baked.json || cat /var/lib/cattle-baked.json
`

// TestStrip runs the real script in a Debian root, see TestLint.
func TestStrip(t *testing.T) {
	root := os.Getenv("CATTLE_LINT_ROOT")
	if root == "" {
		t.Skip("CATTLE_LINT_ROOT is not set, see TestLint")
	}
	tree := t.TempDir()
	if err := render(t, baking(images()[0])).WriteTree(tree); err != nil {
		t.Fatal(err)
	}
	out, err := lint(t, root, tree, stripped)
	quiet(t, out, err)
	// The test itself has to see what is left.
	spare := strings.Replace(stripped, "/opt/cattle/strip\ngrep", "sed -i '/strip_identity$/d' /opt/cattle/strip; /opt/cattle/strip\ngrep", 1)
	if out, _ = lint(t, root, tree, spare); !strings.Contains(string(out), "left: /root/.ssh/authorized_keys") {
		t.Errorf("a strip that leaves identity was let pass: %s", out)
	}
}

// TestStripRefusesElsewhere: the verb on a droplet that is no baking one.
func TestStripRefusesElsewhere(t *testing.T) {
	out, err := exec.Command(script(t, "droplet"), "strip").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 64 || !strings.Contains(string(out), "no such verb: strip") {
		t.Errorf("%v: %s", err, out)
	}
}

// bootFunctions runs functions of the boot script with commands of the test's own.
func bootFunctions(t *testing.T, commands map[string]string, run string) string {
	t.Helper()
	bin := t.TempDir()
	for name, text := range commands {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/bash\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(script(t, "boot"))
	if err != nil {
		t.Fatal(err)
	}
	_, functions, _ := strings.Cut(string(text), "\nretry() {")
	functions, _, _ = strings.Cut(functions, "\n# What a snapshot's packages brought")
	cmd := exec.Command("bash", "-c", "set -euo pipefail\nPATH="+bin+":$PATH\nretry() {"+functions+"\n"+run)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return string(out)
}

// TestNothingIsAsked: with all packages and images there, neither apt nor a
// registry is; with one missing, they are.
func TestNothingIsAsked(t *testing.T) {
	here, gone := "ghcr.io/me/blog@sha256:"+strings.Repeat("a", 64), "ghcr.io/me/blog@sha256:"+strings.Repeat("b", 64)
	commands := map[string]string{
		"dpkg-query": `for name in "${@:3}"; do case $name in gone) exit 1 ;; removed) echo "$name config-files" ;; *) echo "$name installed" ;; esac; done`,
		"docker":     `[[ $1 == image ]] && [[ $3 == *aaaa ]]`,
	}
	for _, c := range []struct{ packages, images, want string }{
		{"nginx certbot", here, "packages images"},
		{"nginx gone", here, "images"},
		{"nginx removed", here + " " + gone, ""},
		{"nginx", here + " ghcr.io/me/blog:v1", "packages"},
	} {
		run := fmt.Sprintf("IMAGES=(%s)\n! installed %s || echo packages\n! pulled || echo images", c.images, c.packages)
		if got := strings.Join(strings.Fields(bootFunctions(t, commands, run)), " "); got != c.want {
			t.Errorf("%s, %s: there are %q, want %q", c.packages, c.images, got, c.want)
		}
	}
}
