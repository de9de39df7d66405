package cloudinit

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"cattle/profiles"
)

// keyPath is where a droplet keeps the key to its secrets; a baking droplet,
// whose disk is copied, keeps it in memory.
const (
	keyPath       = "/etc/cattle/age.key"
	bakingKeyPath = "/run/cattle/age.key"
)

// bakeFormat is what a snapshot has besides packages, as a number: how strip
// leaves it and what the boot script expects. Another one makes older snapshots
// unfit.
const bakeFormat = 1

// PackagesDigest identifies what a droplet of this profile installs, and on
// which image: 32 hex digits. A snapshot of the same digest has all of it, in
// the versions of the day when it was made.
func PackagesDigest(p *profiles.Profile, sops Download) (string, error) {
	d, err := distributionOf(base(p))
	if err != nil {
		return "", err
	}
	v := &view{in: Input{Profile: p, SOPS: sops}, DockerPackages: d.docker}
	v.Mail = p.Mail != nil
	v.addPackages()
	return v.packagesDigest(), nil
}

// base is the public image that a droplet is made from.
func base(p *profiles.Profile) string { return cmp.Or(p.Droplet.Image, "debian-13-x64") }

func (v *view) packagesDigest() string {
	packages := slices.Concat(v.DockerPackages, v.Packages)
	slices.Sort(packages)
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s\n%s\n%s\n", bakeFormat, base(v.in.Profile), v.in.sops().SHA256, strings.Join(packages, "\n")))
	return hex.EncodeToString(sum[:])[:32]
}

func (in Input) sops() Download {
	if in.SOPS == (Download{}) {
		return DefaultSOPS()
	}
	return in.SOPS
}

// addBake is for what only a baking droplet has. Its key arrives over SSH
// whatever the profile says: user-data is on the disk.
func (v *view) addBake() error {
	v.Key, v.Base = bakingKeyPath, base(v.in.Profile)
	if v.in.Profile.Secrets.File == "" {
		v.SOPS = Download{}
	}
	return nil
}

// addImages are the references as the compose file has them, but for those that
// the operator brings.
func (v *view) addImages() {
	for _, ref := range v.in.Stack.Images {
		if id := v.in.Brought[ref]; id != "" {
			v.Brought = append(v.Brought, ref+" "+id)
			continue
		}
		if digest := v.in.Images[ref]; digest != "" && !strings.Contains(ref, "@") {
			ref += "@" + digest
		}
		v.Images = append(v.Images, ref)
	}
	v.BroughtWithin = int(v.in.Profile.Release.BootWithin.Seconds())
}

// notBaked are files that a baking droplet has no use for: those of the app.
// Postfix's are there, because its installation looks at them.
func notBaked(path string) bool {
	switch path {
	case "/opt/cattle/certify", "/opt/cattle/compose", "/opt/cattle/cron", "/opt/cattle/live", "/opt/cattle/nginx-tls":
		return true
	}
	unit, isUnit := strings.CutPrefix(path, "/etc/systemd/system/")
	kept := []string{"cattle-firewall.service", "cattle-secrets.service", "cattle-tmpfs.service"}
	return strings.HasPrefix(path, "/etc/nginx/") || isUnit && !slices.Contains(kept, unit)
}

func bakeOnly(path string) bool { return path == "/opt/cattle/bake" || path == "/opt/cattle/strip" }

// writtenList names all files, one a line, for strip to take them away again.
func writtenList(files []File) File {
	const own = "/etc/cattle/written"
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintln(&b, f.Path)
	}
	return File{Path: own, Mode: 0o600, Owner: "root:root", Content: []byte(b.String() + own + "\n")}
}
