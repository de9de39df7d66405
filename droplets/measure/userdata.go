package measure

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"

	"cattle/droplets/release/probe"
)

//go:embed templates/serve.py
var servePy string

// userData is the cloud-config of a measured droplet: the files of a release,
// as far as something asks for them, and a server in place of its containers.
// runcmd is the last thing that cloud-init does.
func userData(id string) ([]byte, error) {
	manifest, err := json.Marshal(map[string]any{
		"format": 1, "app": "measure", "release": id, "attempt": id, "identity_path": probe.IdentityPath, "services": []string{},
	})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("#cloud-config\nwrite_files:\n")
	for _, f := range []struct{ path, mode, content string }{
		{"/etc/cattle/release.json", "0600", string(manifest)},
		{"/opt/cattle/serve.py", "0600", servePy},
		{"/opt/cattle/boot", "0700", "#!/bin/sh\nexec systemd-run --unit=cattle-measure python3 /opt/cattle/serve.py\n"},
	} {
		content, err := json.Marshal(f.content) // a JSON string is a YAML string
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "- {path: %s, permissions: '%s', content: %s}\n", f.path, f.mode, content)
	}
	b.WriteString("runcmd: [/opt/cattle/boot]\n")
	return b.Bytes(), nil
}
