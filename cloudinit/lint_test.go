package cloudinit

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// inRoot runs a script in a Debian 13 root with a droplet's tree laid over it,
// in namespaces of its own: nothing of it stays, and no packet leaves.
const inRoot = `
set -eu
root=$1 tree=$2 script=$3
mount -t tmpfs lint /mnt
mkdir /mnt/up /mnt/work /mnt/root
cp -a "$tree/." /mnt/up/
mount -t overlay -o "lowerdir=$root,upperdir=/mnt/up,workdir=/mnt/work" lint /mnt/root
mount -t proc proc /mnt/root/proc
mount --rbind /dev /mnt/root/dev
ip link set lo up 2>/dev/null || true
chroot /mnt/root /bin/bash -euc "$script"
`

// The checks, each by the tool that the droplet itself will use.
func checks() map[string]string {
	const certificate = `
mkdir -p /etc/letsencrypt/live/cattle
cd /etc/letsencrypt/live/cattle
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout privkey.pem -out fullchain.pem 2>/dev/null
`
	return map[string]string{
		"nginx":      "mkdir -p /var/lib/nginx /var/log/nginx; ln -s http.conf /etc/nginx/cattle/live.conf; nginx -t -q",
		"nginx tls":  certificate + "ln -s tls.conf /etc/nginx/cattle/live.conf; nginx -t -q 2>&1 | grep -v 'deprecated, use the \"http2\"' || true",
		"systemd":    "systemd-analyze verify --man=no --recursive-errors=no /etc/systemd/system/cattle-*",
		"compose":    "export KEY=x; docker compose --project-name blog --file /opt/cattle/compose.yaml config --quiet",
		"cloud-init": "cloud-init schema --config-file /user-data 2>&1 | grep -v ^Valid || true",
		"nftables":   "nft --check --file /etc/cattle/firewall.nft",
		"postfix":    "[ ! -e /etc/postfix/virtual ] || postconf >/dev/null",
		"sshd":       "mkdir -p /run/sshd && ssh-keygen -A >/dev/null && sshd -t",
		"python": `for file in /opt/cattle/*; do
	! head -1 $file | grep -q python || python3 -W error -m py_compile $file
done`,
	}
}

// TestLint gives rendered trees to the tools that will read them on droplets.
// .ci/lint-root makes the root and prints its folder.
func TestLint(t *testing.T) {
	root := os.Getenv("CATTLE_LINT_ROOT")
	if root == "" {
		t.Skip("CATTLE_LINT_ROOT is not set: run CATTLE_LINT_ROOT=$(.ci/lint-root) go test ./cloudinit, as root")
	}
	for name, in := range cases() {
		tree := t.TempDir()
		if err := render(t, in).WriteTree(tree); err != nil {
			t.Fatal(err)
		}
		for check, script := range checks() {
			if in.Bake && (strings.HasPrefix(check, "nginx") || check == "compose") {
				continue // a baking droplet has neither's files
			}
			t.Run(name+"/"+check, func(t *testing.T) {
				out, err := lint(t, root, tree, script)
				quiet(t, out, err)
			})
		}
	}
	// As they lie here: their directives are comments, which droplets do not get.
	t.Run("shellcheck", func(t *testing.T) {
		out, err := run(t, "shellcheck", append([]string{"--external-sources"}, shellScripts(t)...)...)
		quiet(t, out, err)
	})
}

// TestLintSees breaks a file for each check, which must then complain.
func TestLintSees(t *testing.T) {
	root := os.Getenv("CATTLE_LINT_ROOT")
	if root == "" {
		t.Skip("CATTLE_LINT_ROOT is not set, see TestLint")
	}
	faults := map[string][2]string{
		"nginx":      {"/etc/nginx/cattle/site-0.conf", "proxy_pass nowhere"},
		"nginx tls":  {"/etc/nginx/cattle/tls.conf", "http9 on;"},
		"systemd":    {"/etc/systemd/system/cattle-app.service", "[Service]\nExecStart=/gone"},
		"compose":    {"/opt/cattle/compose.yaml", "services: [a]"},
		"cloud-init": {"/user-data", "#cloud-config\nruncmds: []\n"},
		"nftables":   {"/etc/cattle/firewall.nft", "table inet x { chain }"},
		"postfix":    {"/etc/postfix/main.cf", "no equals sign"},
		"python":     {"/opt/cattle/live", "#!/usr/bin/python3\ndef\n"},
		"sshd":       {"/etc/ssh/sshd_config.d/10-cattle.conf", "Nonsense yes"},
	}
	for check, fault := range faults {
		tree := t.TempDir()
		if err := render(t, full(images()[0])).WriteTree(tree); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(tree+fault[0], []byte(fault[1]), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := lint(t, root, tree, checks()[check]); err == nil && len(bytes.TrimSpace(out)) == 0 {
			t.Errorf("%s finds nothing wrong with %q in %s", check, fault[1], fault[0])
		}
	}
	unquoted := t.TempDir() + "/script"
	if err := os.WriteFile(unquoted, []byte("#!/bin/bash\nrm -r $1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "shellcheck", unquoted); err == nil {
		t.Error("shellcheck finds nothing wrong with rm -r $1")
	}
}

func lint(t *testing.T, root, tree, script string) ([]byte, error) {
	t.Helper()
	return run(t, "unshare", "--mount", "--net", "bash", "-c", inRoot, "bash", root, tree, script)
}

// quiet wants a command to succeed and to have nothing to say: the tools warn
// with exit status 0.
func quiet(t *testing.T, out []byte, err error) {
	t.Helper()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("%v:\n%s", err, out)
	}
}

func run(t *testing.T, name string, args ...string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return exec.CommandContext(ctx, name, args...).CombinedOutput()
}

// shellScripts are the droplet's, static all of them, known by their first line.
func shellScripts(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("templates/opt/cattle/*")
	if err != nil {
		t.Fatal(err)
	}
	var scripts []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		if strings.HasSuffix(first, "bash") {
			scripts = append(scripts, path)
		}
	}
	if len(scripts) < 7 {
		t.Fatalf("only %d shell scripts", len(scripts))
	}
	return scripts
}
