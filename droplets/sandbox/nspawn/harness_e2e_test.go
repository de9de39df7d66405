//go:build e2e && linux

package nspawn

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cattle/droplets/sandbox"
)

// trivial is user-data that changes next to nothing.
const trivial = "#cloud-config\nwrite_files:\n- path: /etc/rehearsal\n  content: written\n"

// A stage is a host with a metadata service, as the sandbox is around it.
type stage struct {
	*Host
	t          *testing.T
	register   string
	datasource string
	mu         sync.Mutex
	data       map[netip.Addr]map[string]any // by both of a droplet's addresses
	stopped    chan int
}

func newStage(t *testing.T) *stage {
	t.Helper()
	return newStageWith(t, Options{})
}

func newStageWith(t *testing.T, opt Options) *stage {
	t.Helper()
	register := os.Getenv("SANDBOX_REGISTER")
	if register == "" {
		register = filepath.Join(t.TempDir(), "sandboxes", "register")
	}
	root, err := check()
	if err != nil {
		t.Fatal(err)
	}
	opt.Dir = filepath.Join(t.TempDir(), "disks: a, b") // as a user's folder may be called
	opt.Say = func(line string) { t.Log(line) }
	h, err := newHost(t.Context(), opt, register, root)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{Host: h, t: t, register: register, datasource: "digitalocean", data: map[netip.Addr]map[string]any{}, stopped: make(chan int, 10)}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	l, err := h.Listen("tcp", "169.254.169.254:80")
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(l, http.HandlerFunc(s.metadata))
	return s
}

// metadata answers a droplet about itself.
func (s *stage) metadata(w http.ResponseWriter, r *http.Request) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	s.mu.Lock()
	data := s.data[from.Addr()]
	s.mu.Unlock()
	if err != nil || data == nil || r.URL.Path != "/metadata/v1.json" {
		http.NotFound(w, r)
		return
	}
	json.NewEncoder(w).Encode(data)
}

// create makes a droplet. Its address is 198.18.0.id.
func (s *stage) create(id, image int, userData string) sandbox.Spec {
	s.t.Helper()
	ip := netip.AddrFrom4([4]byte{198, 18, 0, byte(id)})
	local, err := linkLocal(ip)
	if err != nil {
		s.t.Fatal(err)
	}
	name := fmt.Sprintf("droplet-%d", id)
	data := map[string]any{
		"droplet_id": id, "hostname": name, "user_data": userData, "region": "fra1",
		"interfaces": map[string]any{"public": []any{map[string]any{
			"type": "public", "mac": hardware(ip).String(),
			"ipv4": map[string]any{"ip_address": ip.String(), "netmask": "255.255.0.0", "gateway": gateway.String()},
		}}},
		"dns": map[string]any{"nameservers": []string{resolver.String()}},
	}
	s.mu.Lock()
	s.data[ip], s.data[local] = data, data
	s.mu.Unlock()
	spec := sandbox.Spec{
		ID: id, Name: name, Base: "debian-13-x64", Image: image, IP: ip,
		VCPUs: 1, MemoryMiB: 1024, DiskGiB: 25, Stopped: func() { s.stopped <- id },
	}
	if err := s.Create(s.t.Context(), spec); err != nil {
		s.t.Fatal(err)
	}
	return spec
}

// try runs a command on a droplet.
func (s *stage) try(id int, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	out, err := s.Exec(ctx, id, argv...)
	return strings.TrimSpace(string(out)), err
}

// sh runs a shell command on a droplet, which must succeed.
func (s *stage) sh(id int, command string) string {
	s.t.Helper()
	out, err := s.try(id, "sh", "-c", command)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

// booted waits until a droplet is as a sound boot leaves it.
func (s *stage) booted(id int) {
	s.t.Helper()
	s.until(time.Minute, "systemd in the machine", func() bool {
		_, err := s.try(id, "systemctl", "list-jobs")
		return err == nil
	})
	out, err := s.try(id, "cloud-init", "status", "--wait", "--format=json")
	var status struct {
		Status            string
		ExtendedStatus    string `json:"extended_status"`
		Datasource        string
		Errors            []string
		RecoverableErrors map[string][]string `json:"recoverable_errors"`
	}
	if e := json.Unmarshal([]byte(out), &status); e != nil {
		s.t.Fatalf("%v: %v\n%s", err, e, out)
	}
	if err != nil || status.Status != "done" || len(status.Errors) > 0 || len(status.RecoverableErrors) > 0 || status.Datasource != s.datasource {
		log, _ := s.try(id, "tail", "-n", "20", "/var/log/cloud-init-output.log")
		s.t.Errorf("cloud-init: %v\n%s\n%s", err, out, log)
	}
	if out, err := s.try(id, "systemctl", "is-system-running", "--wait"); out != "running" {
		failed, _ := s.try(id, "systemctl", "--failed", "--plain", "--no-legend")
		s.t.Errorf("systemd is %s: %v\n%s", out, err, failed)
	}
}

// until waits for a condition.
func (s *stage) until(bound time.Duration, what string, is func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(bound); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("no %s within %s", what, bound)
		}
	}
}

// reaches says whether a connection from the world is taken.
func (s *stage) reaches(address string) bool {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
	defer cancel()
	conn, err := s.Dial(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	// The kernel takes it before the server does.
	if strings.HasSuffix(address, ":22") {
		conn.SetReadDeadline(time.Now().Add(time.Second))
		_, err = conn.Read(make([]byte, 3))
	}
	return err == nil
}

// bootID changes with each boot.
func (s *stage) bootID(id int) string {
	s.t.Helper()
	return s.sh(id, "cat /proc/sys/kernel/random/boot_id")
}

// stops waits until a droplet has said that it powered itself off.
func (s *stage) stops(id int) {
	s.t.Helper()
	select {
	case got := <-s.stopped:
		if got != id {
			s.t.Fatalf("droplet %d says that it stopped, want %d", got, id)
		}
	case <-time.After(patience):
		s.t.Fatalf("droplet %d does not say that it stopped", id)
	}
}

// quiet makes sure that no droplet said that it stopped.
func (s *stage) quiet() {
	s.t.Helper()
	select {
	case id := <-s.stopped:
		s.t.Errorf("droplet %d says that it powered itself off", id)
	default:
	}
}

// must ends the test at an error.
func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
