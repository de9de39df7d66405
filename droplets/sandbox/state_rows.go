package sandbox

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// rowsPath is where the app of a stub takes rows, one a POST, and shows them.
const rowsPath = "/rows"

// held is what nginx answers a request that might write, while the droplet is
// not open, and every one while it is closed. It tells whether it did.
func held(w http.ResponseWriter, r *http.Request, phase string, closed bool) bool {
	if !closed && (phase == phaseOpen || slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, r.Method)) {
		return false
	}
	w.Header().Set("Retry-After", "5")
	http.Error(w, "Nothing can be changed for a moment.", http.StatusServiceUnavailable)
	return true
}

// rows takes a row, or shows all. A row that is there is not added again: the
// column is unique.
func (s *site) rows(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		fmt.Fprint(w, strings.Join(append(s.kept(), ""), "\n"))
		return
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	row := strings.TrimSpace(string(text))
	if err != nil || row == "" || strings.Contains(row, "\n") {
		http.Error(w, "a row is one line", http.StatusBadRequest)
		return
	}
	switch phase, closed, added := s.add(row); {
	case held(w, r, phase, closed):
	case added:
		w.WriteHeader(http.StatusCreated)
	}
}

func (s *site) kept() (rows []string) {
	s.cloud.lock()
	defer s.cloud.unlock()
	if d := s.cloud.droplet(s.droplet); d != nil {
		rows = slices.Clone(s.cloud.rowsOf(d))
	}
	return rows
}

// add looks at the phase and appends in one moment, as a transaction does that
// nothing can commit after the freeze.
func (s *site) add(row string) (phase string, closed, added bool) {
	now := s.cloud.lock()
	defer s.cloud.unlock()
	d := s.cloud.droplet(s.droplet)
	if d == nil || !s.cloud.vitals(d, now).app {
		panic(http.ErrAbortHandler)
	}
	phase, closed = s.cloud.phase(d), s.cloud.shut(d, now)
	if phase == phaseOpen && !closed {
		for _, rows := range s.cloud.rowsIn(d) {
			if !slices.Contains(*rows, row) {
				*rows = append(*rows, row)
				s.cloud.dirty, added = true, true // nobody waits for a row
			}
		}
	}
	return phase, closed, added
}

// rowsIn is where the app of a droplet keeps its rows: on the disk, and on each
// volume that is mounted; all of them in each. Where all of its state is on
// volumes there is none on the disk.
func (c *Cloud) rowsIn(d *droplet) (all []*[]string) {
	if len(c.state.Volumes) == 0 {
		return []*[]string{&d.Disk.State.Rows}
	}
	spec := c.specOf(d)
	if len(spec.Entries) == 0 || slices.ContainsFunc(spec.Entries, func(e stateEntry) bool { return e.Kind != kindVolume }) {
		all = append(all, &d.Disk.State.Rows)
	}
	for _, e := range spec.Entries {
		if v := c.mounted(d, e.Volume); e.Kind == kindVolume && v != nil {
			all = append(all, &v.Disk.Rows)
		}
	}
	return all
}

// rowsOf are what the app of a droplet shows.
func (c *Cloud) rowsOf(d *droplet) []string {
	if in := c.rowsIn(d); len(in) > 0 {
		return *in[0]
	}
	return nil
}

// sizeOf is what rows are in bytes.
func sizeOf(rows []string) (n int) {
	for _, r := range rows {
		n += len(r) + 1
	}
	return n
}

// startState has the app run from now on, with its writes held.
func (c *Cloud) startState(d *droplet, now time.Time, lease time.Duration) {
	s := &d.Disk.State
	if s.Ready.IsZero() {
		s.Ready = now
	}
	until := time.Time{}
	if lease > 0 {
		until = now.Add(lease)
	}
	c.enter(d, phaseNew, now, until)
}
