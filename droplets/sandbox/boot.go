package sandbox

import (
	"cmp"
	"slices"
	"time"
)

// keyDeadline is how long the step secrets waits for its key.
const keyDeadline = 10 * time.Minute

// A step of the boot script; it starts when the steps that it needs are done.
type step struct {
	name  string
	needs []string
}

// bootSteps are the steps of a machine, each after those that it needs.
var bootSteps = []step{
	{"engine", nil},
	{"firewall", []string{"engine"}},
	{"docker", []string{"firewall"}},
	{"sops", nil},
	{"secrets", []string{"sops"}},
	{"packages", []string{"engine"}},
	{"images", []string{"docker"}},
	{"pull", []string{"docker", "secrets", "images"}},
	{"mail", []string{"packages", "secrets"}},
	{"nginx", []string{"packages"}},
	{"app", []string{"pull", "nginx", "secrets"}},
	{"tidy", []string{"packages"}},
}

func stepNames() (names []string) {
	for _, s := range bootSteps {
		names = append(names, s.name)
	}
	return names
}

// forSecrets tells a step that machines without secrets do not have: nothing
// waits for it there.
func (s step) forSecrets() bool { return s.name == "sops" || s.name == "secrets" }

// stepRun is when a step ran. The zero time is a time that is not known yet:
// it waits for something that has not happened.
type stepRun struct {
	name       string
	start, end time.Time
	state      string // ok, failed or skipped, at end
	tail       string
}

// bootRun is a whole boot, past and, as far as it is certain, to come. It is
// worked out anew from what is on the disk whenever somebody asks, so that
// nothing has to run meanwhile.
type bootRun struct {
	began time.Time
	steps []stepRun
	ended time.Time // zero while that is not certain
	ok    bool
}

// boot works out the boot of a droplet; one that has not begun has no steps.
func (c *Cloud) boot(d *droplet) bootRun {
	run := bootRun{began: d.Disk.BootAt}
	s := c.seed(d)
	if s.fault != "" || run.began.IsZero() {
		return run
	}
	known := true
	run.ok = true
	run.steps = make([]stepRun, 0, len(bootSteps))
	for _, st := range bootSteps {
		if st.forSecrets() && s.manifest.Secrets == nil {
			continue
		}
		if st.name == "images" && len(s.wanted()) == 0 {
			continue
		}
		r := run.plan(st, d)
		run.steps = append(run.steps, r)
		known = known && !r.end.IsZero()
		run.ok = run.ok && r.state == "ok"
		run.ended = later(run.ended, r.end)
	}
	if !known {
		run.ended, run.ok = time.Time{}, false
	}
	return run
}

// plan says when a step runs, from the steps before it.
func (run *bootRun) plan(st step, d *droplet) stepRun {
	r := stepRun{name: st.name, start: run.began, state: "ok"}
	for _, before := range run.steps {
		if !slices.Contains(st.needs, before.name) {
			continue
		}
		if before.end.IsZero() {
			return stepRun{name: st.name}
		}
		r.start = later(r.start, before.end)
		if before.state != "ok" {
			r.state = "skipped"
		}
	}
	if r.state == "skipped" {
		r.end = r.start
		return r
	}
	r.end = r.start
	if !slices.Contains(d.Disk.Done, st.name) {
		r.end = r.start.Add(d.Latency.Step)
	}
	if st.name == "secrets" {
		r.secrets(d)
	}
	if st.name == "images" {
		r.brought(d)
	}
	switch b := d.Disk.BootFault; {
	case b.Step != st.name:
	case b.Kind == HangsStep:
		r.end = time.Time{}
	case b.Kind == FailsStep:
		r.state, r.tail = "failed", "+ "+st.name+"\n"+cmp.Or(b.Tail, "E: the sandbox was told that this step fails")
	case b.Kind == Babbles:
		r.state, r.tail = "failed", Babble
	}
	return r
}

// secrets waits for the key and needs it to open the sealed file.
func (r *stepRun) secrets(d *droplet) {
	deadline := r.start.Add(keyDeadline)
	switch k := d.Disk; {
	case k.KeyAt.IsZero() && time.Now().Before(deadline):
		r.end = time.Time{}
	case k.KeyAt.IsZero() || k.KeyAt.After(deadline):
		r.end, r.state, r.tail = deadline, "failed", "no key in "+keyPath+" after "+keyDeadline.String()
	default:
		r.end = later(r.start, k.KeyAt).Add(d.Latency.Step)
		if k.SecretsFault != "" {
			r.state, r.tail = "failed", k.SecretsFault
		}
	}
}

// done is when a step ended well, by now; ok is false when it has not.
func (run *bootRun) done(name string, now time.Time) bool {
	for _, r := range run.steps {
		if r.name == name {
			return r.state == "ok" && !r.end.IsZero() && !r.end.After(now)
		}
	}
	return false
}

// at is when a step ended, zero when that is not known.
func (run *bootRun) at(name string) time.Time {
	for _, r := range run.steps {
		if r.name == name {
			return r.end
		}
	}
	return time.Time{}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
