package nspawn

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// A recipe says how the root of a public image is built. What is in it is what
// a stock image of the cloud has, as far as profiles can notice, and nothing
// of what they install: Docker, nginx, certbot, Postfix and nftables are not.
type recipe struct {
	Slug       string // of the public image
	Origin     string // of the archive, as its Release file says
	Suite      string // further ones in the machine: SUITE-updates and SUITE-security
	Components string
	Packages   []string
	Keyring    string // where the archive's keys are
	Keys       string // the package of them, in Debian and Ubuntu
}

func recipes() []recipe {
	common := strings.Fields(`
		apt-utils bsdextrautils ca-certificates cloud-guest-utils cloud-init cron curl dbus
		debconf-utils dmidecode gnupg iproute2 iptables iputils-ping kmod less libnss-systemd
		libpam-systemd locales logrotate lsof man-db nano netbase openssh-server procps psmisc
		python3 rsync sudo systemd systemd-sysv systemd-timesyncd tzdata udev vim-tiny wget`)
	return []recipe{{
		Slug: "debian-13-x64", Origin: "Debian", Suite: "trixie", Components: "main",
		Packages: slices.Concat(common, []string{"ifupdown", "dhcpcd-base"}),
		Keyring:  "/usr/share/keyrings/debian-archive-keyring.gpg", Keys: "debian-archive-keyring",
	}, {
		Slug: "ubuntu-24-04-x64", Origin: "Ubuntu", Suite: "noble", Components: "main,universe",
		Packages: slices.Concat(common, []string{"netplan.io", "networkd-dispatcher"}),
		Keyring:  "/usr/share/keyrings/ubuntu-archive-keyring.gpg", Keys: "ubuntu-keyring",
	}}
}

// recipeOf finds the recipe of a public image by its slug.
func recipeOf(slug string) (recipe, error) {
	var known []string
	for _, r := range recipes() {
		if r.Slug == slug {
			return r, nil
		}
		known = append(known, r.Slug)
	}
	return recipe{}, fmt.Errorf("image %s cannot be booted here, only %s can", slug, strings.Join(known, " and "))
}

// name is the folder of the built root in the cache. It changes with the recipe.
func (r recipe) name() string {
	sum := sha256.Sum256([]byte(strings.Join(r.mmdebstrap("", ""), "\n")))
	return "root-" + r.Slug + "-" + hex.EncodeToString(sum[:6])
}

// mmdebstrap is the command that builds the root in a folder from an archive;
// an empty archive is the one that mmdebstrap knows for the suite.
func (r recipe) mmdebstrap(folder, archive string) []string {
	argv := []string{
		"mmdebstrap", "--variant=minbase", "--skip=check/qemu",
		"--components=" + r.Components, "--include=" + strings.Join(r.Packages, ","),
		"--keyring=" + r.Keyring,
		"--customize-hook=" + r.finish(),
		r.Suite, folder,
	}
	if archive != "" {
		argv = append(argv, archive)
	}
	return argv
}

// finish is the script that makes an image of the root: languages as cloud
// images have them, the archives that cloud-init knows, and no identity. An
// empty machine-id is filled in by the first boot. Packages come over plain
// HTTP, so that the sandbox can keep them; apt checks signatures.
func (r recipe) finish() string {
	return fmt.Sprintf(`set -e
sed -i 's/^# *en_US.UTF-8 UTF-8/en_US.UTF-8 UTF-8/' "$1/etc/locale.gen"
chroot "$1" locale-gen >/dev/null
echo LANG=C.UTF-8 >"$1/etc/default/locale"
sed -i -E 's,^( *(primary|security): *)https:,\1http:,' "$1/etc/cloud/cloud.cfg"
archive() { sed -n "s,^ *$2: *,,p" "$1/etc/cloud/cloud.cfg" | head -n 1; }
rm -f "$1/etc/apt/sources.list"
cat >"$1/etc/apt/sources.list.d/%[1]s.sources" <<END
Types: deb
URIs: $(archive "$1" primary)
Suites: %[2]s %[2]s-updates
Components: %[3]s
Signed-By: %[4]s

Types: deb
URIs: $(archive "$1" security)
Suites: %[2]s-security
Components: %[3]s
Signed-By: %[4]s
END
rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/var/lib/dbus/machine-id
: >"$1/etc/machine-id"`,
		strings.ToLower(r.Origin), r.Suite, strings.ReplaceAll(r.Components, ",", " "), r.Keyring)
}

// archiveOf finds, in what apt-get indextargets prints as "ORIGIN|LABEL|URI",
// the archive that has the base system of an origin: neither its security one
// nor a third party's. It is empty if this machine's apt has none.
func archiveOf(targets, origin string) string {
	for line := range strings.Lines(targets) {
		if f := strings.Split(strings.TrimSpace(line), "|"); len(f) == 3 && f[0] == origin && f[1] == origin {
			return strings.TrimSuffix(f[2], "/")
		}
	}
	return ""
}
