package nspawn

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"cattle/droplets/sandbox"
)

// Create makes a machine's disk and boots it. It returns when the machine has
// power. Of the spec's sizes none is enforced: the machine has the cores, the
// memory and the free disk of this one.
func (h *Host) Create(ctx context.Context, spec sandbox.Spec) error {
	if _, err := linkLocal(spec.IP); err != nil {
		return err
	}
	m := &machine{
		host: h, spec: spec, console: &tail{limit: 64 << 10},
		dir: filepath.Join(h.record.Dir, "machines", fmt.Sprint(spec.ID)),
	}
	m.ops.Lock()
	defer m.ops.Unlock()
	if err := h.add(m); err != nil {
		return err
	}
	err := h.chooseLayers(ctx, m)
	if err == nil {
		err = m.create(ctx)
	}
	if err != nil {
		return errors.Join(err, h.remove(m))
	}
	return nil
}

// PowerOn boots a machine that is off.
func (h *Host) PowerOn(ctx context.Context, id int) error {
	return h.act(id, func(m *machine) error { return m.powerOn(ctx) })
}

// Shutdown asks a machine to power off, and cuts it if it has not done so
// after 30 s. It returns when the machine is off.
func (h *Host) Shutdown(ctx context.Context, id int) error {
	return h.act(id, func(m *machine) error { return m.off(ctx, true) })
}

// PowerOff cuts a machine's power.
func (h *Host) PowerOff(ctx context.Context, id int) error {
	return h.act(id, func(m *machine) error { return m.off(ctx, false) })
}

// Reboot asks a machine to reboot, and cuts it if it has not done so after
// 30 s. It returns when the machine has power again.
func (h *Host) Reboot(ctx context.Context, id int) error {
	return h.act(id, func(m *machine) error { return m.reboot(ctx) })
}

// Destroy takes a machine away with its disk. One that is not there is no error.
func (h *Host) Destroy(_ context.Context, id int) error {
	m, err := h.machine(id)
	if err != nil {
		return nil
	}
	m.ops.Lock()
	defer m.ops.Unlock()
	return h.remove(m)
}

// act does something to a machine while nobody else does.
func (h *Host) act(id int, do func(*machine) error) error {
	m, err := h.machine(id)
	if err != nil {
		return err
	}
	m.ops.Lock()
	defer m.ops.Unlock()
	if now, err := h.machine(id); err != nil || now != m { // destroyed meanwhile
		return noMachine(id)
	}
	return do(m)
}

func noMachine(id int) error { return fmt.Errorf("there is no machine %d", id) }

// add makes a machine known. There must be none with its id.
func (h *Host) add(m *machine) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed
	}
	if h.machines[m.spec.ID] != nil {
		return fmt.Errorf("there is a machine %d already", m.spec.ID)
	}
	h.machines[m.spec.ID] = m
	return nil
}

// machine finds a machine.
func (h *Host) machine(id int) (*machine, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.machines[id]; m != nil {
		return m, nil
	}
	return nil, noMachine(id)
}

// remove ends a machine, deletes its disk and forgets it. m.ops is held.
func (h *Host) remove(m *machine) error {
	if err := m.off(context.Background(), false); err != nil {
		return err
	}
	if err := m.dropDisks(); err != nil {
		return err
	}
	if err := removeTree(m.dir); err != nil {
		return err
	}
	h.mu.Lock()
	var free []string
	if h.machines[m.spec.ID] == m {
		delete(h.machines, m.spec.ID)
		free = m.image.release()
	}
	h.mu.Unlock()
	return removeTrees(free)
}
