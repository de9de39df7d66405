package nspawn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"cattle/droplets/sandbox"
)

var _ sandbox.Machines = (*Host)(nil)

var errClosed = errors.New("the sandbox is closed")

// A Host has booted machines behind a sandbox. It is for concurrent use.
type Host struct {
	opt    Options
	record *record
	world  *world

	assign   sync.Mutex
	assigned map[netip.Addr]netip.Addr // reserved address to droplet's; the zero Addr is nowhere

	mu       sync.Mutex
	closed   bool
	machines map[int]*machine
	images   map[int]*image
	bases    map[string]*base
	sockets  []io.Closer // in the world, whose namespace they would keep
}

// New makes a world without machines. The error is a *MissingError if this
// machine cannot boot any. Close must be called; if the process is killed
// before, Clean does its work.
func New(ctx context.Context, opt Options) (*Host, error) {
	root, err := check()
	if err != nil {
		return nil, err
	}
	return newHost(ctx, opt, registerFolder, root)
}

// check looks for what machines need.
func check() (cgroup, error) {
	var others []string
	if os.Geteuid() != 0 {
		others = append(others, "root")
	}
	root, err := cgroupRoot()
	if err != nil {
		others = append(others, "control groups of version 2")
	}
	return root, missing(others, func(program string) bool {
		return find(program) != program
	})
}

func newHost(ctx context.Context, opt Options, folder string, root cgroup) (_ *Host, err error) {
	if opt.Dir, err = emptyFolder(opt.Dir); err != nil {
		return nil, err
	}
	if opt.Cache == "" {
		if opt.Cache, err = os.UserCacheDir(); err != nil {
			return nil, err
		}
		opt.Cache = filepath.Join(opt.Cache, "cattle")
	}
	if opt.Cache, err = filepath.Abs(opt.Cache); err != nil {
		return nil, err
	}
	h := &Host{
		opt: opt, assigned: map[netip.Addr]netip.Addr{},
		machines: map[int]*machine{}, images: map[int]*image{}, bases: map[string]*base{},
	}
	if h.record, err = register(folder, opt.Dir, opt.Cache, root); err != nil {
		return nil, err
	}
	if err = h.begin(ctx, root); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// begin makes what all machines share.
func (h *Host) begin(ctx context.Context, root cgroup) (err error) {
	if err := os.MkdirAll(h.opt.Dir, 0o700); err != nil {
		return err
	}
	if _, err := root.child(filepath.Base(string(h.record.Cgroup))); err != nil {
		return err
	}
	h.world, err = newWorld(ctx)
	return err
}

// emptyFolder makes sure that a folder holds nothing that Close would delete.
func emptyFolder(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("a sandbox needs a folder for its disks")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return "", err
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("the folder for the sandbox's disks is not empty: %s", dir)
	}
	return dir, nil
}

// Listen listens at an address in the world.
func (h *Host) Listen(network, address string) (l net.Listener, err error) {
	err = h.world.do(func() error {
		l, err = net.Listen(network, address)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, h.keep(l)
}

// ListenPacket listens at an address in the world.
func (h *Host) ListenPacket(network, address string) (c net.PacketConn, err error) {
	err = h.world.do(func() error {
		c, err = net.ListenPacket(network, address)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, h.keep(c)
}

// keep has Close close a socket.
func (h *Host) keep(c io.Closer) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		c.Close()
		return errClosed
	}
	h.sockets = append(h.sockets, c)
	return nil
}

// Dial connects from the world to an IP and port there.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return h.world.dial(ctx, network, address)
}

// Close cuts all machines and takes everything away that the sandbox made but
// the cache. It may be called again.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	var all []*machine
	for _, m := range h.machines {
		all = append(all, m)
	}
	sockets := h.sockets
	h.mu.Unlock()

	for _, s := range sockets {
		s.Close()
	}
	faults := make([]error, len(all))
	var ended sync.WaitGroup
	for i, m := range all {
		ended.Go(func() { faults[i] = h.end(m) })
	}
	ended.Wait()
	if h.world != nil {
		faults = append(faults, h.world.close())
	}
	return errors.Join(append(faults, h.record.remove())...)
}

// end cuts a machine for good.
func (h *Host) end(m *machine) error {
	m.ops.Lock()
	defer m.ops.Unlock()
	return errors.Join(m.off(context.Background(), false), m.dropDisks())
}
