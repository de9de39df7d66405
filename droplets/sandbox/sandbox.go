// Package sandbox is DigitalOcean on one machine: its API as an http.Handler,
// a network that only exists in memory, and stub machines behind both, which
// take user-data as cloud-init would and answer what a droplet answers.
//
// It is written from DigitalOcean's published description of the API and
// imports nothing of this project, so that it cannot share our misreadings.
// Time passes by time.Now and timers alone: inside a testing/synctest bubble a
// release of minutes takes milliseconds. What happens at a time is worked out
// when somebody looks, so nothing runs in the background and a restart from
// the state folder goes on where the clock is.
//
// Real machines can take the place of the stub ones: see Machines.
package sandbox

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Options says what cloud to make. The zero value is a cloud in memory that
// does everything at once and takes any token.
type Options struct {
	// Dir is the state folder; it is made when it is not there, and what is in
	// it survives a restart. One cloud at a time uses it. Empty keeps
	// everything in memory.
	Dir string
	// Token is the bearer token that is accepted; empty accepts any that is
	// not empty.
	Token string
	// Tokens are further ones, each limited to the scopes that it has, such as
	// reserved_ip:update. What it lacks is answered 403.
	Tokens  map[string][]string
	Latency Latency
	// Open opens a sealed SOPS file (format dotenv, yaml or json) with an age
	// identity, as sops does on a droplet. It is injected so that this package
	// needs no sops. Nil means that a stub machine cannot open secrets, so
	// that a boot with secrets fails.
	Open func(sealed []byte, format, identity string) (map[string]string, error)
	// DropletLimit is the account's quota, default 25 (the example of the
	// API's description). ReservedIPLimit is by default 3, what an account
	// starts with.
	DropletLimit, ReservedIPLimit int
	// StaleLists is for how long a new droplet is missing from lists.
	StaleLists time.Duration
	// ReservedFirst lists a reserved IP before the droplet's own address; the
	// API promises no order (godo#343), and by default it comes second.
	ReservedFirst bool
	// Machines is what is behind the API in place of stub machines, which nil
	// means. Such machines end with the process, so the account begins empty:
	// of Dir only the authority is used. What stub machines can be told to do
	// (Break, MissingImage, RegistryLogin) does nothing, Latency.Boot, Step and
	// Issue mean nothing, and the rest of Latency passes before a machine
	// begins to carry an action out. The API's firewalls hold for Dial and
	// SOCKS alone, not for what droplets and the internet send to each other.
	Machines Machines
	// Internet is the address, in the network of Machines, of every host that
	// is none of the account's: what a name leads to that Lookup does not
	// know. The zero Addr means that there is no such host.
	Internet netip.Addr
	// Unlimited switches the rate limits off: 5,000 requests an hour and 250 a minute.
	Unlimited bool
	// Observe sees each answer of the API before it is sent, with the call and
	// the call's body: all but what a Fault makes up. It may be
	// called at the same time from several goroutines, and must keep nothing of
	// what it gets. Nil is nobody.
	Observe func(r *http.Request, body []byte, status int, h http.Header, answer []byte)
	// Verb is how long a stub machine takes to begin a verb; nil: no time.
	Verb func(verb string) time.Duration
	// State is what State of another cloud gave: this one goes on from there, in
	// memory, no earlier than that was. It is not for Machines, nor beside Dir.
	State []byte
}

// Latency is how long things take. Zero values mean at once.
type Latency struct {
	Call   time.Duration `json:"call"`   // each call of the API
	Active time.Duration `json:"active"` // from create to active, when networks appear
	Boot   time.Duration `json:"boot"`   // from active, or power on, until sshd answers
	Step   time.Duration `json:"step"`   // each boot step of a stub machine
	Assign time.Duration `json:"assign"` // a reserved IP's assign and unassign
	Delete time.Duration `json:"delete"` // from DELETE until a droplet is gone
	Issue  time.Duration `json:"issue"`  // a certificate
	Power  time.Duration `json:"power"`  // power actions, rename, snapshot
	Attach time.Duration `json:"attach"` // a volume's attach and detach
}

// A Cloud is one account of the sandbox. All its methods may be called at the
// same time from several goroutines.
type Cloud struct {
	opt     Options
	shelf   catalogue
	ca      *authority
	mux     *http.ServeMux
	scopes  map[string][]string // by the mux's pattern
	limiter limiter

	mu       sync.Mutex
	state    state
	dirty    bool
	changed  chan struct{}       // closed and replaced at every change, see wait
	seeds    map[int]*seed       // user-data, parsed once a droplet
	pairs    map[int]*parsedTree // certificates, likewise
	logs     map[int]*accessLog  // of the sites' visitors, likewise
	packed   map[int][]byte      // images that machines were brought, where there is no folder
	requests []*Request
	answered int // requests, for their ids
	changes  []Change
	faults   []*armedFault
	broken   map[string]Behaviour // by release
	missing  map[string]bool      // image references
	logins   map[string]login     // by registry host
	closed   bool
	guards   map[int]*guard           // by droplet
	folder   *os.File                 // holds the lock of the state folder
	queues   map[string]chan struct{} // what is done last for a place, see enqueue
	carries  map[carriedPort]ssh.Conn // ports of droplets whose connections operators take up
	lastPort int                      // of those

	ctx  context.Context // of everything that machines do; ended by Close
	stop context.CancelFunc
	jobs sync.WaitGroup

	net network
}

// New makes a cloud, from its state folder when there is one.
func New(opt Options) (*Cloud, error) {
	if opt.DropletLimit == 0 {
		opt.DropletLimit = 25
	}
	if opt.ReservedIPLimit == 0 {
		opt.ReservedIPLimit = 3
	}
	c := &Cloud{
		opt:     opt,
		shelf:   newCatalogue(),
		changed: make(chan struct{}),
		seeds:   map[int]*seed{},
		pairs:   map[int]*parsedTree{},
		logs:    map[int]*accessLog{},
		packed:  map[int][]byte{},
		broken:  map[string]Behaviour{},
		missing: map[string]bool{},
		logins:  map[string]login{},
		guards:  map[int]*guard{},
		queues:  map[string]chan struct{}{},
		carries: map[carriedPort]ssh.Conn{},
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.mux, c.scopes = c.routes(), scopes()
	c.net.init(c)
	if err := c.load(); err != nil {
		c.stop()
		return nil, errors.Join(err, c.release())
	}
	for _, a := range c.state.Actions {
		if a.Status == inProgress {
			c.wakeAt(a.Ends)
		}
	}
	return c, nil
}

// Close cuts every connection and ends every goroutine of the cloud, after
// what Machines are doing. The state folder stays.
func (c *Cloud) Close() error {
	c.lock()
	err := errors.Join(c.save(), c.release())
	c.closed = true
	c.broadcast()
	c.mu.Unlock()
	c.stop()
	err = errors.Join(err, c.net.close())
	c.jobs.Wait()
	return err
}

// CA is the root certificate, PEM, that signs everything the cloud serves with TLS.
func (c *Cloud) CA() []byte { return c.ca.pem }

// CAFile is the path of a bundle in the state folder, for SSL_CERT_FILE: CA,
// and what Trust added. It is empty without a state folder.
func (c *Cloud) CAFile() string { return c.caFile() }

// Client reaches the API in memory, whatever the host of the URL, and without
// a socket: it works in a synctest bubble.
func (c *Cloud) Client() *http.Client {
	return &http.Client{Transport: memoryTransport{c}}
}

// HTTPClient reaches what the cloud's network serves (droplets, names,
// registries) over in-memory connections, and trusts the cloud's CA and what
// Trust has added by now.
func (c *Cloud) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:       c.Dial,
		TLSClientConfig:   &tls.Config{RootCAs: c.ca.roots()},
		ForceAttemptHTTP2: true,
		DisableKeepAlives: true,
	}}
}

// lock takes the cloud at the present moment: all that was due has happened.
func (c *Cloud) lock() time.Time {
	c.mu.Lock()
	now := time.Now()
	if !c.closed {
		c.settle(now)
	}
	return now
}

// unlock keeps what changed. State that cannot be written stays to be written:
// the next call of the API reports it, and so does Close.
func (c *Cloud) unlock() {
	_ = c.save()
	c.mu.Unlock()
}

// touch notes a change of the state: to be saved, and to be looked at by
// whoever waits for one. The cloud must be locked.
func (c *Cloud) touch() {
	c.dirty = true
	c.broadcast()
}

func (c *Cloud) broadcast() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// wakeAt makes the cloud look at itself at a time, for those who wait.
func (c *Cloud) wakeAt(t time.Time) {
	time.AfterFunc(max(time.Until(t), 1), func() { // never due at once: see deadline
		c.lock()
		c.unlock()
	})
}

var _ net.Conn = (*memConn)(nil)
