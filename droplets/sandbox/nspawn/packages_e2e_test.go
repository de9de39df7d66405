//go:build e2e && linux

package nspawn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"testing"
	"time"

	"cattle/droplets/sandbox/internet"
)

// authority is a throw-away one, and a certificate of its for any host name.
func authority(t *testing.T) (root []byte, of func(*tls.ClientHelloInfo) (*tls.Certificate, error)) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	self := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, self, self, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: self.NotAfter, DNSNames: []string{h.ServerName}}
		der, err := x509.CreateCertificate(rand.Reader, leaf, self, key.Public(), key)
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
	}
}

const withPackages = `#cloud-config
package_update: true
packages: [docker.io, docker-cli, nftables, nginx-light]
write_files:
- path: /etc/cron.d/test
  content: "* * * * * root true\n"
runcmd:
- curl -sS --fail --output /root/file https://files.example/file
`

// What droplets install works in them: containers of their own on overlay2,
// their own packet filter, web servers. The authority of Options.Trust is known.
func TestPackages(t *testing.T) {
	root, certificate := authority(t)
	s := newStageWith(t, Options{Trust: root})
	world, err := internet.New(internet.Options{Certificate: certificate, Dial: s.Dial, Address: Outside})
	s.must(err)
	defer world.Close()
	file := t.TempDir() + "/file"
	s.must(os.WriteFile(file, []byte("downloaded"), 0o644))
	s.must(world.Download("https://files.example/file", file))
	s.must(world.Serve(s.Host))
	begin := time.Now()
	s.create(10, 0, withPackages)
	s.booted(10)
	t.Logf("with packages after %s", time.Since(begin))

	if got := s.sh(10, "cat /root/file"); got != "downloaded" {
		t.Errorf("the droplet has downloaded %q", got)
	}
	if got := s.sh(10, "docker info --format '{{.Driver}} {{.CgroupVersion}}'"); got != "overlay2 2" {
		t.Errorf("docker has %s", got)
	}
	s.sh(10, `cd / && tar -ch usr/bin/dash usr/bin/sleep lib64/ld-linux-x86-64.so.2 lib/x86_64-linux-gnu/libc.so.6 | docker import - tiny:1`)
	if got := s.sh(10, `docker run --rm -v data:/data tiny:1 dash -c 'echo kept >/data/x; echo hello'; cat /var/lib/docker/volumes/data/_data/x`); got != "hello\nkept" {
		t.Errorf("a container says %q", got)
	}
	s.sh(10, "docker run --detach --name web --restart always --publish 8080:80 tiny:1 sleep infinity")
	if !s.reaches("198.18.0.10:80") {
		t.Error("nginx does not answer")
	}
	s.sh(10, "nft 'add table inet f; add chain inet f i { type filter hook input priority 0; }; add rule inet f i tcp dport 80 drop'")
	if s.reaches("198.18.0.10:80") {
		t.Error("the droplet's packet filter does nothing")
	}
	s.must(s.Reboot(t.Context(), 10))
	s.booted(10)
	s.until(10*time.Second, "container after a reboot", func() bool {
		out, err := s.try(10, "docker", "inspect", "--format", "{{.State.Running}}", "web")
		return err == nil && out == "true"
	})
	if !s.reaches("198.18.0.10:80") {
		t.Error("rules have survived a reboot")
	}
	begin = time.Now()
	s.must(s.Snapshot(t.Context(), 10, 500))
	t.Logf("a snapshot of a machine with packages takes %s", time.Since(begin))
	begin = time.Now()
	s.create(11, 500, trivial)
	s.booted(11)
	t.Logf("booted from the snapshot after %s", time.Since(begin))
	if got := s.sh(11, "docker run --rm tiny:1 dash -c 'echo hello'"); got != "hello" {
		t.Errorf("a container on a machine from a snapshot says %q", got)
	}
}
