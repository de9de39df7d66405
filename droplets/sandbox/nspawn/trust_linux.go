package nspawn

import "slices"

// Trust adds authorities, PEM, to those that machines trust. It has to come
// before Prepare and the first Create: what machines stand on is made once.
func (h *Host) Trust(pem []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opt.Trust = slices.Concat(h.opt.Trust, []byte("\n"), pem)
	return nil
}
