package nspawn

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
)

//go:embed site
var site embed.FS

// A siteFile is one that a sandbox lays over a root.
type siteFile struct {
	path string // in the machine
	mode os.FileMode
	data []byte
}

const (
	// first is the program that a machine begins with.
	first = "/usr/lib/cattle-sandbox/init"
	virt  = "/usr/lib/cattle-sandbox/systemd-detect-virt"
)

// settle is run in the root when the files are in place.
//
// The diversion keeps an upgrade of systemd from bringing back its own
// systemd-detect-virt. The cloud's images get their data from a drive, of which
// cloud-init says nothing; of the datasource that asks the metadata service it
// says that it is deprecated, and calls the boot degraded. That one line is
// taken out, so that a degraded boot still means something.
const settle = `set -e
dpkg-divert --quiet --local --rename --divert /usr/bin/systemd-detect-virt.real --add /usr/bin/systemd-detect-virt
cp ` + virt + ` /usr/bin/systemd-detect-virt
sed -i 's/^    def _deprecate(self):$/&\n        return/' /usr/lib/python3/dist-packages/cloudinit/sources/DataSourceDigitalOcean.py
update-ca-certificates >/dev/null
`

// siteFiles are what makes a root one of the sandbox's machines.
func siteFiles(trust []byte) ([]siteFile, error) {
	files := []siteFile{
		{path: first, mode: 0o755},
		{path: virt, mode: 0o755},
		{path: "/etc/systemd/system-generators/cloud-init-generator", mode: 0o755},
		{path: "/etc/cloud/cloud.cfg.d/90-digitalocean.cfg", mode: 0o644},
	}
	for i, name := range []string{"init", "systemd-detect-virt", "cloud-init-generator", "cloud.cfg"} {
		data, err := site.ReadFile("site/" + name)
		if err != nil {
			return nil, err
		}
		files[i].data = data
	}
	files = append(files, siteFile{"/etc/resolv.conf", 0o644, fmt.Appendf(nil, "nameserver %s\n", resolver)})
	if len(trust) > 0 {
		files = append(files, siteFile{"/usr/local/share/ca-certificates/cattle-sandbox.crt", 0o644, trust})
	}
	return files, nil
}

// write puts the file below a root.
func (f siteFile) write(root string) error {
	path := filepath.Join(root, f.path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// A link, as /etc/resolv.conf may be, is replaced and not followed.
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.WriteFile(path, f.data, f.mode); err != nil {
		return err
	}
	return os.Chmod(path, f.mode)
}
