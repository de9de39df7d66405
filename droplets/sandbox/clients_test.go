//go:build clients

package sandbox_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cattle/droplets/sandbox"
	"cattle/droplets/sandbox/described"

	"golang.org/x/crypto/ssh"
)

// TestClients runs clients that nobody here wrote, unchanged, through the
// calls of a deployment: see testdata/clients. What they are answered is held
// against the API's description. One that is not installed fails.
func TestClients(t *testing.T) {
	description, err := described.Load()
	if err != nil || description == nil {
		t.Fatal("CATTLE_OPENAPI has to name the API's description:", err)
	}
	tally := description.NewTally()
	tally.AnswersOnly = true
	t.Cleanup(func() {
		var table strings.Builder
		tally.Print(&table)
		t.Log("answers to other people's clients:\n" + table.String())
		for _, f := range tally.Faults() {
			t.Error("not as described:", f)
		}
	})
	scripts, err := filepath.Abs("testdata/clients")
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string][]string{
		"Ansible":             {"ansible-playbook", "-i", "localhost,", "ansible.yml"},
		"Packer":              {"packer", "build", "packer.json"},
		"python-digitalocean": {"/usr/bin/python3", "python_digitalocean.py"},
		"dots-wrapper":        {"node", "dots.js"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, sandbox.Options{Token: "secret", Observe: tally.Observe, Latency: sandbox.Latency{
				Active: time.Second, Assign: 500 * time.Millisecond, Delete: 300 * time.Millisecond, Power: 500 * time.Millisecond}})
			server := httptest.NewServer(r.Cloud)
			defer server.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, command[0], command[1:]...)
			cmd.Dir = scripts
			cmd.Env = append(os.Environ(), "DIGITALOCEAN_API_URL="+server.URL, "DIGITALOCEAN_ACCESS_TOKEN=secret", "HOME="+t.TempDir(),
				"ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3", "ANSIBLE_LOCALHOST_WARNING=false", "NO_PROXY=127.0.0.1",
				"PYTHONDONTWRITEBYTECODE=1", "CHECKPOINT_DISABLE=1", "PACKER_NO_COLOR=1", "NODE_PATH="+os.Getenv("CATTLE_CLIENTS_NODE"),
				"PUBLIC_KEY="+strings.TrimSpace(string(ssh.MarshalAuthorizedKey(r.signer.PublicKey())))+" me")
			start := time.Now()
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%d calls in %s", len(r.Requests()), time.Since(start).Round(100*time.Millisecond))
			time.Sleep(time.Second)
			if s := r.Snapshot(); len(s.Droplets)+len(s.ReservedIPs) != 0 {
				t.Error("left over:", s.Droplets, s.ReservedIPs)
			}
		})
	}
}
