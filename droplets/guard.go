package droplets

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A Guard is the dead-man switch of a live droplet that is about to be left:
// unless it is disarmed within For, the droplet takes the reserved IP back by
// itself, where the attempt that it was left for answers by then.
type Guard struct {
	Token   interface{ Reveal() string } // of the API; the droplet keeps it in memory
	IP      string
	Droplet int    // itself
	Attempt string // that is switched to
	For     time.Duration
}

// GuardState is what became of a dead-man switch.
type GuardState string

const (
	// GuardArmed means that it goes off unless it is disarmed in time.
	GuardArmed GuardState = "armed"
	// GuardDisarmed means that it had not gone off, and will not.
	GuardDisarmed GuardState = "disarmed"
	// GuardFired means that it went off: the reserved IP is back, or on its way.
	GuardFired GuardState = "fired"
	// GuardIdle means that the droplet knows nothing of it, as after a restart:
	// it will not go off any more, and may have.
	GuardIdle GuardState = "idle"
)

// maxGuardState bounds the one word that a guard answers.
const maxGuardState = 64

// Guard arms the droplet's dead-man switch, in the place of any before it. A
// droplet that was released without one answers an error for which UnknownVerb holds.
func (m *Machine) Guard(ctx context.Context, g Guard) error {
	order, err := json.Marshal(map[string]any{
		"token": g.Token.Reveal(), "ip": g.IP, "droplet": g.Droplet, "attempt": g.Attempt, "seconds": int(g.For.Seconds())})
	if err != nil {
		return err
	}
	_, err = m.askGuard(ctx, "guard", bytes.NewReader(order), GuardArmed)
	return err
}

// Disarm calls the dead-man switch off that was armed for the attempt, and
// tells what had become of it. Doing it twice is fine.
func (m *Machine) Disarm(ctx context.Context, attempt string) (GuardState, error) {
	return m.askGuard(ctx, "disarm", strings.NewReader(attempt+"\n"), GuardDisarmed, GuardFired, GuardIdle)
}

// askGuard wants one of these words for an answer: who comes first hangs on it.
func (m *Machine) askGuard(ctx context.Context, verb string, in io.Reader, words ...GuardState) (GuardState, error) {
	var said []byte
	err := m.stream(ctx, verb, in, func(out io.Reader) (err error) {
		said, err = readAtMost(out, maxGuardState)
		return err
	})
	state := GuardState(strings.TrimSpace(string(said)))
	if err == nil && !slices.Contains(words, state) {
		err = fmt.Errorf("%s: the droplet answered %q, not %q", verb, said, words)
	}
	return state, err
}
