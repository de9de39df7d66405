// Package profiles is the schema of cattle.yaml: what a user may say about the
// machine, what is filled in where nothing is said, and how a fault is told
// with file, line and column.
package profiles

import (
	"strings"
	"time"
)

// A Profile is the desired machine, complete: starters merged, defaults
// filled in, every value checked. It holds no secret, only names of secrets.
// A loaded Profile is read-only and safe for concurrent use.
type Profile struct {
	// App names the site. It is part of droplet names and tags:
	// lower-case letters, digits and inner hyphens, 2 to 32 characters.
	App string `yaml:"app"`
	// Extends names an embedded starter ("web", "compose") or the path of
	// another profile, relative to the file that says so.
	Extends string `yaml:"extends"`
	// Domains are the public host names, the first being the canonical one.
	// YAML takes `domain: a` for a list of one.
	Domains []string `yaml:"domains"`

	Droplet Droplet `yaml:"droplet"`
	// Project of the account, by name or UUID, that the droplet and the reserved
	// IP are put into; empty means the account's default one.
	Project string `yaml:"project"`
	// ReservedIP is an address of the account; empty means that the first
	// release makes one.
	ReservedIP string `yaml:"reserved_ip"`
	// DNS is who keeps the domains' records: "digitalocean", or empty for the
	// user himself.
	DNS string `yaml:"dns"`

	// Image and Port describe an app of one container. An image without a
	// tag gets the release as its tag; ${RELEASE} may stand in it. With Compose,
	// Image is only what ${IMAGE} stands for in the compose files, and a fault
	// when none of them says that; Port has no meaning then.
	Image string `yaml:"image"`
	Port  int    `yaml:"port"`
	// Build is how `release --build` makes Image. Services of compose files say
	// it themselves.
	Build *Build `yaml:"build"`
	// Compose files, relative to the profile, merged in order as
	// `docker compose -f a -f b` merges them. YAML takes one path for a list of one.
	Compose []string `yaml:"compose"`

	// Env are plain values: interpolated into compose files and, for an app
	// of one container, set in it. A value may name a secret as ${NAME}.
	Env map[string]string `yaml:"env"`

	Routes   []Route    `yaml:"routes"`
	TLS      TLS        `yaml:"tls"`
	Secrets  Secrets    `yaml:"secrets"`
	Mail     *Mail      `yaml:"mail"`
	Cron     []Cron     `yaml:"cron"`
	State    []State    `yaml:"state"`
	Backup   *Backup    `yaml:"backup"`
	Health   Health     `yaml:"health"`
	Release  Release    `yaml:"release"`
	Firewall Firewall   `yaml:"firewall"`
	Packages []string   `yaml:"packages"`
	Files    []File     `yaml:"files"`
	Registry []Registry `yaml:"registry"`
	Hooks    Hooks      `yaml:"hooks"`
	Notify   []Notice   `yaml:"notify"`

	// Path is the file that was loaded; Dir is its folder, to which relative
	// paths were resolved.
	Path string `yaml:"-"`
	Dir  string `yaml:"-"`

	// What Load read, so that Stack reads no file and asks nobody: the same
	// loaded Profile gives the same bytes whatever happens to the files.
	composeFiles []*source
	vault        *vault
	where        func(path string) pos
	freezePage   []byte
}

// Droplet says what machine to order.
type Droplet struct {
	Region string `yaml:"region"` // slug, default nyc3
	Size   string `yaml:"size"`   // slug, default s-1vcpu-1gb
	Image  string `yaml:"image"`  // slug, default debian-13-x64; ubuntu-24-04-x64 is rendered too
	// SSHKeys are names or MD5 fingerprints of keys of the account; empty
	// means all of them.
	SSHKeys    []string `yaml:"ssh_keys"`
	VPC        string   `yaml:"vpc"` // UUID; empty means the region's default
	Monitoring bool     `yaml:"monitoring"`
	IPv6       bool     `yaml:"ipv6"`
	Tags       []string `yaml:"tags"` // besides cattle's own
	// BakedWithin is how old a snapshot of `cattle bake` may be for a release to
	// begin from it, default 7d; 0: none is used.
	BakedWithin time.Duration `yaml:"baked_within"`
}

// A Route maps a host and a path prefix to something that answers. Exactly
// one of To, Redirect and Static is set.
type Route struct {
	Host string `yaml:"host"` // default: every domain
	Path string `yaml:"path"` // prefix, default /
	// To is service:port, or unix:/path/on/the/droplet.sock.
	To         string `yaml:"to"`
	Redirect   string `yaml:"redirect"` // absolute URL; the request's path is appended
	Static     string `yaml:"static"`   // absolute folder on the droplet
	Websockets bool   `yaml:"websockets"`
	BodySize   string `yaml:"body_size"` // nginx size such as 20m, default 10m
	// Auth is ${NAME} of a secret with lines of user:password.
	Auth string `yaml:"auth"`
}

// TLS says where certificates come from (ACME, HTTP-01).
type TLS struct {
	Email     string `yaml:"email"`
	Directory string `yaml:"directory"` // ACME directory URL, default Let's Encrypt
	Staging   bool   `yaml:"staging"`   // Let's Encrypt's staging directory
}

// LetsEncrypt tells that certificates are those that browsers accept and Let's
// Encrypt counts: neither its staging's nor another authority's.
func (t TLS) LetsEncrypt() bool {
	return !t.Staging && (t.Directory == "" || strings.HasPrefix(t.Directory, strings.TrimSuffix(letsEncrypt, "directory")))
}

// Deliver is how a droplet gets the key to its secrets.
type Deliver string

const (
	DeliverSSH      Deliver = "ssh"       // over SSH to the verified host, the default
	DeliverUserData Deliver = "user-data" // in user-data, for those who allow no SSH
)

// Secrets names the SOPS file (dotenv, yaml or json; flat NAME: value).
type Secrets struct {
	File    string  `yaml:"file"`
	Deliver Deliver `yaml:"deliver"`
}

// Mail is the relay that the droplet's Postfix hands everything to.
type Mail struct {
	Relay    string `yaml:"relay"`    // host name
	Port     int    `yaml:"port"`     // default 2525: 25, 465 and 587 are blocked on droplets
	From     string `yaml:"from"`     // sender of mail from the machine itself
	Root     string `yaml:"root"`     // where root's mail goes
	Username string `yaml:"username"` // ${NAME}
	Password string `yaml:"password"` // ${NAME}
}

// Cron is one job, run in a fresh container of a service.
type Cron struct {
	Name     string  `yaml:"name"`     // default: the service and a number
	Schedule string  `yaml:"schedule"` // five cron fields or @daily and the like; UTC
	Service  string  `yaml:"service"`  // default: the only service
	Command  Command `yaml:"command"`
}

// A Command is a program and its arguments. YAML takes a string for it, which
// is split into words as a shell would; nothing else is done that shells do.
type Command []string

// Health is the check that a candidate must pass Successes times in a row
// before the switch, within Deadline of the end of its boot.
type Health struct {
	Path      string        `yaml:"path"`      // default /
	Status    int           `yaml:"status"`    // default 200
	Body      string        `yaml:"body"`      // a substring; default: anything
	Interval  time.Duration `yaml:"interval"`  // default 1s
	Timeout   time.Duration `yaml:"timeout"`   // of one check, default 5s
	Successes int           `yaml:"successes"` // default 3
	Deadline  time.Duration `yaml:"deadline"`  // default 60s
}

// Release says what is kept and what a switch may cost.
type Release struct {
	Keep       int           `yaml:"keep"`        // standbys, default 1
	StandbyFor time.Duration `yaml:"standby_for"` // 0: until the next release
	BootWithin time.Duration `yaml:"boot_within"` // from create to a finished boot, default 10m
	// Bake is how long a release watches the live site after the switch, ready
	// to go back; 0: not at all. It has nothing to do with `cattle bake`.
	Bake    time.Duration `yaml:"bake"`
	Cutover Cutover       `yaml:"cutover"`
	// Guard has the live droplet take the reserved IP back by itself, if the
	// operator vanishes between switch and confirm.
	Guard bool `yaml:"guard"`
	// MaxFreeze is how long writes may have to wait for a release, default 30s.
	MaxFreeze time.Duration `yaml:"max_freeze"`
	// Pause are services that write without a visitor's asking: they are stopped
	// while writes wait.
	Pause []string `yaml:"pause"`
	// Migrate runs in the new image when the data is there, before the gate.
	Migrate *Migrate `yaml:"migrate"`
	// FreezePage is a local file that whoever writes is shown meanwhile.
	FreezePage string `yaml:"freeze_page"`
}

// Cutover is the budget of the switch; over it, the IP goes back.
type Cutover struct {
	Failed int           `yaml:"failed"` // probes that may fail, of ten a second; default 20
	Gap    time.Duration `yaml:"gap"`    // longest time without an answer, default 10s
}

// Firewall restricts who may reach port 22. 80 and 443 are open, all else is closed.
type Firewall struct {
	SSHFrom []string `yaml:"ssh_from"` // addresses or CIDR blocks, default everyone
	// Cloud has DigitalOcean's own firewall say the same before the droplet, by
	// the app's tag; the droplet's packet filter stays.
	Cloud bool `yaml:"cloud"`
}

// File is a file to put on the droplet. Exactly one of Content and From is set.
type File struct {
	Path    string `yaml:"path"` // absolute, on the droplet
	Content string `yaml:"content"`
	From    string `yaml:"from"`  // local file, relative to the profile
	Mode    string `yaml:"mode"`  // octal, default 0644
	Owner   string `yaml:"owner"` // user:group, default root:root
}

// Registry is a login, done on the droplet before images are pulled.
type Registry struct {
	Server   string `yaml:"server"`
	Username string `yaml:"username"` // plain or ${NAME}
	Password string `yaml:"password"` // ${NAME}
}

// Via is how an image that was built here gets to the droplet.
type Via string

const (
	ViaRegistry Via = "registry" // pushed, and pulled by the droplet: the default
	ViaSSH      Via = "ssh"      // streamed to the candidate, where there is no registry
)

// Build is what docker or podman of the operator's machine is asked for.
type Build struct {
	Context    string            `yaml:"context"`    // folder, relative to the profile, default its own
	Dockerfile string            `yaml:"dockerfile"` // relative to the context, default Dockerfile
	Target     string            `yaml:"target"`     // stage of the Dockerfile, default the last
	Args       map[string]string `yaml:"args"`       // readable in the image's history: no secrets
	Via        Via               `yaml:"via"`
}

// Hooks are commands on the operator's machine, run in the profile's folder
// with the release's facts on stdin (JSON) and in the environment (CATTLE_…).
type Hooks struct {
	// BeforeSwitch runs on a gated candidate; failing refuses the release.
	BeforeSwitch Command `yaml:"before_switch"`
	// AfterRelease runs once a release, rebuild or rollback serves for good.
	AfterRelease Command `yaml:"after_release"`
	// OnFailure runs after whatever was begun and did not come to that.
	OnFailure Command       `yaml:"on_failure"`
	Deadline  time.Duration `yaml:"deadline"` // of each, default 5m
}

// When a Notice is sent.
const (
	OnSuccess = "success"
	OnFailure = "failure"
)

// A Notice tells somebody how a command ended. Exactly one of Mail, Webhook
// and Ntfy is set; an address that begins with EnvPrefix is in a variable of the
// operator's environment, since whoever knows it may post.
type Notice struct {
	Mail    string   `yaml:"mail"`    // sent by the live droplet's relay
	Webhook string   `yaml:"webhook"` // takes Slack's {"text": …}
	Ntfy    string   `yaml:"ntfy"`    // a topic's address
	On      []string `yaml:"on"`      // OnSuccess, OnFailure; default both
}

// EnvPrefix begins an address that is in the environment: env:SLACK_WEBHOOK.
const EnvPrefix = "env:"

// A Stack is the compose project as it is shipped to the droplet: merged,
// ${RELEASE} and ${IMAGE} resolved, images pinned where a digest is known,
// secrets still ${NAME}.
type Stack struct {
	YAML     []byte
	Services []string // sorted
	// Images are the references as written after interpolation, sorted,
	// without the pins.
	Images []string
	// Upstreams maps a Route.To of the service:port form to the droplet's
	// loopback addresses ("127.0.0.1:20000") that answer for it, one a replica.
	Upstreams map[string][]string
	// Volumes maps the compose files' names of volumes to Docker's own.
	Volumes map[string]string
	// Users maps the folder of each block storage volume of the profile's state
	// to the services that mount it, or something in it, sorted.
	Users map[string][]string
}
