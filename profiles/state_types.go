package profiles

import (
	"path"
	"strings"
	"time"
)

// A State is data that goes along from droplet to droplet. Exactly one of
// SQLite, Files, MySQL, Postgres and Volume is set.
type State struct {
	Name   string `yaml:"name"`   // lower-case letters, digits and inner hyphens
	SQLite Place  `yaml:"sqlite"` // the database's file
	Files  Place  `yaml:"files"`  // a folder, or a whole volume
	// MySQL is MariaDB too.
	MySQL    *Server `yaml:"mysql"`
	Postgres *Server `yaml:"postgres"`
	Volume   *Block  `yaml:"volume"`
}

// A Block is a volume of DigitalOcean's block storage, a disk of its own: it is
// taken off one droplet and put on the next one, and nothing is copied.
type Block struct {
	Name  string `yaml:"name"`  // in the account; default APP-ENTRY
	Mount string `yaml:"mount"` // where it is on a droplet: absolute and clean
	// Size is that of one that is made where there is none, in GiB; 0: it has to
	// be there already.
	Size int `yaml:"size"`
}

// A Place is where data lies: in a volume of the compose files, or at an
// absolute path on the droplet. YAML takes VOLUME, VOLUME:PATH or /PATH.
type Place struct {
	Volume string // empty for a path on the droplet
	Path   string // in the volume, relative and clean, "" for all of it
}

// String is the place as a profile writes it; "" for none.
func (p Place) String() string {
	if p.Volume == "" || p.Path == "" {
		return p.Volume + p.Path
	}
	return p.Volume + ":" + p.Path
}

// MarshalText writes the place as a profile does.
func (p Place) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// parsePlace is not ok for a path that leaves its volume, or that is no path.
func parsePlace(text string) (p Place, ok bool) {
	if text == "" || strings.ContainsFunc(text, isControl) {
		return Place{}, false
	}
	if path.IsAbs(text) {
		return Place{Path: path.Clean(text)}, true
	}
	volume, inside, _ := strings.Cut(text, ":")
	inside = strings.TrimPrefix(path.Clean("./"+inside), "/")
	if inside == "." {
		inside = ""
	}
	leaves := inside == ".." || strings.HasPrefix(inside, "../")
	return Place{Volume: volume, Path: inside}, !leaves && volumePattern.MatchString(volume)
}

// A Server is a database server in a container of the compose files, and what
// of it is carried.
type Server struct {
	Service   string   `yaml:"service"`
	Databases []string `yaml:"database"`
	User      string   `yaml:"user"`     // default root for MySQL, postgres for PostgreSQL
	Password  string   `yaml:"password"` // ${NAME} of a secret
}

// Migrate is a command that changes the data for a new release. YAML takes the
// command alone where there is one service.
type Migrate struct {
	Service string  `yaml:"service"` // default: the only service
	Command Command `yaml:"command"`
}

// Backup says where the state is copied to besides, and when.
type Backup struct {
	Repository string `yaml:"repository"` // restic's address: s3:…, sftp:… or rest:…
	Password   string `yaml:"password"`   // ${NAME} of a secret
	// Env is what restic reads for its repository; a value is plain or ${NAME}.
	Env       map[string]string `yaml:"env"`
	SSHKey    string            `yaml:"ssh_key"`    // ${NAME}, of an OpenSSH private key, for sftp
	KnownHost string            `yaml:"known_host"` // its server's line of known_hosts
	Schedule  string            `yaml:"schedule"`   // as of Cron; default 30 3 * * *
	Keep      BackupKeep        `yaml:"keep"`
	// Overdue is the age of the latest backup at which status calls it late,
	// default 48h.
	Overdue time.Duration `yaml:"overdue"`
}

// BackupKeep is how many backups stay. Where nothing is said it is 7 daily, 5
// weekly and 12 monthly ones.
type BackupKeep struct {
	Last    int `yaml:"last"`
	Daily   int `yaml:"daily"`
	Weekly  int `yaml:"weekly"`
	Monthly int `yaml:"monthly"`
}
