// Package release is the protocol that puts a release on a fresh droplet and
// moves the public to it: survey, plan, and the steps that the plan prints.
//
// The truth lives in the cloud: tags, names and the reserved IP's droplet. So
// every operation starts with a survey, and any operator can go on where
// another one stopped.
package release

import (
	"context"
	"time"

	"cattle/droplets"
	"cattle/droplets/release/probe"
)

// Site is what a release has to know of a profile.
type Site struct {
	App        string
	Domains    []string // the first one is the canonical name
	ReservedIP string   // "": the one that holds the app's live droplet, or a new one

	Region, Size, Image, VPC string
	SSHKeys                  []string // names or fingerprints; none: all of the account
	Monitoring, IPv6         bool
	// Packages identifies what a droplet installs: a snapshot of the same digest
	// has it already. "": no snapshot fits.
	Packages    string
	BakedWithin time.Duration // how old a snapshot may be; 0: none is used
	Tags        []string      // besides cattle's own
	// DNS has the domains' records kept, Firewall a Cloud Firewall that lets in
	// SSH from SSHFrom alone (addresses and blocks; none: everyone). Project is
	// the name or id of the one to put things into, "" for wherever they are.
	DNS, Firewall bool
	SSHFrom       []string
	Project       string

	Services   []string // compose services that have to run
	Health     probe.Health
	BootWithin time.Duration // from create to the end of the boot
	// Watch is how long a release watches the live site before it is for good;
	// 0: not at all.
	Watch      time.Duration
	Keep       int           // standbys
	StandbyFor time.Duration // 0: until the next release
	Cutover    Cutover
	// Guard has the live droplet take the reserved IP back by itself, if the
	// operator vanishes between switch and confirm.
	Guard bool
	Hooks Hooks
	// State has a droplet's data carried over, for which writes wait MaxFreeze at
	// most. Migrates runs a command of the new release's on it. Backups are made
	// before each release.
	State, Migrates, Backups bool
	MaxFreeze                time.Duration
	// Volumes of block storage go along too, and are not copied. With
	// VolumesAlone there is no other state.
	Volumes      []VolumeSpec
	VolumesAlone bool
	// Mail tells that droplets send mail, and may have a queue of it.
	Mail bool
	// Untrusted is set when the certificates come from a test authority: names
	// and dates are verified then, the issuer is not.
	Untrusted bool
	// Limited is set when they come from Let's Encrypt, which issues five a week
	// for one set of names.
	Limited bool
}

// Cutover is what the switch may cost the public before it is taken back.
type Cutover struct {
	Failed int           // of ten requests a second
	Gap    time.Duration // longest time without an answer
}

// A Candidate is one attempt at a release, rendered and ready to be ordered.
type Candidate struct {
	Release  string
	Attempt  string
	Digest   string // of the machine that user-data describes
	HostKey  string // SHA-256 fingerprint, hex
	UserData []byte
	// NoHandoff leaves the certificates on the live droplet, for when that one
	// cannot be reached any more.
	NoHandoff bool
	// Live is what the live droplet said of itself; nil where nobody asked, or it
	// did not tell.
	Live *droplets.MachineStatus
	// SpendCertificate asks for a certificate though Let's Encrypt's limit for
	// the names is reached, as far as the live droplet knows.
	SpendCertificate bool
	// NoSnapshot has everything installed anew, as a rebuild does.
	NoSnapshot bool
	// State is brought to the droplets whose data is moved; nil where the site
	// has none.
	State *droplets.StateKit
	// Restore has the data come from a backup, "latest" or one's id, and not from
	// the live droplet; Empty has the app begin without any. "" and false: what
	// is live is carried over, and without it the newest backup is taken, if there is one.
	Restore string
	Empty   bool
	// NoBackup leaves out the backup before the release.
	NoBackup bool
	// Manifest is what the droplet is made of, for the next plan to compare with.
	Manifest *droplets.Manifest
	// Images are brought to it over SSH; nil where registries have them all.
	Images *Images
	// Key is the age key to deliver over SSH; nil when there is none to deliver.
	Key interface{ Reveal() string }
}

// An Operator carries out plans: the cloud to talk to, the way to the
// droplets, and who is told. It is used by one plan at a time.
type Operator struct {
	Cloud  droplets.Cloud
	Dialer droplets.Dialer
	Login  *droplets.Login
	// GuardToken is the API token that a guarded release hands to the live
	// droplet while it switches: reserved_ip:update is all that it needs. A plan without a guard wants none.
	GuardToken interface{ Reveal() string }
	// RunHook runs a command of the operator's and ends it with its deadline, or
	// with ctx, whose cause is the error then. A plan without hooks wants none.
	RunHook func(context.Context, Hook) error
	// By is who the history names for what this operator does.
	By droplets.Author
	// Emit is told of all that happens, from several goroutines but never at
	// the same time.
	Emit func(Event)
	// KeepFailed leaves a refused candidate running, for a look at it.
	KeepFailed bool
	// ViaOperator has data go through the operator's own connection, where the
	// droplets do not reach each other.
	ViaOperator bool
}

// undoWithin bounds what is done after a failure or an interrupt, on a context
// of its own: enough for two moves of the reserved IP and a delete.
const undoWithin = 5 * time.Minute

func undoContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), undoWithin)
}
