package nspawn

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"cattle/droplets/sandbox"
)

// patience is how long a machine that is asked to end or reboot may take.
// Then it is cut.
const patience = 30 * time.Second

// A machine is one droplet's: a disk, and while it has power a run.
type machine struct {
	host   *Host
	spec   sandbox.Spec
	dir    string
	layers []string // of its disk, the topmost first, without its own
	image  *image   // whose layers they are; nil: of a public image

	console *tail
	ops     sync.Mutex // held for a whole power action

	mu    sync.Mutex
	run   *run // nil: off
	disks []*disk
	asked bool // whoever calls wants it off: no restart, no word to Stopped
}

// upper is the folder with what the machine changed on its disk, docker the
// one of its /var/lib/docker, which an overlay could not hold.
func (m *machine) upper() string  { return filepath.Join(m.dir, "upper") }
func (m *machine) docker() string { return filepath.Join(m.dir, "docker") }

// powerOn boots the machine; one that is on is left alone.
func (m *machine) powerOn(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = false
	if m.run != nil {
		return nil
	}
	return m.boot(ctx)
}

// boot starts a run. m.mu is held.
func (m *machine) boot(ctx context.Context) error {
	r := newRun(m)
	if err := r.start(ctx); err != nil {
		return fmt.Errorf("booting %s: %w", m.spec.Name, err)
	}
	m.run = r
	return nil
}

// ended is called when a run is over and all of it is taken away. A machine
// that has rebooted itself boots again; one that has powered itself off says so.
func (m *machine) ended(r *run) {
	m.mu.Lock()
	m.run = nil
	asked := m.asked
	var err error
	if r.rebooted() && !asked {
		if err = m.boot(context.Background()); err == nil {
			m.mu.Unlock()
			close(r.over)
			return
		}
		m.host.opt.say(err.Error())
	}
	m.mu.Unlock()
	close(r.over)
	if !asked && m.spec.Stopped != nil {
		m.spec.Stopped()
	}
}

// current is the run of the moment, nil when the machine is off.
func (m *machine) current() *run {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.run
}

// off ends the machine, with a request first or at once.
func (m *machine) off(ctx context.Context, politely bool) error {
	m.mu.Lock()
	r := m.run
	m.asked = r != nil
	m.mu.Unlock()
	if r == nil {
		return nil
	}
	if politely && r.ask(ctx, signalPowerOff, patience) {
		return nil
	}
	return r.cut()
}

// reboot restarts the machine, cutting it if it does not do so by itself.
func (m *machine) reboot(ctx context.Context) error {
	r := m.current()
	if r == nil {
		return m.powerOn(ctx)
	}
	if r.ask(ctx, signalReboot, patience) && m.current() != nil {
		return nil
	}
	m.mu.Lock()
	r, m.asked = m.run, m.run != nil
	m.mu.Unlock()
	if r != nil {
		if err := r.cut(); err != nil {
			return err
		}
	}
	return m.powerOn(ctx)
}

// create makes the disk and boots it.
func (m *machine) create(ctx context.Context) error {
	if err := m.makeDisk(ctx); err != nil {
		return fmt.Errorf("the disk of %s: %w", m.spec.Name, err)
	}
	if err := m.host.world.rules(ctx, itselfRules(m.spec.IP)); err != nil {
		return err
	}
	return m.powerOn(ctx)
}

// makeDisk makes the folders of the disk.
func (m *machine) makeDisk(ctx context.Context) error {
	if err := os.MkdirAll(m.upper(), 0o755); err != nil {
		return err
	}
	if m.host.opt.NoCloud {
		if err := m.seed(); err != nil {
			return err
		}
	}
	if m.image != nil {
		return copyTree(ctx, filepath.Join(m.image.dir, "docker"), m.docker())
	}
	return os.Mkdir(m.docker(), 0o710)
}
