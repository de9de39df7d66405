//go:build e2e

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// The versions of the example's images; the Makefile builds them.
const (
	v1, v2  = "v1.0.0", "v1.1.0"
	vBroken = "v1.2.0-broken"
	vExits  = "v1.3.0-exits"
	vTires  = "v1.4.0-tires"
)

// TestBootedLife is a site's life on booted machines, in one sandbox. Its parts
// come one after another, and each leaves the site serving.
func TestBootedLife(t *testing.T) {
	r := newRig(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Story", r.story},
		{"Mail", r.mail},
		{"Told", r.told},
		{"Looked", r.looked},
		{"Shown", r.shown},
		{"Metadata", r.metadata},
		{"Reboot", r.reboot},
		{"SixReleasesOneCertificate", r.sixReleases},
		{"Secrets", r.secrets},
		{"Renewal", r.renewal},
		{"Built", r.built},
		{"Baked", r.baked},
	} {
		if !t.Run(part.name, part.run) {
			r.look(t)
		}
	}
}

// look prints what there is when something failed.
func (r *rig) look(t *testing.T) {
	st, err := r.status(t.Context())
	if err != nil {
		t.Log(err)
	}
	for _, d := range st.Droplets {
		out, _ := r.in(t.Context(), d.ID, "tail -n 40 /var/log/cattle/* /var/log/cloud-init-output.log; systemctl --failed; journalctl -b -p warning -n 40 --no-pager")
		t.Logf("%s %d:\n%s", d.Role, d.ID, out)
	}
}

// story is the whole life under load: nothing fails, nobody waits a second.
func (r *rig) story(t *testing.T) {
	r.must(t, exitDone, v1, "release", v1)
	r.firstBoot(t)
	if err := r.public(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.must(t, exitDone, v2, "release", v2)
	r.sound(t, r.member(t, "live").ID)
	r.sound(t, r.member(t, "standby").ID)
	if out := r.must(t, exitNotReleased, v2, "release", vBroken); !strings.Contains(out, v2+" still serves") {
		t.Error("the refused release does not say who serves")
	}
	r.must(t, exitDone, v1, "rollback", "--carry-data") // the health check writes
	r.must(t, exitDone, v1, "unpin")
	r.must(t, exitDone, v1, "rebuild")
	if err := r.curtain("rehearsal"); err != nil {
		t.Error(err)
	}
	stats := r.load.Stats()
	if stats.Failed > 0 || stats.Gap >= time.Second {
		t.Errorf("failed %d, longest gap %s", stats.Failed, stats.Gap)
	}
	columns := r.load.Timeline(1000)
	took := columns[len(columns)-1].From.Sub(columns[0].From) + columns[1].From.Sub(columns[0].From)
	if rate := float64(stats.Requests) / took.Seconds(); rate < 199.5 {
		t.Errorf("%.1f requests a second, want 200", rate)
	}
}

// firstBoot shows the boot step by step, and that what can overlap overlaps.
func (r *rig) firstBoot(t *testing.T) {
	entries, err := r.journal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(r.printed, "\n%s", drawBoot(entries))
	began, ended := map[string]int64{}, map[string]int64{}
	for _, e := range entries {
		if e.State == "running" {
			began[e.Step] = e.At
		} else {
			ended[e.Step] = e.At
		}
	}
	// The metadata address is closed before there is a Docker that could start
	// anything.
	if ended["firewall"] == 0 || ended["firewall"] > began["docker"] {
		t.Error("docker began before the packet filter stood")
	}
	if began["pull"] > ended["packages"] {
		t.Error("images and packages do not overlap")
	}
}

// mail comes from the app's container, from cron and to root.
func (r *rig) mail(t *testing.T) {
	live := r.member(t, "live").ID
	if status, body, _ := r.get(t, t.Context(), "POST", "/contact", `{"from": "Ann <ann@example.org>", "text": "from the app"}`); status != 202 {
		t.Fatal("contact:", status, body)
	}
	r.mustIn(t, live, "systemctl start cattle-cron-digest.service")
	r.mustIn(t, live, `printf 'Subject: to root\n\nfrom root\n' | sendmail root`)
	want := map[string]bool{"from the app": false, "Subject: Cron <blog> digest": false, "Subject: to root": false}
	eventually(t, "the mail", 30*time.Second, func() bool {
		for _, m := range r.sandbox.world.internet.Relay.Messages() {
			for text := range want {
				if strings.Contains(string(m.Data), text) {
					want[text] = true
					if !m.TLS || m.User != r.values["SMTP_USER"] {
						t.Errorf("%q came with TLS %v, as %q", text, m.TLS, m.User)
					}
				}
			}
		}
		return want["from the app"] && want["Subject: Cron <blog> digest"] && want["Subject: to root"]
	})
	fmt.Fprintf(r.printed, "mail: %d of %d at the relay, authenticated, over TLS\n", len(want), len(want))
}

// queueMail has mail wait on the live droplet, whose relay is out of its reach.
// What is returned wants it at the relay, once, and no more of it where it waited.
func (r *rig) queueMail(t *testing.T) func(*testing.T) {
	old := r.member(t, "live").ID
	r.mustIn(t, old, `nft 'add table inet away; add chain inet away out { type filter hook output priority 0; }; add rule inet away out tcp dport 2525 reject with tcp reset'`)
	if status, body, _ := r.get(t, t.Context(), "POST", "/contact", `{"from": "Ann <ann@example.org>", "text": "which waited: contact"}`); status != 202 {
		t.Fatal("contact:", status, body)
	}
	r.mustIn(t, old, `printf 'Subject: which waited: root\n\n' | sendmail root; printf 'Subject: which waited: two\n\n' | sendmail a@example.net b@example.net`)
	waiting := func() bool { return r.mustIn(t, old, "find /var/spool/postfix/deferred -type f | wc -l") == "3" }
	eventually(t, "three mails that wait", 30*time.Second, waiting)
	r.mustIn(t, old, "postsuper -h ALL; systemctl restart postfix") // as if it had ended while it gave them
	eventually(t, "three mails that wait again", 30*time.Second, waiting)
	return func(t *testing.T) {
		seen := map[string]int{}
		eventually(t, "the mail that waited", 30*time.Second, func() bool {
			clear(seen)
			for _, m := range r.sandbox.world.internet.Relay.Messages() {
				if _, which, waited := strings.Cut(string(m.Data), "which waited: "); waited {
					for _, to := range m.To {
						seen[strings.Fields(which)[0]+" "+to]++
					}
				}
			}
			return len(seen) == 4
		})
		for what, n := range seen {
			if n != 1 {
				t.Errorf("%s came %d times", what, n)
			}
		}
		if left := r.mustIn(t, old, "find /var/spool/postfix/{maildrop,incoming,active,deferred,hold} -type f"); left != "" {
			t.Errorf("it is still where it waited: %s", left)
		}
		fmt.Fprintf(r.printed, "mail that waited on the old droplet: %v\n", seen)
	}
}

// metadata is closed to containers and to everybody but root, and has no
// secret for those who may ask.
func (r *rig) metadata(t *testing.T) {
	live := r.member(t, "live").ID
	const ask = "curl --silent --show-error --max-time 3 http://169.254.169.254/metadata/v1/id"
	if out := r.mustIn(t, live, ask); out != fmt.Sprint(live) {
		t.Errorf("root gets %q", out)
	}
	if out, err := r.in(t.Context(), live, "setpriv --reuid=nobody --regid=nogroup --clear-groups "+ask); err == nil {
		t.Errorf("nobody gets %q", out)
	}
	container := r.mustIn(t, live, `docker inspect --format '{{.State.Pid}}' $(docker ps --quiet --filter label=com.docker.compose.service=web)`)
	if out, err := r.in(t.Context(), live, "nsenter --net --target "+container+" "+ask); err == nil {
		t.Errorf("a container gets %q", out)
	}
	// The same way leads out for everything else: it is the address that is closed.
	r.mustIn(t, live, "nsenter --net --target "+container+" curl --silent --max-time 3 --output /dev/null https://ghcr.io/v2/ --insecure --resolve ghcr.io:443:198.18.0.2")
}

// reboot needs nobody: the site comes back with its secrets and its timers.
func (r *rig) reboot(t *testing.T) {
	live := r.member(t, "live")
	before := r.mustIn(t, live.ID, "cat /proc/sys/kernel/random/boot_id /run/systemd/container 2>/dev/null; systemctl show --property=UserspaceTimestampMonotonic")
	if _, exit := r.run(t, "ssh", "systemctl reboot"); exit > 255 {
		t.Fatal(exit)
	}
	start := time.Now()
	eventually(t, "the end of the old boot", 30*time.Second, func() bool {
		now, err := r.in(t.Context(), live.ID, "cat /proc/sys/kernel/random/boot_id /run/systemd/container 2>/dev/null; systemctl show --property=UserspaceTimestampMonotonic")
		return err != nil || now != before
	})
	eventually(t, "the site after a reboot", time.Minute, func() bool {
		s, err := r.serving(t.Context())
		return err == nil && s != ""
	})
	fmt.Fprintf(r.printed, "reboot of the live droplet: serving again after %s\n", seconds(time.Since(start)))
	eventually(t, "systemd to be done", 30*time.Second, func() bool {
		out, _ := r.in(t.Context(), live.ID, "systemctl is-system-running")
		return out == "running"
	})
	if out := r.mustIn(t, live.ID, "stat --format=%a /run/cattle/secrets.json && findmnt --noheadings --output FSTYPE /run/cattle"); !strings.HasPrefix(out, "600\ntmpfs") {
		t.Error("the secrets:", out)
	}
	if out := r.mustIn(t, live.ID, "systemctl is-active cattle-cron-digest.timer cattle-renew.timer"); out != "active\nactive" {
		t.Error("the timers:", out)
	}
}

// sixReleases of one profile ask the authority once.
func (r *rig) sixReleases(t *testing.T) {
	// So far: two releases and a rebuild that serve.
	queued := r.queueMail(t)
	r.must(t, exitDone, v2, "release", v2)
	queued(t)
	r.must(t, exitDone, v1, "release", v1)
	r.must(t, exitDone, v2, "release", v2)
	issued := r.sandbox.world.internet.ACME.Issued()
	fmt.Fprintf(r.printed, "certificates issued over six releases: %d\n", len(issued))
	if len(issued) != 1 || len(issued[0].Names) != 2 {
		t.Errorf("issued: %+v", issued)
	}
}

// renewal is the live droplet's alone, and the next release has what it renewed.
func (r *rig) renewal(t *testing.T) {
	live := r.member(t, "live").ID
	_, _, before := r.get(t, t.Context(), "GET", "/up", "")
	r.mustIn(t, live, "certbot renew --quiet --no-random-sleep-on-renew --force-renewal --cert-name cattle")
	issued := len(r.sandbox.world.internet.ACME.Issued())
	if issued != 2 {
		t.Fatalf("issued %d after a renewal", issued)
	}
	serving, err := r.serving(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.must(t, exitDone, serving, "rebuild")
	_, _, after := r.get(t, t.Context(), "GET", "/up", "")
	old, renewed := before.TLS.PeerCertificates[0], after.TLS.PeerCertificates[0]
	if old.SerialNumber.Cmp(renewed.SerialNumber) == 0 {
		t.Error("the new droplet serves the certificate of before the renewal")
	}
	standby := r.member(t, "standby").ID
	r.in(t.Context(), standby, "systemctl start cattle-renew.service")
	if out := r.mustIn(t, standby, "systemctl show --property=Result --value cattle-renew.service"); out != "exec-condition" {
		t.Error("the standby's renewal ended as", out)
	}
	if n := len(r.sandbox.world.internet.ACME.Issued()); n != issued {
		t.Errorf("issued %d after the standby's timer", n)
	}
	r.mustIn(t, r.member(t, "live").ID, "systemctl start cattle-renew.service")
}

// baked is a release from a snapshot.
func (r *rig) baked(t *testing.T) {
	plain, _ := r.quickest(t)
	r.must(t, exitDone, v2, "bake")
	quick, out := r.quickest(t)
	if !strings.Contains(out, "snapshot") {
		t.Error("the release does not say what it came from")
	}
	r.sound(t, r.member(t, "live").ID)
	fmt.Fprintf(r.printed, "create to gate passed: %.1f s, from a snapshot %.1f s: %.2f\n", plain, quick, quick/plain)
	if quick > 0.4*plain {
		t.Errorf("%.2f of the time, want at most 0.4", quick/plain)
	}
}

// quickest is the better of two runs: the computer may have other things to do.
func (r *rig) quickest(t *testing.T) (float64, string) {
	t.Helper()
	first, _ := r.untilGated(t)
	second, printed := r.untilGated(t)
	return min(first, second), printed
}

// untilGated makes a release and says how many seconds it took from create to
// gate passed, from its events, without the way of its data.
func (r *rig) untilGated(t *testing.T) (float64, string) {
	t.Helper()
	printed, exit := r.run(t, "release", "--json", v2)
	if exit != exitDone {
		t.Fatalf("exit status %d", exit)
	}
	var began, gated, carried time.Time
	var data time.Duration
	for _, line := range strings.Split(printed, "\n") {
		var e struct {
			Type  string `json:"message_type"`
			Time  time.Time
			Step  string
			State string
		}
		if json.Unmarshal([]byte(line), &e) != nil {
			continue
		}
		switch {
		case e.Step == "create" && e.State == "running" && began.IsZero():
			began = e.Time
		case slices.Contains([]string{"copy", "freeze", "delta"}, e.Step) && e.State == "running":
			carried = e.Time
		case slices.Contains([]string{"copy", "freeze", "delta"}, e.Step) && e.State == "ok":
			data += e.Time.Sub(carried)
		case e.Step == "gate" && e.State == "ok":
			gated = e.Time
		}
	}
	if began.IsZero() || gated.IsZero() {
		t.Fatal("no create or gate among the events:\n" + printed)
	}
	return (gated.Sub(began) - data).Seconds(), printed
}
