//go:build !linux

package nspawn

import (
	"context"
	"net"
	"net/netip"

	"cattle/droplets/sandbox"
)

var _ sandbox.Machines = (*Host)(nil)

// A Host has booted machines behind a sandbox. There is none but on Linux.
type Host struct{}

func missingLinux() error { return &MissingError{Missing: []string{"Linux"}} }

// New says that machines need Linux.
func New(context.Context, Options) (*Host, error) { return nil, missingLinux() }

// Clean has nothing to do: no sandbox ever had machines here.
func Clean(context.Context, func(string)) (int, error) { return 0, nil }

func (*Host) Create(context.Context, sandbox.Spec) error              { return missingLinux() }
func (*Host) PowerOn(context.Context, int) error                      { return missingLinux() }
func (*Host) Shutdown(context.Context, int) error                     { return missingLinux() }
func (*Host) PowerOff(context.Context, int) error                     { return missingLinux() }
func (*Host) Reboot(context.Context, int) error                       { return missingLinux() }
func (*Host) Destroy(context.Context, int) error                      { return missingLinux() }
func (*Host) Snapshot(context.Context, int, int) error                { return missingLinux() }
func (*Host) DeleteImage(context.Context, int) error                  { return missingLinux() }
func (*Host) AttachVolume(context.Context, int, sandbox.Volume) error { return missingLinux() }
func (*Host) DetachVolume(context.Context, int, sandbox.Volume) error { return missingLinux() }
func (*Host) DeleteVolume(context.Context, string) error              { return missingLinux() }
func (*Host) Assign(context.Context, netip.Addr, netip.Addr) error    { return missingLinux() }
func (*Host) Prepare(context.Context, string) error                   { return missingLinux() }
func (*Host) Exec(context.Context, int, ...string) ([]byte, error)    { return nil, missingLinux() }
func (*Host) DiskFolders(int) []string                                { return nil }
func (*Host) Trust([]byte) error                                      { return missingLinux() }
func (*Host) Close() error                                            { return nil }
func (*Host) Listen(string, string) (net.Listener, error)             { return nil, missingLinux() }
func (*Host) ListenPacket(string, string) (net.PacketConn, error)     { return nil, missingLinux() }
func (*Host) Dial(context.Context, string, string) (net.Conn, error)  { return nil, missingLinux() }
