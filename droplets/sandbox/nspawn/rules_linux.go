package nspawn

import (
	"context"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// rules carries out nft commands in the world, all of them or none.
func (w *world) rules(ctx context.Context, commands string) error {
	if commands == "" {
		return nil
	}
	_, err := tool{
		argv: []string{"nft", "-f", "-"}, stdin: commands,
		before: func() error { return unix.Setns(int(w.ns.Fd()), unix.CLONE_NEWNET) },
	}.run(ctx)
	return err
}

// Assign lets a reserved address lead to a droplet's: new connections at once,
// those that exist stay. The zero Addr: nowhere, connections are refused.
func (h *Host) Assign(ctx context.Context, ip, to netip.Addr) error {
	if !reserved.Contains(ip) {
		return fmt.Errorf("%s is no reserved address", ip)
	}
	if to.IsValid() && !droplets.Contains(to) {
		return fmt.Errorf("%s is no droplet's address", to)
	}
	h.assign.Lock()
	defer h.assign.Unlock()
	from := h.assigned[ip]
	if from == to {
		return nil
	}
	if err := h.world.rules(ctx, assignRules(ip, from, to)); err != nil {
		return fmt.Errorf("leading %s: %w", ip, err)
	}
	h.assigned[ip] = to
	return nil
}
