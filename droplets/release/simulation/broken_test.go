package simulation

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A broken protocol is the product with one thing about it changed for the
// worse, as somebody might well write it.
type broken struct {
	name  string
	edits []edit
	run   string // the test that is to catch it
	only  string // the schedules to play; "": all of the test, which takes longer
	says  string // what it is caught by
}

// An edit replaces what stands once in a file of the product.
type edit struct{ file, was, is string }

const (
	switchFile = "droplets/release/switch.go"
	cloudFile  = "droplets/digitalocean.go"
	freezeFile = "droplets/release/freeze.go"
)

func brokenProtocols() []broken {
	return []broken{
		{"retire before the confirm", []edit{{switchFile,
			"\treturn r.move(ctx, r.droplet.ID, ready)\n",
			"\tif err := r.move(ctx, r.droplet.ID, ready); err != nil {\n\t\treturn err\n\t}\n\treturn r.retire(ctx)\n"}},
			"TestEveryFault", "^release taken back, keep 0: ", alwaysGated + "|" + converges + "|" + truthful},
		{"no second look at the lock", []edit{{switchFile,
			"if err := r.first(all); err != nil {", "if err := error(nil); err != nil {"}},
			"TestEveryTurn", "^release: [123]{9}", oneSwitches},
		{"no second look at the reserved IP", []edit{{switchFile,
			"if ip.DropletID != r.world.Reserved.DropletID {", "if false {"}},
			"TestEveryTurn", "^release: [123]{9}", oneSwitches},
		{"a POST that is sent again", []edit{{"droplets/transport.go",
			"repeatable := req.Method == http.MethodGet", "repeatable := true || req.Method == http.MethodGet"}},
			"TestEveryFault", "^release: .* at POST ", onlyOnce},
		{"unassign before assign", []edit{{cloudFile,
			"\t_, _, err := c.api.ReservedIPActions.Assign(ctx, ip, dropletID)\n",
			"\tc.api.ReservedIPActions.Unassign(ctx, ip)\n" +
				"\tfor got, err := c.ReservedIP(ctx, ip); err == nil && got.Locked; got, err = c.ReservedIP(ctx, ip) {\n\t\tsleep(ctx, time.Second)\n\t}\n" +
				"\t_, _, err := c.api.ReservedIPActions.Assign(ctx, ip, dropletID)\n"}},
			"TestEveryFault", "", `requests failed during the switch, the budget is 0`},
		{"undo on the interrupted context", []edit{{"droplets/release/site.go",
			"context.WithTimeout(context.WithoutCancel(ctx), undoWithin)", "context.WithTimeout(ctx, undoWithin)"}},
			"TestEveryInterrupt", "", undone},
		{"its own lease ignored when it is over", []edit{{"droplets/release/lock.go",
			"if r.plan.target == nil && !r.birth.Lease.After(until) {", "if until.IsZero() {"}},
			"TestEveryClock|TestSeeds", "", oneSwitches},
		{"others' leases ignored by gc", []edit{{"droplets/release/gc.go",
			`if opts.Attempt != "" && m.Birth.Attempt == opts.Attempt {`, "if true {"}},
			"TestEveryGuest", "gc begins", letsWork},
		{"delete by tag", []edit{{cloudFile,
			"_, err := c.api.Droplets.Delete(ctx, id)", `_, err := c.api.Droplets.DeleteByTag(ctx, "cattle:app:blog")`}},
			"TestEveryFault", "", onlyOurs},
		{"the action trusted, and nothing read back", []edit{
			{switchFile, "\t\t\treturn r.arrival(ctx, to)\n", "\t\t\treturn nil\n"},
			{"droplets/release/run.go", "if ip.DropletID == was {", "if true {"}},
			"TestEveryFault", "^release taken back", truthful},
		{"an order without an answer taken for refused", []edit{{"droplets/release/create.go",
			"if !droplets.Uncertain(err) {", "if true {"}},
			"TestEveryFault", "^release: .* at POST /v2/droplets #1", accounted},
		{"done, after it was taken back", []edit{{"droplets/release/run.go",
			"return r.takeBack(ctx, s, err)", "r.takeBack(ctx, s, err)\n\t\t\treturn nil"}},
			"TestEveryFault", "", `release taken back: <nil>`},
		{"leases by the operator's own clock", []edit{{cloudFile,
			"return c.clock.now()", "return time.Now()"}},
			"TestEveryClock", "", oneSwitches},
		// Not where a volume is: a droplet that let go of one does not open.
		{"thaw before the switch", []edit{{freezeFile,
			"return m.CommitFreeze(ctx, commitFor)", "if len(r.volumes) > 0 {\n\t\t\t\treturn m.CommitFreeze(ctx, commitFor)\n\t\t\t}\n\t\t\treturn m.Thaw(ctx)"}},
			"TestEveryCrash", "^release with state: killed before at GET", keepsRows},
		{"open before the confirm", []edit{{freezeFile,
			"\treturn orBudget(ctx, r.onNew(ctx, \"start its app\", r.plan.freezeFor(), r.plan.freezeFor(), func(ctx context.Context, m *droplets.Machine) error {\n\t\treturn start(m, ctx, r.openBy())",
			"\treturn orBudget(ctx, r.onNew(ctx, \"start its app\", r.plan.freezeFor(), r.plan.freezeFor(), func(ctx context.Context, m *droplets.Machine) error {\n\t\tif err := start(m, ctx, r.openBy()); err != nil {\n\t\t\treturn err\n\t\t}\n\t\treturn m.Thaw(ctx)"}},
			"TestEveryInterrupt", "^release with state: interrupted at (GET|POST) /v2/reserved_ips", keepsRows + "|" + undone},
		// Time that his own clock does not count passes while a computer sleeps.
		{"a freeze that lapsed taken for one that holds", []edit{
			{freezeFile, "\t\t\treturn m.CommitFreeze(ctx, commitFor)\n", "\t\t\tm.CommitFreeze(ctx, commitFor)\n\t\t\treturn nil\n"},
			{freezeFile, "\tif r.heldUntil.IsZero() {\n\t\treturn ctx, func() {}\n", "\tif true {\n\t\treturn ctx, func() {}\n"}},
			"TestEveryAwakening", "^release with state: sleeps", keepsRows},
		{"a volume detached though its droplet did not let go", []edit{{"droplets/release/volumes_move.go",
			"\tcase live:\n\t\terr = h.part(ctx, volumeWithin)\n", "\tcase live:\n\t\th.parted = time.Now().Add(time.Hour)\n"},
			{"droplets/release/volumes_move.go", "\t\"fmt\"\n", "\t\"fmt\"\n\t\"time\"\n"}},
			"TestEveryInterrupt", "^release with a volume: ", neverTorn},
		{"a volume left where a release was refused", []edit{{"droplets/release/volumes_move.go",
			"func (r *run) volumesBack(ctx context.Context) error {\n", "func (r *run) volumesBack(ctx context.Context) error {\n\tif ctx != nil {\n\t\treturn nil\n\t}\n"}},
			"TestEveryInterrupt", "^release with a volume: ", truthful + "|" + undone},
		{"a volume that gc leaves where a dead release had it", []edit{{"droplets/release/volumes_return.go",
			"\tif len(awaited) == 0 {\n", "\tif len(awaited) == 0 || len(awaited) > 0 {\n"}},
			"TestEveryCrash", "^release with a volume: .*volumes.*; then gc", opensUp + "|" + staysWith},
		{"mail left on a droplet that goes", []edit{{"droplets/release/mail.go",
			"\tif !p.mails() {\n", "\tif p != nil {\n"}},
			"TestEveryCrash", "^release, mail waits, keep 0: killed before at GET", keepsMail},
		{"a droplet ended whose mail could not be had", []edit{{"droplets/release/mail.go",
			"\tr.spare = true\n", ""}},
			"TestEveryFault", "^release, mail waits, keep 0: .* at SSH /(install-)?mail ", keepsMail},
		{"taken back from who has opened by himself", []edit{{freezeFile,
			"\tif r.started.IsZero() {\n", "\tif true {\n"}},
			"TestEveryAwakening", "^release with state: sleeps", keepsRows},
	}
}

// TestBroken holds the checker against protocols that are broken on purpose:
// each is caught, and for its reason. They are the real code with a few words
// changed, which the compiler takes by -overlay.
func TestBroken(t *testing.T) {
	if thinner > 1 {
		t.Skip("played without the race detector alone")
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range brokenProtocols() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("go", "test", "-count=1", "-overlay="+p.overlay(t, root), "-run=^("+p.run+")$", ".", "-stop", "-only="+p.only)
			// A core each, and so schedules one by one: the same is found each time.
			cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
			out, err := cmd.CombinedOutput()
			found := regexp.MustCompile(`(?m)^.*(` + p.says + `).*$`).Find(out)
			switch {
			case err == nil:
				t.Errorf("nobody noticed:\n%s", out)
			case found == nil:
				t.Errorf("%v, and not because of %q:\n%s", err, p.says, out)
			default:
				t.Logf("caught: %s", strings.TrimSpace(string(found)))
			}
		})
	}
}

// overlay makes the broken copies, and the file that tells the compiler to
// take them.
func (p broken) overlay(t *testing.T, root string) string {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	write := func(name string, text []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for i, e := range p.edits {
		file := filepath.Join(root, e.file)
		from := file
		if again := replace[file]; again != "" {
			from = again
		}
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), e.was); n != 1 {
			t.Fatalf("%s has %d times what is to be broken: %q", e.file, n, e.was)
		}
		replace[file] = write(fmt.Sprintf("%d.go", i), []byte(strings.Replace(string(text), e.was, e.is, 1)))
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	return write("overlay.json", list)
}
