package cloudinit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kdomanski/iso9660"
	"gopkg.in/yaml.v3"

	"cattle/profiles"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	testAttempt  = "4f1c0a9b8d7e6f50"
	testIdentity = "AGE-SECRET-KEY-1SENTINELIDENTITY"
)

func hostKey() HostKey {
	return HostKey{
		Private: "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VudGluZWw=\n-----END OPENSSH PRIVATE KEY-----\n",
		Public:  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFNlbnRpbmVsU2VudGluZWxTZW50aW5lbFNl cattle",
	}
}

// shortest is the profile of four lines, as Load fills it in.
func shortest(image string) Input {
	return Input{
		Profile: &profiles.Profile{App: "blog", Domains: []string{"blog.example.com"},
			Droplet: profiles.Droplet{Image: image}, Image: "ghcr.io/me/blog", Port: 8000,
			Routes: []profiles.Route{{To: "web:8000"}}},
		Stack: &profiles.Stack{
			YAML:     []byte("services:\n  web:\n    image: ghcr.io/me/blog:v1.2.0\n    restart: unless-stopped\n    ports:\n    - 127.0.0.1:20000:8000\n"),
			Services: []string{"web"}, Images: []string{"ghcr.io/me/blog:v1.2.0"},
			Upstreams: map[string][]string{"web:8000": {"127.0.0.1:20000"}}},
		Release: "v1.2.0", Attempt: testAttempt, HostKey: hostKey(),
		Images: map[string]string{"ghcr.io/me/blog:v1.2.0": "sha256:" + strings.Repeat("ab", 32)},
	}
}

// full uses everything that a profile can say.
func full(image string) Input {
	in := shortest(image)
	p := in.Profile
	p.Domains = []string{"blog.example.com", "blog.example.org"}
	p.TLS = profiles.TLS{Email: "ops@example.com"}
	p.Secrets = profiles.Secrets{File: "secrets.env", Deliver: profiles.DeliverSSH}
	p.Mail = &profiles.Mail{Relay: "smtp.example.net", Port: 2525, From: "blog@example.com", Root: "ops@example.com",
		Username: "${SMTP_USER}", Password: "${SMTP_PASSWORD}"}
	p.Routes = []profiles.Route{
		{To: "web:8000"},
		{Path: "/live", To: "web:8000", Websockets: true, BodySize: "20m"},
		{Path: "/admin/", To: "admin:9000", Auth: "${ADMINS}"},
		{Path: "/assets", Static: "/srv/assets"},
		{Path: "/sock", To: "unix:/run/app.sock"},
		{Host: "www.example.com", Redirect: "https://blog.example.com/"},
	}
	p.Cron = []profiles.Cron{
		{Name: "digest", Schedule: "5 3 * * *", Service: "worker", Command: []string{"sh", "-c", `echo "100%" $HOME 'it is'`}},
		{Schedule: "@hourly", Service: "worker", Command: []string{"tidy"}},
	}
	p.State = []profiles.State{
		{Name: "db", SQLite: profiles.Place{Volume: "data", Path: "blog.db"}},
		{Name: "uploads", Files: profiles.Place{Volume: "data", Path: "uploads"}},
		{Name: "shop", MySQL: &profiles.Server{Service: "admin", User: "root", Password: "${KEY}", Databases: []string{"shop"}}},
	}
	p.Backup = &profiles.Backup{Repository: "s3:https://backup.example.net/blog", Password: "${KEY}", Schedule: "30 3 * * *",
		Env: map[string]string{"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "${KEY}"}, Keep: profiles.BackupKeep{Daily: 7}, Overdue: 48 * time.Hour}
	in.Stack.Volumes = map[string]string{"data": "blog_data"}
	p.Release.Guard = true
	p.Firewall.SSHFrom = []string{"198.18.0.7", "198.19.0.0/16", "2001:db8::/32"}
	p.Packages = []string{"htop", "nginx"}
	p.Release.Bake = 10 * time.Minute
	p.Files = []profiles.File{
		{Path: "/srv/assets/index.html", Content: "<h1>hé</h1>\n"},
		{Path: "/srv/run.sh", Content: "#!/bin/sh\n\texit 0\n", Mode: "0750", Owner: "www-data:www-data"},
		{Path: "/srv/raw", Content: "no newline \x00\xff"},
	}
	p.Registry = []profiles.Registry{{Server: "ghcr.io", Username: "me", Password: "${GHCR}"}, {Server: "docker.io", Username: "me", Password: "${GHCR}"}}
	in.Stack.Services = []string{"admin", "web", "worker"}
	in.Stack.Upstreams = map[string][]string{"web:8000": {"127.0.0.1:20001", "127.0.0.1:20002"}, "admin:9000": {"127.0.0.1:20000"}}
	in.Stack.YAML = []byte(`services:
  admin: {image: "ghcr.io/me/blog:v1.2.0", ports: ["127.0.0.1:20000:9000"]}
  web: {image: "ghcr.io/me/blog:v1.2.0", environment: {KEY: "${KEY}"}, ports: ["127.0.0.1:20001-20002:8000"], deploy: {replicas: 2}}
  worker: {image: "ghcr.io/me/blog:v1.2.0", depends_on: [web]}
`)
	in.Sealed = &Sealed{Bytes: []byte("KEY=ENC[AES256_GCM,data:abc]\nsops_version=3.13.3\n"), Format: "dotenv",
		Names: []string{"ADMINS", "GHCR", "KEY", "SMTP_PASSWORD", "SMTP_USER"}, Identity: testIdentity}
	return in
}

// The images for which user-data is rendered.
func images() []string { return []string{"debian-13-x64", "ubuntu-24-04-x64"} }

func cases() map[string]Input {
	all := map[string]Input{}
	for _, image := range images() {
		all["shortest-"+image] = shortest(image)
		all["full-"+image] = full(image)
		all["bake-"+image] = baking(image)
	}
	return all
}

func render(t *testing.T, in Input) *UserData {
	t.Helper()
	u, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestGolden compares every file of the droplet that is not one of the static
// ones, and the cloud-config's head.
func TestGolden(t *testing.T) {
	for name, in := range cases() {
		t.Run(name, func(t *testing.T) {
			u := render(t, in)
			var b strings.Builder
			head, _, _ := strings.Cut(string(u.Bytes()), "write_files:")
			fmt.Fprintf(&b, "=== cloud-config\n%s", head)
			for _, f := range u.Files() {
				fmt.Fprintf(&b, "=== %s %04o %s\n", f.Path, f.Mode, f.Owner)
				if _, err := templates.ReadFile("templates" + f.Path); err != nil {
					fmt.Fprintf(&b, "%s\n", f.Content)
				}
			}
			golden(t, name+".txt", b.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs from what is rendered now; see with -update and git diff", path)
	}
}

// TestCloudConfig reads user-data as cloud-init would: the files that come out
// are those that went in.
func TestCloudConfig(t *testing.T) {
	for name, in := range cases() {
		t.Run(name, func(t *testing.T) {
			u := render(t, in)
			if !bytes.HasPrefix(u.Bytes(), []byte("#cloud-config\n")) {
				t.Error("the first line does not say cloud-config")
			}
			config := parse(t, u.Bytes())
			if config.SSHKeys.Private != hostKey().Private || config.SSHKeys.Public != hostKey().Public {
				t.Errorf("host key came out as %q, %q", config.SSHKeys.Private, config.SSHKeys.Public)
			}
			for i, f := range u.Files() {
				got := config.WriteFiles[i]
				permissions := map[bool]string{true: "", false: fmt.Sprintf("0%o", f.Mode)}[f.Mode == 0o644]
				if got.Path != f.Path || got.Permissions != permissions || !bytes.Equal(got.content(t), f.Content) {
					t.Errorf("%s came out as %s %s with %q", f.Path, got.Path, got.Permissions, got.content(t))
				}
			}
		})
	}
}

func TestSameInputSameBytes(t *testing.T) {
	for name := range cases() {
		a, b := render(t, cases()[name]), render(t, cases()[name])
		if !bytes.Equal(a.Bytes(), b.Bytes()) || a.Digest() != b.Digest() {
			t.Errorf("%s: two renderings differ", name)
		}
	}
}

func TestDigest(t *testing.T) {
	base := render(t, full(images()[0])).Digest()
	changes := map[string]struct {
		change func(*Input)
		same   bool
	}{
		"attempt":  {func(in *Input) { in.Attempt = "0000000000000000" }, true},
		"host key": {func(in *Input) { in.HostKey = HostKey{Private: "x\n", Public: "y"} }, true},
		"sealed":   {func(in *Input) { in.Sealed.Bytes = []byte("other") }, true},
		"identity": {func(in *Input) { in.Sealed.Identity = "other" }, true},
		"release":  {func(in *Input) { in.Release = "v1.2.1" }, false},
		"file":     {func(in *Input) { in.Profile.Files[0].Content = "x" }, false},
		"mode":     {func(in *Input) { in.Profile.Files[0].Mode = "0600" }, false},
		"owner":    {func(in *Input) { in.Profile.Files[0].Owner = "www-data:www-data" }, false},
		"format":   {func(in *Input) { in.Sealed.Format = "yaml" }, false},
		"state":    {func(in *Input) { in.Profile.State[0].SQLite.Path = "x.db" }, false},
		"backup":   {func(in *Input) { in.Profile.Backup.Keep.Daily = 8 }, false},
	}
	for name, c := range changes {
		in := full(images()[0])
		c.change(&in)
		if got := render(t, in).Digest(); (got == base) != c.same || len(got) != 32 {
			t.Errorf("%s changed: digest %s, before %s", name, got, base)
		}
	}
}

// TestSize leaves users room: 40 of the 64 KiB.
func TestSize(t *testing.T) {
	for _, image := range images() {
		u := render(t, shortest(image))
		sum := 0
		for _, p := range u.Parts() {
			sum += p.Size
		}
		if n := len(u.Bytes()); n > 24<<10 || n != sum {
			t.Errorf("%s: %d bytes, parts of %d", image, n, sum)
		}
		t.Logf("%s: shortest %d bytes, full %d", image, len(u.Bytes()), len(render(t, full(image)).Bytes()))
	}
}

func TestTooLarge(t *testing.T) {
	in := shortest(images()[0])
	noise := rand.New(rand.NewSource(1))
	for i := range 6 {
		big := make([]byte, 9000+1000*i)
		noise.Read(big)
		in.Profile.Files = append(in.Profile.Files, profiles.File{Path: fmt.Sprintf("/srv/%d", i), Content: string(big)})
	}
	_, err := Render(in)
	var large *TooLargeError
	if !errors.As(err, &large) {
		t.Fatalf("error is %v", err)
	}
	var names []string
	for _, p := range large.Largest {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "/srv/5 /srv/4 /srv/3 /srv/2 /srv/1" || large.Size <= MaxSize {
		t.Errorf("%d bytes, largest %s", large.Size, got)
	}
	for _, text := range []string{fmt.Sprint(large.Size), "65536", fmt.Sprintf("/srv/5 %d", large.Largest[0].Size)} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %s", err, text)
		}
	}
}

// TestIdentity is for the one secret that Render is given: it is in user-data
// when the profile says so, and nowhere else.
func TestIdentity(t *testing.T) {
	for _, deliver := range []profiles.Deliver{profiles.DeliverSSH, profiles.DeliverUserData, ""} {
		in := full(images()[0])
		in.Profile.Secrets.Deliver = deliver
		found := false
		for _, f := range render(t, in).Files() {
			found = found || bytes.Contains(f.Content, []byte(testIdentity))
		}
		if found != (deliver == profiles.DeliverUserData) {
			t.Errorf("deliver %q: identity found in the files: %t", deliver, found)
		}
		printed := fmt.Sprintf("%v %+v %#v %s %v %#v", in.Sealed, in.Sealed, in.Sealed, in.Sealed, in.HostKey, in.HostKey)
		if strings.Contains(printed, testIdentity) || strings.Contains(printed, "c2VudGluZWw=") {
			t.Errorf("printing shows a key: %s", printed)
		}
	}
}

func TestFaults(t *testing.T) {
	faults := map[string]struct {
		change func(*Input)
		want   string
	}{
		"image":     {func(in *Input) { in.Profile.Droplet.Image = "centos-9" }, `droplet.image: "centos-9" is not one of debian-13-x64, ubuntu-24-04-x64`},
		"domain":    {func(in *Input) { in.Profile.Domains = nil }, "domains: there is none"},
		"brace":     {func(in *Input) { in.Profile.Routes[0].Path = "/a}b" }, `routes.0: "/a}b" has a character`},
		"variable":  {func(in *Input) { in.Profile.Routes[5].Redirect = "https://$host" }, "has a character"},
		"upstream":  {func(in *Input) { in.Profile.Routes[0].To = "gone:1" }, "routes.0.to: nothing answers for gone:1"},
		"ssh_from":  {func(in *Input) { in.Profile.Firewall.SSHFrom = []string{"home"} }, `firewall.ssh_from.0: "home"`},
		"mode":      {func(in *Input) { in.Profile.Files[0].Mode = "rw" }, `files.0.mode: "rw" is not octal`},
		"folder":    {func(in *Input) { in.Profile.Files[0].From = "testdata" }, "files.0.from: read testdata: not a regular file"},
		"device":    {func(in *Input) { in.Profile.Files[0].From = "/dev/zero" }, "files.0.from: read /dev/zero: not a regular file"},
		"family":    {func(in *Input) { in.Profile.Droplet.Image = "debian-130-x64" }, `"debian-130-x64" is not one of`},
		"from":      {func(in *Input) { in.Profile.Files[0].From = "gone" }, "files.0.from: open gone"},
		"twice":     {func(in *Input) { in.Profile.Files[0].Path = "/opt/cattle/boot" }, "/opt/cattle/boot is there already"},
		"volume":    {func(in *Input) { in.Stack.Volumes = nil }, `state.0: there is no volume "data"`},
		"password":  {func(in *Input) { in.Profile.State[2].MySQL.Password = "${GONE}" }, "${GONE} is used, but is not among"},
		"env":       {func(in *Input) { in.Profile.Backup.Env["X"] = "${GONE}" }, "${GONE} is used, but is not among"},
		"service":   {func(in *Input) { in.Profile.Cron[0].Service = "" }, "cron.0.service"},
		"unknown":   {func(in *Input) { in.Sealed.Names = []string{"GHCR"} }, "is not among the secrets"},
		"unsealed":  {func(in *Input) { in.Sealed = nil }, "but there are no secrets"},
		"mail":      {func(in *Input) { in.Profile.Mail.Relay = "a b" }, `mail.relay: "a b"`},
		"no stack":  {func(in *Input) { in.Stack = nil }, "both needed"},
		"cron name": {func(in *Input) { in.Profile.Cron[0].Name = "a b" }, "cron.0.name"},
	}
	for name, c := range faults {
		in := full(images()[0])
		c.change(&in)
		if _, err := Render(in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want %q", name, err, c.want)
		}
	}
}

func TestWriteTree(t *testing.T) {
	u, dir := render(t, full(images()[0])), t.TempDir()
	for range 2 { // over itself, too
		if err := u.WriteTree(dir); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{"user-data": 0o600, "meta-data": 0o644, "opt/cattle/boot": 0o755,
		"etc/cattle/secrets.sops": 0o600, "srv/run.sh": 0o750} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestISO(t *testing.T) {
	u := render(t, full(images()[0]))
	var a, b bytes.Buffer
	if err := errors.Join(u.WriteISO(&a), u.WriteISO(&b)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two images differ")
	}
	image, err := iso9660.OpenImage(bytes.NewReader(a.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if label, err := image.Label(); label != "cidata" || err != nil {
		t.Errorf("label %q, %v", label, err)
	}
	root, err := image.RootDir()
	if err != nil {
		t.Fatal(err)
	}
	children, err := root.GetChildren()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"user-data": string(u.Bytes()), "meta-data": "instance-id: cattle-" + testAttempt + "\nlocal-hostname: blog\n"}
	for _, c := range children {
		var got bytes.Buffer
		got.ReadFrom(c.Reader())
		if want[c.Name()] != got.String() {
			t.Errorf("%s holds something else: %d bytes", c.Name(), got.Len())
		}
		delete(want, c.Name())
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

// parsed is user-data as cloud-init reads it.
type parsed struct {
	SSHKeys struct {
		Private string `yaml:"ed25519_private"`
		Public  string `yaml:"ed25519_public"`
	} `yaml:"ssh_keys"`
	WriteFiles []written `yaml:"write_files"`
}

type written struct{ Path, Permissions, Encoding, Content string }

func parse(t *testing.T, data []byte) parsed {
	t.Helper()
	var p parsed
	if err := yaml.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestStateful: what a droplet with state has beside one without, and what it
// waits for.
func TestStateful(t *testing.T) {
	content := func(in Input, path string) string {
		for _, f := range render(t, in).Files() {
			if f.Path == path {
				return string(f.Content)
			}
		}
		t.Fatalf("there is no %s", path)
		return ""
	}
	in := full(images()[0])
	spec, err := in.Profile.StateSpec(in.Stack)
	if err != nil {
		t.Fatal(err)
	}
	for path, lines := range map[string][]string{
		"/etc/cattle/settings":                             {"\nSTATE=1\n", fmt.Sprintf("\nSTATE_SPEC=%x\n", sha256.Sum256(spec)), "'openssh-client' 'rsync' 'restic'"},
		"/etc/systemd/system/cattle-app.service":           {"\nConditionPathExists=/var/lib/cattle/state/ready\n"},
		"/etc/systemd/system/cattle-cron-digest.service":   {"\nConditionPathExists=!/var/lib/cattle/state/frozen\n"},
		"/etc/systemd/system/cattle-cron-worker-2.service": {"\nConditionPathExists=!/var/lib/cattle/state/frozen\n"},
	} {
		without := full(images()[0])
		without.Profile.State, without.Profile.Backup = nil, nil
		for _, line := range lines {
			if text := content(in, path); !strings.Contains(text, line) {
				t.Errorf("%s has no %q:\n%s", path, line, text)
			}
			if strings.Contains(content(without, path), line) {
				t.Errorf("%s has %q without state", path, line)
			}
		}
	}
	files := in
	files.Profile.State, files.Profile.Backup = files.Profile.State[:1], nil
	if text := content(files, "/etc/cattle/settings"); strings.Contains(text, "rsync") || strings.Contains(text, "restic") {
		t.Errorf("a database alone needs neither:\n%s", text)
	}
}

// TestHSTS: of Let's Encrypt's own certificates alone, also where the directory
// is written out, as it is in every profile that was loaded.
func TestHSTS(t *testing.T) {
	for tls, want := range map[profiles.TLS]bool{
		{}: true,
		{Directory: "https://acme-v02.api.letsencrypt.org/directory"}: true,
		{Staging: true}: false,
		{Staging: true, Directory: "https://acme-staging-v02.api.letsencrypt.org/directory"}: false,
		{Directory: "https://acme.example.net/directory"}:                                    false,
	} {
		in := shortest(images()[0])
		in.Profile.TLS = tls
		sent := false
		for _, f := range render(t, in).Files() {
			sent = sent || f.Path == "/etc/nginx/cattle/tls.conf" && strings.Contains(string(f.Content), "add_header Strict-Transport-Security")
		}
		if sent != want {
			t.Errorf("%+v: HSTS %v", tls, sent)
		}
	}
}
