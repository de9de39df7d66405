package droplets

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Machine is a droplet that the operator is logged in to. What can be asked
// of it is the short list of verbs below, each a function of one script on the
// droplet. Its methods may be called concurrently.
type Machine struct {
	client  *ssh.Client
	hostKey string // that it proved to hold, as known_hosts has it
}

// verbScript is the droplet's side of the contract.
const verbScript = "/opt/cattle/droplet"

// Bounds on what a droplet may answer, so that a broken one cannot fill the
// operator's memory. /etc/letsencrypt with a year of renewals is far below 1 MiB.
const (
	maxStatus       = 1 << 20
	maxCertificates = 16 << 20
	maxJournalLine  = 64 << 10
	maxJournal      = 8 << 20 // some thirty steps, twice a line each
	maxStderr       = 4 << 10
)

// Close ends the connection.
func (m *Machine) Close() error { return m.client.Close() }

// A VerbError is a verb that the droplet carried out and that failed.
type VerbError struct {
	Verb   string
	Exit   int
	Reason string // its last words, printable
}

func (e *VerbError) Error() string {
	s := fmt.Sprintf("the droplet's %s failed with exit status %d", e.Verb, e.Exit)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// exitUnknown is a droplet's exit status for a verb that it does not know.
const exitUnknown = 64

// UnknownVerb tells that the droplet is one that does not know the verb.
func UnknownVerb(err error) bool {
	var refused *VerbError
	return errors.As(err, &refused) && refused.Exit == exitUnknown
}

// StepState is what became of a step of the boot.
type StepState string

const (
	StepRunning StepState = "running"
	StepOK      StepState = "ok"
	StepFailed  StepState = "failed"
	StepSkipped StepState = "skipped" // one that it depends on failed
)

// BootStep is the name under which the journal reports the boot as a whole.
const BootStep = "boot"

// A JournalEntry is one change of one boot step.
type JournalEntry struct {
	At    int64     `json:"at"` // unix milliseconds, the droplet's clock
	Step  string    `json:"step"`
	State StepState `json:"state"`
	Exit  int       `json:"exit"`
	MS    int64     `json:"ms"`   // how long it took
	Tail  []byte    `json:"tail"` // last lines of a failed step
}

// Journal follows the boot from its beginning and calls each for every entry,
// until the boot is over. It returns nil when the journal ended with the
// boot's own line, whatever that line says.
func (m *Machine) Journal(ctx context.Context, each func(JournalEntry)) error {
	over := false
	err := m.stream(ctx, "journal", nil, func(out io.Reader) error {
		bounded := &io.LimitedReader{R: out, N: maxJournal}
		lines := bufio.NewScanner(bounded)
		lines.Buffer(nil, maxJournalLine)
		for lines.Scan() {
			e, err := parseEntry(lines.Bytes())
			if err != nil && bounded.N > 0 {
				return fmt.Errorf("the droplet's journal has a line that is no entry: %w", err)
			}
			if err == nil {
				each(e)
				over = over || e.Step == BootStep
			}
		}
		if bounded.N <= 0 {
			return fmt.Errorf("the droplet's journal is longer than %d bytes", maxJournal)
		}
		return lines.Err()
	})
	if err == nil && !over {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseEntry reads a line of the journal. Its text is safe to show.
func parseEntry(line []byte) (e JournalEntry, err error) {
	if err := json.Unmarshal(line, &e); err != nil {
		return e, err
	}
	switch e.State {
	case StepRunning, StepOK, StepFailed, StepSkipped:
	default:
		return e, fmt.Errorf("the state %q", Line(string(e.State)))
	}
	e.Step, e.Tail = Line(e.Step), []byte(Printable(string(e.Tail)))
	return e, nil
}

// DeliverKey hands the droplet the age key of its secrets. Doing it twice is fine.
func (m *Machine) DeliverKey(ctx context.Context, key string) error {
	return m.stream(ctx, "key", strings.NewReader(key+"\n"), nil)
}

// MachineStatus is how a droplet sees itself.
type MachineStatus struct {
	App         string       `json:"app"`
	Release     string       `json:"release"`
	Attempt     string       `json:"attempt"`
	Boot        StepState    `json:"boot"`
	FailedStep  string       `json:"failed_step"`
	Services    []Service    `json:"services"`
	Certificate *Certificate `json:"certificate"` // nil: none yet
	// Issued are the certificates of the last seven days that the droplet has a
	// copy of, oldest first; nil on droplets that were made before they told.
	Issued      []Issuance        `json:"issued"`
	FailedUnits []string          `json:"failed_units"`
	Images      map[string]string `json:"images"` // reference to digest
	// State is what it says of its data; nil where the profile has none, and on
	// droplets that were never asked to move any.
	State *StateBrief `json:"state"`
}

// Service is a compose service, in docker's own words.
type Service struct {
	Name   string `json:"name"`
	State  string `json:"state"`  // running, exited, restarting, …
	Health string `json:"health"` // healthy, starting, unhealthy, or "" without a check
	Exit   int    `json:"exit"`   // of a service that exited
}

// Certificate is the TLS certificate that the droplet serves.
type Certificate struct {
	Names    []string  `json:"names"`
	NotAfter time.Time `json:"not_after"`
}

// An Issuance is one certificate that an authority issued for the site, to this
// droplet or to one that it was carried on from.
type Issuance struct {
	At    int64    `json:"at"` // unix seconds, the clock of the droplet that asked
	Names []string `json:"names"`
}

// Status asks the droplet how it is. The text in it is safe to show, and a
// digest is one.
func (m *Machine) Status(ctx context.Context) (MachineStatus, error) {
	var s MachineStatus
	err := m.stream(ctx, "status", nil, func(out io.Reader) error {
		return json.NewDecoder(io.LimitReader(out, maxStatus)).Decode(&s)
	})
	s.clean()
	return s, err
}

var digestRE = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// clean makes what a droplet said safe to show, and drops what cannot be: a
// rebuild writes the digests into its compose file.
func (s *MachineStatus) clean() {
	for _, text := range []*string{&s.App, &s.Release, &s.Attempt, (*string)(&s.Boot), &s.FailedStep} {
		*text = Line(*text)
	}
	for i := range s.Services {
		s.Services[i].clean()
	}
	if s.Certificate != nil {
		s.Certificate.Names = lines(s.Certificate.Names)
	}
	for i := range s.Issued {
		s.Issued[i].Names = lines(s.Issued[i].Names)
	}
	s.FailedUnits = lines(s.FailedUnits)
	s.State.clean()
	maps.DeleteFunc(s.Images, func(_, digest string) bool { return !digestRE.MatchString(digest) })
}

func (v *Service) clean() { v.Name, v.State, v.Health = Line(v.Name), Line(v.State), Line(v.Health) }

// Traffic is what visitors got of a droplet's nginx lately, and its containers.
type Traffic struct {
	Window     int         `json:"window"` // seconds that the counts are of, at most
	Requests   int         `json:"requests"`
	Errors     int         `json:"errors"` // answers of 500 and more
	Containers []Container `json:"containers"`
}

// A Container is one of a service.
type Container struct {
	Service
	Restarts int `json:"restarts"` // by its restart policy, since it was made
	Age      int `json:"age"`      // seconds since then
}

// Traffic asks the droplet for its figures. A droplet that was made without
// release.bake does not know the verb, see UnknownVerb.
func (m *Machine) Traffic(ctx context.Context) (Traffic, error) {
	var t Traffic
	err := m.stream(ctx, "traffic", nil, func(out io.Reader) error {
		return json.NewDecoder(io.LimitReader(out, maxStatus)).Decode(&t)
	})
	for i := range t.Containers {
		t.Containers[i].clean()
	}
	return t, err
}

// Certificates fetches /etc/letsencrypt as a tar: links matter in it.
func (m *Machine) Certificates(ctx context.Context) ([]byte, error) {
	var tar []byte
	err := m.stream(ctx, "certificates", nil, func(out io.Reader) (err error) {
		tar, err = readAtMost(out, maxCertificates)
		return err
	})
	return tar, err
}

// InstallCertificates gives the droplet what another one's Certificates gave.
func (m *Machine) InstallCertificates(ctx context.Context, tar []byte) error {
	return m.stream(ctx, "install-certificates", bytes.NewReader(tar), nil)
}

// Certify has the droplet obtain a certificate for all of its names now.
func (m *Machine) Certify(ctx context.Context) error {
	return m.stream(ctx, "certify", nil, nil)
}

// Strip makes a disk to copy of a baking droplet: keys, ids, logs and all that
// its user-data wrote go. Any other droplet refuses.
func (m *Machine) Strip(ctx context.Context) error {
	return m.stream(ctx, "strip", nil, nil)
}

// stream runs one verb. When ctx ends the whole connection is closed, which
// ends the verb on the droplet too: to open or close a session alone waits for
// the other side, which may have stopped answering.
func (m *Machine) stream(ctx context.Context, verb string, in io.Reader, read func(io.Reader) error) error {
	return m.command(ctx, verb, verbScript+" "+verb, in, read)
}

// command is stream for any command of the droplet's; verb is what it is called
// in errors.
func (m *Machine) command(ctx context.Context, verb, line string, in io.Reader, read func(io.Reader) error) error {
	stop := context.AfterFunc(ctx, func() { m.client.Close() })
	defer stop()
	s, err := m.start(line, in)
	if err != nil {
		return fmt.Errorf("ask the droplet for %s: %w", verb, orCause(ctx, err))
	}
	defer s.Close()

	var readErr error
	if read != nil {
		readErr = read(s.out)
	}
	if readErr == nil {
		// A read that stopped early must not leave the droplet blocked on its output.
		if n, _ := io.CopyN(io.Discard, s.out, maxStatus); n == maxStatus {
			readErr = errors.New("it goes on and on")
		}
	}
	if readErr != nil {
		s.Close()
	}
	err = s.wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return &VerbError{Verb: verb, Exit: exit.ExitStatus(), Reason: s.lastWords()}
	}
	if readErr != nil {
		return fmt.Errorf("the droplet's %s: %w", verb, readErr)
	}
	if err != nil {
		return fmt.Errorf("the droplet's %s: %w", verb, err)
	}
	return nil
}

// orCause is why ctx ended where that is the reason for err.
func orCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func readAtMost(r io.Reader, n int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, n+1))
	if err == nil && int64(len(b)) > n {
		return nil, fmt.Errorf("larger than %d bytes", n)
	}
	return b, err
}
