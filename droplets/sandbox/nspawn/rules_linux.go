package nspawn

import (
	"context"
	"errors"
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

// give makes an address one that packets of the sandbox itself find a way to.
func (w *world) give(ip netip.Addr) error {
	err := w.routeToItself(netip.PrefixFrom(ip, ip.BitLen()))
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// Assign lets a reserved address lead to a droplet's: new connections at once,
// those that exist stay. The zero Addr: nowhere, connections are refused.
func (h *Host) Assign(ctx context.Context, ip, to netip.Addr) error {
	if !ip.Is4() || !ip.IsGlobalUnicast() || droplets.Contains(ip) {
		return fmt.Errorf("%s is no reserved address", ip)
	}
	if to.IsValid() && !droplets.Contains(to) {
		return fmt.Errorf("%s is no droplet's address", to)
	}
	h.assign.Lock()
	defer h.assign.Unlock()
	from, known := h.assigned[ip]
	if known && from == to {
		return nil
	}
	rules := assignRules(ip, from, to)
	if !known && !reserved.Contains(ip) {
		if err := h.world.give(ip); err != nil {
			return fmt.Errorf("making %s an address of the world: %w", ip, err)
		}
		rules += givenRules(ip)
	}
	if err := h.world.rules(ctx, rules); err != nil {
		return fmt.Errorf("leading %s: %w", ip, err)
	}
	h.assigned[ip] = to
	return nil
}
