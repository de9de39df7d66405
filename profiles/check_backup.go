package profiles

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	defaultBackupSchedule = "30 3 * * *"
	defaultOverdue        = 48 * time.Hour
)

var (
	repositoryPattern = regexp.MustCompile(`^(s3:(https?://)?[^\s/]+/\S+|rest:https?://\S+|sftp:([^\s@:/]+@)?[^\s@:/]+:\S+|sftp://([^\s@/]+@)?[^\s@/]+/\S+)$`)
	// looksLikeKey are names of variables whose values are nobody's business.
	looksLikeKey   = regexp.MustCompile(`(?i)secret|passw|token|_key$`)
	knownHostsLine = regexp.MustCompile(`^[^\s|@#][^\s]* (ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) [A-Za-z0-9+/]{40,}={0,2}$`)
)

func (c *checker) backup() {
	b := c.p.Backup
	if b == nil {
		return
	}
	c.backupDefaults(b)
	c.repository(b)
	if b.Password == "" {
		c.wrong("missing-key", "backup", "password: ${RESTIC_PASSWORD}, of which you keep a copy elsewhere", "backup has no password: restic encrypts with it")
	}
	c.named("backup.password", b.Password, "a password")
	for _, name := range slices.Sorted(maps.Keys(b.Env)) {
		c.backupEnv(name, b.Env[name])
	}
	c.schedule("backup", b.Schedule)
	for key, n := range map[string]int{"last": b.Keep.Last, "daily": b.Keep.Daily, "weekly": b.Keep.Weekly, "monthly": b.Keep.Monthly} {
		c.atLeast("backup.keep."+key, n, 0)
	}
	if b.Keep == (BackupKeep{}) {
		c.wrong("out-of-range", "backup.keep", "keep: {daily: 7, weekly: 5, monthly: 12}", "backup.keep keeps nothing")
	}
	if b.Overdue < time.Hour {
		c.wrong("out-of-range", "backup.overdue", "such as 48h", "backup.overdue must be at least 1h, not %s", b.Overdue)
	}
}

func (c *checker) backupDefaults(b *Backup) {
	if !c.given("backup.schedule") {
		b.Schedule = defaultBackupSchedule
	}
	if !c.given("backup.keep") {
		b.Keep = BackupKeep{Daily: 7, Weekly: 5, Monthly: 12}
	}
	if !c.given("backup.overdue") {
		b.Overdue = defaultOverdue
	}
}

// repository checks the address. One that has a password in it is not repeated.
func (c *checker) repository(b *Backup) {
	const at, example = "backup.repository", "such as s3:https://fra1.digitaloceanspaces.com/bucket/blog, sftp:user@host:/path or rest:https://host/path"
	switch {
	case b.Repository == "":
		c.wrong("missing-key", "backup", "repository: "+strings.TrimPrefix(example, "such as "), "backup has no repository")
	case inAddress.MatchString(b.Repository):
		c.wrong("secret-readable", at, "write it as env: {RESTIC_REST_USERNAME: me, RESTIC_REST_PASSWORD: ${BACKUP_REST_PASSWORD}}", "%s has a password in plain text", at)
	case !repositoryPattern.MatchString(b.Repository):
		c.wrong("wrong-form", at, example, "%s is not an address that cattle knows: %s", at, quote(b.Repository))
	}
	overSSH := strings.HasPrefix(b.Repository, "sftp:")
	switch {
	case overSSH && b.SSHKey == "":
		c.wrong("missing-key", at, "ssh_key: ${BACKUP_SSH_KEY}", "%s is reached over SSH, and backup has no ssh_key", at)
	case overSSH && b.KnownHost == "":
		c.wrong("missing-key", at, "known_host: the line that `ssh-keyscan -t ed25519 HOST` prints, compared with the server's own", "%s is reached over SSH, and backup has no known_host", at)
	case !overSSH && b.Repository != "":
		for _, key := range []string{"backup.ssh_key", "backup.known_host"} {
			if c.given(key) {
				c.missing("keys-exclude", key, "remove it, or name a repository sftp:user@host:/path", "%s is for a repository over SSH", key)
			}
		}
	}
	c.named("backup.ssh_key", b.SSHKey, "a key")
	c.matches("backup.known_host", b.KnownHost, knownHostsLine, "a line of known_hosts", `such as "backup.example.net ssh-ed25519 AAAA…"`)
}

// backupEnv checks one variable of restic's: plain, or ${NAME} of a secret.
func (c *checker) backupEnv(name, value string) {
	at := join("backup.env", name)
	m := secretRef.FindStringSubmatch(value)
	switch {
	case !envPattern.MatchString(name):
		c.missing("wrong-form", at, "letters, digits and _, not beginning with a digit", "%s is not a name of an environment variable", quote(name))
	case m != nil:
		c.secretExists(at, m[1])
	case looksLikeKey.MatchString(name) && value != "":
		c.wrong("secret-readable", at, "put it into the secrets file and write ${"+name+"} here", "%s must be ${NAME} of a secret, not a key in plain text", at)
	case strings.Contains(value, "${"):
		c.wrong("wrong-form", at, "a plain value, or ${NAME} of a secret alone", "%s mixes a secret with other text", at)
	}
}
