package nspawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rebootStatus is how systemd-nspawn ends when the machine has rebooted itself.
const rebootStatus = 133

// A run is one time that a machine has power, from boot to off or reboot: a
// control group, a network namespace with a cable, mounts and systemd-nspawn,
// all of them its own, so that nothing but the disk outlives a reboot.
type run struct {
	m      *machine
	cgroup cgroup
	leader int           // process id of the machine's first process
	ended  chan struct{} // closed when systemd-nspawn has ended
	exit   error         // how; valid once ended
	over   chan struct{} // closed when all is taken away and the machine knows

	mu      sync.Mutex
	process *os.File // the leader, immune to an id that is given out again; nil once it is over
}

func newRun(m *machine) *run {
	return &run{m: m, ended: make(chan struct{}), over: make(chan struct{})}
}

// start gives the machine power, and returns once its first process is there.
func (r *run) start(ctx context.Context) (err error) {
	if r.cgroup, err = r.m.host.record.Cgroup.child(fmt.Sprint(r.m.spec.ID)); err != nil {
		return err
	}
	launched := make(chan error, 1)
	go func() {
		// The thread lives as long as the run: systemd-nspawn dies with it, and
		// so does the machine with systemd-nspawn.
		r.exit = onThread(func() error { return r.live(launched) })
		close(r.ended)
	}()
	if err = <-launched; err == nil {
		err = r.findLeader(ctx)
	}
	if err != nil {
		r.cgroup.kill()
		<-r.ended
		r.takeAway()
		return err
	}
	go func() {
		<-r.ended
		r.takeAway()
		r.m.ended(r)
	}()
	return nil
}

// live starts systemd-nspawn from the calling thread, whose namespaces it gets,
// and returns how it ended.
func (r *run) live(launched chan<- error) error {
	cmd, err := r.launch()
	launched <- err
	if err != nil {
		return err
	}
	defer unix.Unmount(r.root(), unix.MNT_DETACH)
	return cmd.Wait()
}

// launch starts systemd-nspawn in namespaces that it makes for it.
func (r *run) launch() (*exec.Cmd, error) {
	m := r.m
	group, err := r.cgroup.open() // before mountSystem hides it
	if err != nil {
		return nil, err
	}
	defer group.Close()
	ns, err := enterNewNamespace()
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if err := m.host.world.plug(m.spec.ID, m.spec.IP, ns); err != nil {
		return nil, err
	}
	if err := ownMounts(); err != nil {
		return nil, err
	}
	if err := mountOverlay(m.layers, m.upper(), filepath.Join(m.dir, "work"), r.root()); err != nil {
		return nil, err
	}
	if err := mountSystem(); err != nil {
		return nil, err
	}
	cmd := r.command()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, UseCgroupFD: true, CgroupFD: int(group.Fd())}
	return cmd, cmd.Start()
}

// rebooted says whether the machine ended to boot again.
func (r *run) rebooted() bool {
	var status *exec.ExitError
	return errors.As(r.exit, &status) && status.ExitCode() == rebootStatus
}

// root is where the machine's disk is mounted, for its systemd-nspawn alone.
func (r *run) root() string { return filepath.Join(r.m.dir, "root") }

// command is systemd-nspawn with the machine in it. It lets nested containers
// work (bpf for their devices, keys, all of /proc/sys/net), and keeps this
// machine's clock, modules and raw devices from the guest.
func (r *run) command() *exec.Cmd {
	m := r.m
	cmd := exec.Command(find("systemd-nspawn"),
		"--quiet", "--directory="+r.root(), "--machine="+fmt.Sprintf("sandbox-%s-%d", m.host.record.ID, m.spec.ID),
		"--register=no", "--keep-unit", "--console=pipe",
		"--capability=all", "--drop-capability=CAP_SYS_TIME,CAP_SYS_MODULE,CAP_SYS_RAWIO",
		"--system-call-filter=add_key keyctl bpf",
		"--resolv-conf=off", "--timezone=off", "--link-journal=no",
		"--bind="+strings.ReplaceAll(m.docker(), ":", `\:`)+":/var/lib/docker",
		first, fmt.Sprint(m.spec.ID))
	for _, d := range m.disks { // m.mu is held by who boots it
		cmd.Args = append(cmd.Args, d.word())
	}
	cmd.Env = append(bare(), "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1")
	cmd.Stdout, cmd.Stderr = m.console, m.console
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// findLeader waits until the machine's first process is there.
func (r *run) findLeader(ctx context.Context) error {
	for deadline := time.After(patience); ; {
		if pid := firstProcess(r.cgroup.processes()); pid > 0 {
			fd, err := unix.PidfdOpen(pid, 0)
			if err == nil {
				r.leader, r.process = pid, os.NewFile(uintptr(fd), "machine")
				return nil
			}
		}
		select {
		case <-r.ended:
			return fmt.Errorf("systemd-nspawn ended at once: %v%s", r.exit, quote(r.m.console.lines(8)))
		case <-deadline:
			return fmt.Errorf("systemd-nspawn started no process within %s%s", patience, quote(r.m.console.lines(8)))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// firstProcess is the one among processes that is the first of a process
// namespace right below ours; containers in the machine are further below.
func firstProcess(pids []int) int {
	depth := len(namespaceIDs("self"))
	for _, pid := range pids {
		if ids := namespaceIDs(fmt.Sprint(pid)); len(ids) == depth+1 && ids[depth] == "1" {
			return pid
		}
	}
	return 0
}

// namespaceIDs are the ids that a process has, the one in its innermost
// namespace last.
func namespaceIDs(pid string) []string {
	status, _ := os.ReadFile(filepath.Join("/proc", pid, "status"))
	for line := range strings.Lines(string(status)) {
		if ids, found := strings.CutPrefix(line, "NSpid:"); found {
			return strings.Fields(ids)
		}
	}
	return nil
}

// What systemd as the first process does at a signal; its names for them count
// from glibc's SIGRTMIN, which is 34.
const (
	signalPowerOff = unix.Signal(34 + 4)
	signalReboot   = unix.Signal(34 + 5)
)

// ask signals the machine's first process until the run is over, which it
// reports. A machine that is still early in its boot does not hear.
func (r *run) ask(ctx context.Context, signal unix.Signal, bound time.Duration) bool {
	deadline := time.After(bound)
	for again := time.Tick(5 * time.Second); ; {
		r.signal(signal)
		select {
		case <-r.over:
			return true
		case <-deadline:
			return false
		case <-ctx.Done():
			return false
		case <-again:
		}
	}
}

// signal tells the machine's first process something, if it is there.
func (r *run) signal(signal unix.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process != nil {
		unix.PidfdSendSignal(int(r.process.Fd()), signal, nil, 0)
	}
}

// cut takes the power away, and waits until the run is over.
func (r *run) cut() error {
	r.cgroup.kill()
	select {
	case <-r.over:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s does not end", r.m.spec.Name)
	}
}

// takeAway removes what is left of a run that has ended: its control group, and
// both ends of the cable, so that the address is free for the next run.
func (r *run) takeAway() {
	err := errors.Join(r.cgroup.remove(), r.m.host.world.unplug(r.m.spec.ID))
	if err != nil {
		r.m.host.opt.say(fmt.Sprintf("%s left something over: %v", r.m.spec.Name, err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process != nil {
		r.process.Close()
		r.process = nil
	}
}
