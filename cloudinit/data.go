package cloudinit

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cattle/profiles"
)

// A manifest is /etc/cattle/release.json: what this droplet is, for the verbs
// and for machines that only pretend to boot.
type manifest struct {
	Format       int               `json:"format"`
	App          string            `json:"app"`
	Release      string            `json:"release"`
	Attempt      string            `json:"attempt"`
	Domains      []string          `json:"domains"`
	IdentityPath string            `json:"identity_path"`
	Services     []string          `json:"services"`
	Images       map[string]string `json:"images"`
	Secrets      *manifestSecrets  `json:"secrets,omitempty"`
	TLS          manifestTLS       `json:"tls"`
	Packages     []string          `json:"packages"`
	Bake         bool              `json:"bake,omitempty"` // it becomes a snapshot
}

type manifestSecrets struct {
	File    string           `json:"file"`
	Format  string           `json:"format"`
	Deliver profiles.Deliver `json:"deliver"`
}

type manifestTLS struct {
	CertName  string `json:"cert_name"`
	Directory string `json:"directory"`
	Email     string `json:"email"`
}

// uses says which programs need which secrets; unseal reads it.
type uses struct {
	Format   string         `json:"format"`
	Key      string         `json:"key,omitempty"` // where the age key is, but for the usual place
	Mail     *mailLogin     `json:"mail,omitempty"`
	Auth     []string       `json:"auth,omitempty"` // by number: htpasswd-0 …
	Registry []profileLogin `json:"registry,omitempty"`
}

type mailLogin struct {
	Relayhost string `json:"relayhost"`
	Username  string `json:"username"`
	Password  string `json:"password"`
}

type profileLogin struct {
	Server   string `json:"server"`
	Username string `json:"username"`
	Password string `json:"password"`
}

func (v *view) uses() uses {
	u := uses{Auth: v.auths}
	if v.in.Sealed != nil {
		u.Format = v.in.Sealed.Format
	}
	if v.Bake {
		u.Key = v.Key
	}
	if v.Login && !v.Bake {
		m := v.in.Profile.Mail
		u.Mail = &mailLogin{Relayhost: v.Relayhost, Username: m.Username, Password: m.Password}
	}
	for _, r := range v.in.Profile.Registry {
		if v.Bake && !v.Secrets {
			break // nothing is pulled
		}
		u.Registry = append(u.Registry, profileLogin{Server: registryKey(r.Server), Username: r.Username, Password: r.Password})
	}
	return u
}

// registryKey is the name under which Docker's client looks a login up; for
// its own hub that is not the host name.
func registryKey(server string) string {
	if server == "" || server == "docker.io" {
		return "https://index.docker.io/v1/"
	}
	return server
}

// references are the ${NAME}s in u, one a string.
func (u uses) references() []string {
	text, _ := json.Marshal(u) // strings only
	return regexp.MustCompile(`\$\{\w+\}`).FindAllString(string(text), -1)
}

// data are the files that are made of values rather than of a template.
func data(v *view) ([]File, error) {
	secret := func(path string, content []byte) File {
		return File{Path: path, Mode: 0o600, Owner: "root:root", Content: content}
	}
	files := []File{
		secret("/etc/cattle/release.json", asJSON(v.manifest())),
	}
	if !v.Bake {
		files = append(files, secret("/opt/cattle/compose.yaml", v.in.Stack.YAML))
	}
	if len(v.Brought) > 0 {
		files = append(files, secret("/etc/cattle/images", []byte(strings.Join(v.Brought, "\n")+"\n")))
	}
	if s := v.in.Sealed; s != nil {
		files = append(files, secret("/etc/cattle/secrets.sops", s.Bytes), secret("/etc/cattle/uses.json", asJSON(v.uses())))
		if v.in.Profile.Secrets.Deliver == profiles.DeliverUserData && !v.Bake {
			files = append(files, secret(keyPath, []byte(s.Identity+"\n")))
		}
	}
	return files, nil
}

func (v *view) manifest() manifest {
	p := v.in.Profile
	m := manifest{Format: 1, App: v.App, Release: v.Release, Attempt: v.Attempt, Domains: v.Names,
		IdentityPath: identityPath, Services: list(v.in.Stack.Services), Images: v.in.Images,
		TLS: manifestTLS{CertName: "cattle", Directory: v.Directory, Email: v.Email}, Packages: list(p.Packages), Bake: v.Bake}
	if v.Bake {
		m.Services = []string{}
	}
	if m.Images == nil {
		m.Images = map[string]string{}
	}
	if s := v.in.Sealed; s != nil {
		m.Secrets = &manifestSecrets{File: "/etc/cattle/secrets.sops", Format: s.Format, Deliver: p.Secrets.Deliver}
		if m.Secrets.Deliver == "" || v.Bake {
			m.Secrets.Deliver = profiles.DeliverSSH
		}
	}
	return m
}

// list is never nil, which JSON would say as null.
func list(s []string) []string { return append([]string{}, s...) }

// asJSON is for values that cannot fail to be written.
func asJSON(value any) []byte {
	text, _ := json.MarshalIndent(value, "", " ")
	return append(text, '\n')
}

// userFiles are the profile's own.
func userFiles(v *view) ([]File, error) {
	var files []File
	for i, f := range v.in.Profile.Files {
		content := []byte(f.Content)
		if f.From != "" {
			var err error
			if content, err = profiles.ReadFile(localPath(v.in.Profile.Dir, f.From)); err != nil {
				return nil, fmt.Errorf("files.%d.from: %w", i, err)
			}
		}
		bits, err := strconv.ParseUint(f.Mode, 8, 12)
		if f.Mode == "" {
			bits, err = 0o644, nil
		}
		if err != nil {
			return nil, fmt.Errorf("files.%d.mode: %q is not octal", i, f.Mode)
		}
		files = append(files, File{Path: f.Path, Mode: uint32(bits), Owner: owner(f), Content: content})
	}
	return files, nil
}

func localPath(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

func owner(f profiles.File) string {
	if f.Owner == "" {
		return "root:root"
	}
	return f.Owner
}

// addOwners lists the files that step `files` gives away. They are written as
// root's, because the packages that bring their owners come later.
func (v *view) addOwners() error {
	for _, f := range v.in.Profile.Files {
		if owner(f) != "root:root" {
			v.Owners = append(v.Owners, owner(f)+" "+f.Path)
		}
	}
	slices.Sort(v.Owners)
	return nil
}
