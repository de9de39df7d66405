//go:build e2e

package main

import (
	"testing"

	"cattle/droplets"
)

// sftpBackup is the part of a profile that keeps backups on the internet's server
// of files, with a key of its own among the secrets.
func (r *rig) sftpBackup(t *testing.T, values map[string]string) string {
	t.Helper()
	key, err := droplets.NewHostKey()
	if err != nil {
		t.Fatal(err)
	}
	values["BACKUP_SSH_KEY"] = key.Private
	return "backup: {repository: \"sftp:keeper@backup.example.net:/srv/rows\", password: \"${RESTIC_PASSWORD}\", ssh_key: \"${BACKUP_SSH_KEY}\", known_host: \"" +
		r.sandbox.world.internet.Files.KnownHost("backup.example.net") + "\"}\n"
}
