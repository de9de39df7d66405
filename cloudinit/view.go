package cloudinit

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cattle/profiles"
)

// identityPath is where nginx says which attempt answers.
const identityPath = "/.well-known/cattle/attempt"

// A view is what the templates see. Embedded values come from rooms of their
// own files: web.go, mail.go, cron.go.
type view struct {
	in           Input
	distribution distribution

	App, Release, Attempt, IdentityPath string
	Names                               []string // host names, those of the domains first
	DockerPackages, Packages            []string
	Secrets, Mail                       bool
	Registries, Timers, Owners          []string
	Images                              []string // with their digests, as far as these are known
	Brought                             []string // images that the operator brings: reference and id
	BroughtWithin                       int      // seconds
	Key                                 string   // where the age key is put
	Bake                                bool
	Base, PackagesDigest                string
	SOPS                                Download
	Directory, Email                    string // ACME
	StateSpec                           string // SHA-256 of what the state engine is told, or ""
	SSH4, SSH6                          []string
	web
	mail
	jobs []job
}

func newView(in Input) (*view, error) {
	p := in.Profile
	d, err := distributionOf(base(p))
	if err != nil {
		return nil, err
	}
	if len(p.Domains) == 0 {
		return nil, errors.New("domains: there is none")
	}
	v := &view{in: in, distribution: d, App: p.App, Release: in.Release, Attempt: in.Attempt,
		IdentityPath: identityPath, DockerPackages: d.docker, Secrets: in.Sealed != nil, Key: keyPath,
		SOPS: in.sops(), Directory: directory(p.TLS), Email: p.TLS.Email, Bake: in.Bake}
	steps := []func() error{v.addState, v.addWeb, v.addMail, v.addCron, v.addFirewall, v.addOwners, v.checkSecrets}
	if v.Bake {
		steps = []func() error{v.addMail, v.addFirewall, v.addBake, v.checkSecrets}
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if v.Secrets {
		for _, r := range p.Registry {
			v.Registries = append(v.Registries, r.Server)
		}
	}
	v.addImages()
	v.addPackages()
	v.PackagesDigest = v.packagesDigest()
	return v, nil
}

// directory is where certificates are asked for.
func directory(tls profiles.TLS) string {
	switch {
	case tls.Directory != "":
		return tls.Directory
	case tls.Staging:
		return "https://acme-staging-v02.api.letsencrypt.org/directory"
	}
	return "https://acme-v02.api.letsencrypt.org/directory"
}

// addPackages has by name what others only recommend and what Postfix needs
// for SASL over TLS.
func (v *view) addPackages() {
	v.Packages = []string{"nginx", "certbot", "ca-certificates", "openssl"}
	if v.Mail {
		v.Packages = append(v.Packages, "postfix", "libsasl2-modules")
	}
	for _, name := range slices.Concat(statePackages(v.in.Profile), v.in.Profile.Packages) {
		if !slices.Contains(v.Packages, name) {
			v.Packages = append(v.Packages, name)
		}
	}
}

// addFirewall sorts the sources of SSH by family; none named means everyone.
func (v *view) addFirewall() error {
	from := v.in.Profile.Firewall.SSHFrom
	if len(from) == 0 {
		from = []string{"0.0.0.0/0", "::/0"}
	}
	for i, text := range from {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			address, err := netip.ParseAddr(text)
			if err != nil {
				return fmt.Errorf("firewall.ssh_from.%d: %q is neither an address nor a block", i, text)
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		if prefix.Addr().Is4() {
			v.SSH4 = append(v.SSH4, prefix.Masked().String())
		} else {
			v.SSH6 = append(v.SSH6, prefix.Masked().String())
		}
	}
	return nil
}

// checkSecrets refuses a ${NAME} that nothing would fill in.
func (v *view) checkSecrets() error {
	for _, text := range append(v.uses().references(), v.stateReferences()...) {
		name := strings.TrimSuffix(strings.TrimPrefix(text, "${"), "}")
		if v.in.Sealed == nil {
			return fmt.Errorf("%s is used, but there are no secrets", text)
		}
		if v.in.Sealed.Names != nil && !slices.Contains(v.in.Sealed.Names, name) {
			return fmt.Errorf("%s is used, but is not among the secrets", text)
		}
	}
	return nil
}
