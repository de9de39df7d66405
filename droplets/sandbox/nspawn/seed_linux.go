package nspawn

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// seed writes what the NoCloud datasource reads onto the machine's disk. JSON
// is YAML.
func (m *machine) seed() error {
	opt := m.host.opt
	meta := map[string]any{"instance-id": fmt.Sprint(m.spec.ID), "local-hostname": m.spec.Name}
	if opt.Keys != nil {
		meta["public-keys"] = opt.Keys(m.spec.ID)
	}
	var user []byte
	if opt.UserData != nil {
		user = opt.UserData(m.spec.ID)
	}
	network := map[string]any{"version": 1, "config": []any{
		map[string]any{
			"type": "physical", "name": "eth0", "mac_address": hardware(m.spec.IP).String(),
			"subnets": []any{map[string]any{
				"type": "static", "control": "auto", "address": m.spec.IP.String() + "/16", "gateway": gateway.String(),
			}},
		},
		map[string]any{"type": "nameserver", "address": []string{resolver.String()}},
	}}
	// The firmware says whose cloud it is all the same.
	only := siteFile{"/etc/cloud/cloud.cfg.d/91-nocloud.cfg", 0o644, []byte("datasource_list: [NoCloud, None]\n")}
	if err := only.write(m.upper()); err != nil {
		return err
	}
	dir := filepath.Join(m.upper(), "var/lib/cloud/seed/nocloud")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range map[string]any{"meta-data": meta, "network-config": network, "user-data": user} {
		data, plain := content.([]byte)
		if !plain {
			var err error
			if data, err = json.Marshal(content); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
