package droplets

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"time"
)

// A site's data is moved by a program of ours on its droplets, the engine. It
// is brought over SSH before it is needed, so that both sides always have the
// same one, also droplets that older versions made.

// stateScript is where the engine lies on a droplet, statePlan where a spec is
// offered to it.
const (
	stateScript = "opt/cattle/state"
	statePlan   = "etc/cattle/state.json.new"
)

// A StateKit is what a droplet needs for its data to be moved: the program,
// and what of the site is data. There is no secret in it.
type StateKit struct{ Engine, Spec []byte }

// Equip brings the kit to the droplet. Doing it twice is fine.
func (m *Machine) Equip(ctx context.Context, kit StateKit) error {
	packed, err := kit.pack()
	if err != nil {
		return err
	}
	return m.Command(ctx, []string{"tar", "--extract", "--directory=/", "--no-same-owner"}, bytes.NewReader(packed),
		func(out io.Reader) error { _, err := readAtMost(out, maxStderr); return err })
}

func (k StateKit) pack() ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name string
		mode int64
		body []byte
	}{{stateScript, 0o700, k.Engine}, {statePlan, 0o600, k.Spec}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.body)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.body); err != nil {
			return nil, err
		}
	}
	err := w.Close() // which writes the end of the archive
	return b.Bytes(), err
}

// PrepareState makes the droplet ready to give its data away or to be given
// some, and tells what it has. With adopt it takes the kit's spec for its own:
// that is a candidate's; a droplet that has a spec keeps it else.
func (m *Machine) PrepareState(ctx context.Context, adopt bool) (f StateFacts, err error) {
	var args []string
	if adopt {
		args = []string{"--adopt"}
	}
	err = m.askState(ctx, "prepare", args, nil, &f)
	f.clean()
	return f, err
}

// Lend has the droplet take that public key for so long, for nothing but the
// reading of its data, and lets the peer's address in to port 22.
func (m *Machine) Lend(ctx context.Context, publicKey string, d time.Duration, peer string) error {
	var said struct{ Lent bool }
	err := m.askState(ctx, "lend", []string{seconds(d), peer}, []byte(publicKey+"\n"), &said)
	if err == nil && !said.Lent {
		err = errors.New("state lend: the droplet does not say that it lent anything")
	}
	return err
}

// ReturnLent ends what Lend began. Doing it twice is fine.
func (m *Machine) ReturnLent(ctx context.Context) error {
	return m.askState(ctx, "return", nil, nil, nil)
}

// Freeze holds the droplet's writes for so long, after which it lets them go
// by itself. Doing it twice makes the time begin anew.
func (m *Machine) Freeze(ctx context.Context, d time.Duration) error {
	return m.askPhase(ctx, PhaseFrozen, "freeze", seconds(d))
}

// Attend has the droplet let its writes go soon after this connection ends, if
// it is frozen then: an operator who is killed holds nobody up. It comes before
// the freeze, and returns when the droplet has taken note.
func (m *Machine) Attend(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { m.client.Close() })
	defer stop()
	s, err := m.client.NewSession()
	if err != nil {
		return orCause(ctx, err)
	}
	in, err := s.StdinPipe() // which ends with the connection
	if err != nil {
		return err
	}
	out, err := s.StdoutPipe()
	if err == nil {
		err = s.Start(Quote("/"+stateScript, "attend"))
	}
	if err == nil {
		_, err = bufio.NewReader(io.LimitReader(out, maxStateLine)).ReadSlice('\n')
	}
	if err != nil {
		in.Close()
		s.Close()
		return fmt.Errorf("state attend: %w", orCause(ctx, err))
	}
	return nil
}

// CommitFreeze has a frozen droplet stay so, unless it is still the live one
// after so long. A *StateError of code lapsed means that it had thawed already:
// what was copied may lack writes.
func (m *Machine) CommitFreeze(ctx context.Context, d time.Duration) error {
	return m.askPhase(ctx, PhaseCommitted, "commit", seconds(d))
}

// Thaw lets writes go. Doing it twice is fine. A *StateError of code
// volume-missing means that the droplet has to stay closed without its volume:
// it opens by itself as soon as that is back.
func (m *Machine) Thaw(ctx context.Context) error { return m.askPhase(ctx, PhaseOpen, "thaw") }

// Migrate runs the spec's command in the droplet's own image.
func (m *Machine) Migrate(ctx context.Context) error {
	return m.askState(ctx, "migrate", nil, nil, nil)
}

// StartState starts the app with its writes held. If the droplet is the live
// one after so long, it lets them go by itself.
func (m *Machine) StartState(ctx context.Context, d time.Duration) error {
	return m.askPhase(ctx, PhaseNew, "start", seconds(d))
}

// StartOwnState is StartState for a standby that is to have what it was left
// with: a copy that came to it since then, and with which it was never opened,
// is undone first. Doing it twice is fine.
func (m *Machine) StartOwnState(ctx context.Context, d time.Duration) error {
	return m.askPhase(ctx, PhaseNew, "start", seconds(d), "--own")
}

// PartVolumes has the droplet close its web, stop what uses the volumes and
// unmount them, so that they can be detached. Until then it mounts none of them
// again, whatever else it does: by this computer's clock, and counted from before
// the droplet was asked. It has to be frozen, committed or new. Doing it twice
// makes the time begin anew. A *StateError of code volume-busy means that
// something does not let go: the droplet then mounts them again by itself.
func (m *Machine) PartVolumes(ctx context.Context, d time.Duration) (until time.Time, err error) {
	began := time.Now()
	var said struct{ Parted bool }
	err = m.askState(ctx, "part", []string{seconds(d)}, nil, &said)
	if err == nil && !said.Parted {
		err = errors.New("state part: the droplet does not say that it let go of its volumes")
	}
	if err != nil {
		return time.Time{}, err
	}
	return began.Add(d), nil
}

// JoinVolumes has the droplet mount the volumes that were attached to it; it
// waits half a minute for them. What PartVolumes stopped starts again, and the
// web opens as far as the phase lets it. A *StateError of code volume-missing
// means that one did not come. Doing it twice is fine.
func (m *Machine) JoinVolumes(ctx context.Context) error {
	var said struct{ Joined bool }
	err := m.askState(ctx, "join", nil, nil, &said)
	if err == nil && !said.Joined {
		err = errors.New("state join: the droplet does not say that it has its volumes")
	}
	return err
}

// Pull has the droplet fetch the data of another one, and calls each as it
// goes on. A final pass wants the other one frozen, and ends with both known
// to be equal.
func (m *Machine) Pull(ctx context.Context, pass PullPass, from Source, each func(PullProgress)) (p Pulled, err error) {
	order, err := from.order()
	if err != nil {
		return p, err
	}
	err = m.state(ctx, "pull "+string(pass), nil, order, func(line []byte) error { return p.read(line, each) })
	if err == nil && !p.done {
		err = fmt.Errorf("state pull %s: %w", pass, io.ErrUnexpectedEOF)
	}
	if err == nil && pass == PullDelta {
		err = p.unequal()
	}
	return p, err
}

// Writes tells how much the droplet has written since it was opened.
func (m *Machine) Writes(ctx context.Context) (w Writes, err error) {
	err = m.askState(ctx, "writes", nil, nil, &w)
	w.clean()
	return w, err
}

// Backup makes a backup now. The reason is kept with it: one lower-case word.
func (m *Machine) Backup(ctx context.Context, reason string) (b Backup, err error) {
	err = m.askState(ctx, "backup", []string{reason}, nil, &b)
	b.clean()
	if err == nil && b.ID == "" {
		err = errors.New("state backup: the droplet names no backup")
	}
	return b, err
}

// Backups lists what the repository has, newest first.
func (m *Machine) Backups(ctx context.Context) ([]Backup, error) {
	var said struct{ Backups []Backup }
	err := m.askState(ctx, "backups", nil, nil, &said)
	for i := range said.Backups {
		said.Backups[i].clean()
	}
	return said.Backups, err
}

// A RestoreMode is where a backup goes.
type RestoreMode string

const (
	RestoreTo    RestoreMode = "--to"    // into a folder of the droplet
	RestoreLive  RestoreMode = "--live"  // in the place of what is there, of which a backup is made first
	RestoreFresh RestoreMode = "--fresh" // onto a candidate, whose app does not run yet
)

var backupRE = regexp.MustCompile(`^(latest|[0-9a-f]{4,64})$`)

// IsBackupID tells what may name a backup: hex digits, or "latest".
func IsBackupID(s string) bool { return backupRE.MatchString(s) }

// Restore brings a backup back: "latest" or an id. folder is for RestoreTo.
func (m *Machine) Restore(ctx context.Context, id string, mode RestoreMode, folder string) (b Backup, err error) {
	if !IsBackupID(id) {
		return b, fmt.Errorf("%q names no backup", Line(id))
	}
	args := []string{id, string(mode)}
	if mode == RestoreTo {
		args = append(args, folder)
	}
	err = m.askState(ctx, "restore", args, nil, &b)
	b.clean()
	return b, err
}

// VerifyBackup restores the newest backup into a scratch place and checks it.
func (m *Machine) VerifyBackup(ctx context.Context) (v Verified, err error) {
	err = m.askState(ctx, "verify", nil, nil, &v)
	v.ID, v.Checked = Line(v.ID), lines(v.Checked)
	return v, err
}

// ScheduleBackups has the droplet make backups by itself for as long as it is live.
func (m *Machine) ScheduleBackups(ctx context.Context) error {
	return m.askState(ctx, "schedule", nil, nil, nil)
}

func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// askPhase asks for a change, and wants to hear that it was made.
func (m *Machine) askPhase(ctx context.Context, want StatePhase, verb string, args ...string) error {
	var said struct{ Phase StatePhase }
	err := m.askState(ctx, verb, args, nil, &said)
	if err == nil && said.Phase != want {
		err = fmt.Errorf("state %s: the droplet says that it is %q, not %s", verb, Line(string(said.Phase)), want)
	}
	return err
}

// askState wants one object for an answer, the last line that is printed; into
// may be nil.
func (m *Machine) askState(ctx context.Context, verb string, args []string, in []byte, into any) error {
	var last []byte
	err := m.state(ctx, verb, args, in, func(line []byte) error {
		last = bytes.Clone(line)
		return nil
	})
	switch {
	case err != nil || into == nil:
		return err
	case last == nil:
		return fmt.Errorf("state %s: %w", verb, io.ErrUnexpectedEOF)
	}
	if err := json.Unmarshal(last, into); err != nil {
		return fmt.Errorf("the droplet's answer to state %s is none: %w", verb, err)
	}
	return nil
}

// Bounds of what an engine may answer: half an hour of ten entries' progress is
// 6 MB.
const (
	maxStateLine   = 256 << 10
	maxStateAnswer = 16 << 20
)

// state runs a verb of the engine's and calls each for every line. What the
// engine says of a failure is a *StateError.
func (m *Machine) state(ctx context.Context, verb string, args []string, in []byte, each func([]byte) error) error {
	words := append([]string{"/" + stateScript}, append(splitVerb(verb), args...)...)
	var fault *StateError
	err := m.command(ctx, "state "+verb, Quote(words...), reader(in), func(out io.Reader) error {
		bounded := &io.LimitedReader{R: out, N: maxStateAnswer}
		lines := bufio.NewScanner(bounded)
		lines.Buffer(nil, maxStateLine)
		for lines.Scan() {
			if f := parseFault(verb, lines.Bytes()); f != nil {
				fault = f
				continue
			}
			if err := each(lines.Bytes()); err != nil {
				return err
			}
		}
		if bounded.N <= 0 {
			return fmt.Errorf("longer than %d bytes", maxStateAnswer)
		}
		return lines.Err()
	})
	var failed *VerbError
	if fault != nil && (err == nil || errors.As(err, &failed)) {
		return fault
	}
	return err
}

func splitVerb(verb string) []string {
	var out []string
	for w := range bytes.FieldsSeq([]byte(verb)) {
		out = append(out, string(w))
	}
	return out
}

func reader(b []byte) io.Reader {
	if b == nil {
		return nil
	}
	return bytes.NewReader(b)
}
