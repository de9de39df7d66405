package guess

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cattle/profiles"
)

// An Account is what a token shows of one.
type Account struct {
	Region  string   // where most of its reserved IPs are, or ""
	FreeIPs []string // reserved, and pointing at nothing
	Keys    []string // names of its SSH keys
}

// A Sketch is all that the first profile is made of.
type Sketch struct {
	*Folder
	Account Account
	Asked   string // the domain that somebody said, or ""
	Image   string // or "", where nobody said one
}

const (
	defaultPort   = "8000"
	defaultRegion = "nyc3" // as the starter `web` has it
	inDoubt       = " # a guess: yours goes here"
)

// DomainOr is the domain, or one that stands for it, with a comment that says
// where it is from.
func (s *Sketch) DomainOr() (domain, comment string) {
	switch {
	case s.Asked != "":
		return s.Asked, ""
	case s.Domain != "":
		return s.Domain, " # of " + s.DomainOf
	}
	return s.App + ".example.com", inDoubt
}

// ImageOr is the image, or the forge's for the repository, or one that stands
// for it, with a comment that says which.
func (s *Sketch) ImageOr() (image, comment string) {
	switch {
	case s.Image != "":
		return s.Image, ""
	case s.Git.Image() != "":
		return s.Git.Image(), " # of the git remote; a release's version is the tag"
	}
	return "ghcr.io/me/" + s.App, inDoubt
}

// NeedsImage tells whether the profile, or a file over the app's compose
// files, says an image.
func (s *Sketch) NeedsImage() bool {
	return s.Outline == nil || s.Outline.UsesImage || slices.ContainsFunc(s.services(), builtOnly)
}

// A page is a profile that is being written.
type page struct {
	strings.Builder
	doubts []string
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// key writes a key with the comment that says where its value is from, and
// notes it where that is nowhere.
func (p *page) key(key, value, comment string) {
	p.line("%s: %s%s", key, value, comment)
	if comment == inDoubt {
		p.doubts = append(p.doubts, strings.TrimLeft(key, " -"))
	}
}

// Profile is the text of cattle.yaml: what differs from the defaults, and as
// comments the keys that most sites come to want. Doubts are the keys whose
// values nothing told.
func (s *Sketch) Profile() (text string, doubts []string) {
	p := &page{}
	p.line("# The machine that %s runs on. Every key is in docs/profile.md of cattle;", s.App)
	p.line("# cattle check finds what is wrong.")
	p.line("app: %s", s.App)
	domain, comment := s.DomainOr()
	p.key("domain", domain, comment)
	if s.Outline == nil {
		s.oneContainer(p)
	} else {
		s.composed(p)
	}
	s.environment(p)
	s.state(p)
	s.machine(p)
	return p.String(), p.doubts
}

func (s *Sketch) oneContainer(p *page) {
	image, comment := s.ImageOr()
	p.key("image", image, comment)
	port, comment := s.port()
	p.key("port", port, comment)
	if s.Dockerfile == nil {
		s.health(p, "")
		return
	}
	p.line("build: {dockerfile: Dockerfile} # for cattle release --build; else the image is pulled")
	s.health(p, s.Dockerfile.Health)
}

func (s *Sketch) composed(p *page) {
	image, comment := s.ImageOr()
	switch {
	case s.Outline.UsesImage:
		p.key("image", image, comment)
	case s.NeedsImage() && comment == inDoubt:
		p.doubts = append(p.doubts, "image in "+OverlayFile)
	}
	files := slices.Clone(s.Compose)
	if s.Overlay() != "" {
		files = append(files, OverlayFile)
	}
	p.line("compose: [%s]", strings.Join(files, ", "))
	web, comment := s.web()
	p.line("routes:")
	p.key("  - to", yamlText(web.Name+":"+portOf(web)), comment)
	s.health(p, web.Health)
}

func (s *Sketch) health(p *page, path string) {
	if path != "" && path != "/" {
		p.line("\nhealth:\n  path: %s", yamlText(path))
		return
	}
	p.line("\n# What tells that the app works, if GET / does not answer 200:\n# health:\n#   path: /up")
}

// port is where the app of one container listens. Most listen where PORT says,
// which is brought along, whatever the Dockerfile exposes.
func (s *Sketch) port() (port, comment string) {
	for _, v := range s.Variables {
		if port, err := strconv.Atoi(v.Value.Reveal()); v.Name == "PORT" && err == nil && port > 0 && port < 1<<16 {
			return strconv.Itoa(port), " # of PORT in " + strings.Join(s.EnvFiles, ", ")
		}
	}
	if s.Dockerfile != nil && s.Dockerfile.Port != "" {
		return s.Dockerfile.Port, " # of the Dockerfile"
	}
	return defaultPort, inDoubt
}

func (s *Sketch) environment(p *page) {
	if len(s.Secrets()) > 0 {
		p.line("\n# Encrypted; to change them: cattle secrets edit\nsecrets:\n  file: %s", profiles.DefaultSecretsFile)
	} else {
		p.line("\n# Passwords and the like; cattle secrets set NAME makes the file, and ${NAME} is")
		p.line("# known here and in compose files then.\n# secrets:\n#   file: %s", profiles.DefaultSecretsFile)
	}
	if slices.ContainsFunc(s.Variables, s.inEnv) {
		p.line("env:")
	}
	for _, v := range s.Variables {
		switch {
		case !s.inEnv(v):
		case v.Secret:
			p.line("  %[1]s: ${%[1]s}", v.Name)
		case v.Known():
			p.line("  %s: %s", v.Name, yamlText(v.Value.Reveal()))
		default:
			p.key("  "+v.Name, `""`, inDoubt)
		}
	}
}

// inEnv tells what goes into env: compose files know secrets by themselves.
func (s *Sketch) inEnv(v Variable) bool { return !v.Secret || s.Outline == nil }

func (s *Sketch) machine(p *page) {
	if region := s.Account.Region; region != "" && region != defaultRegion {
		p.line("\ndroplet:\n  region: %s # where your reserved IPs are", yamlText(region))
	} else {
		p.line("\n# droplet:\n#   region: %s", defaultRegion)
	}
	p.line("#   size: s-1vcpu-1gb")
	if keys := s.Account.Keys; len(keys) > 1 {
		p.line("#   ssh_keys: [%s] # else all of the account's", yamlText(keys[0]))
	}
	for _, ip := range s.Account.FreeIPs {
		p.line("# reserved_ip: %s # points at nothing; else the first release makes one", ip)
	}
	if len(s.Account.FreeIPs) == 0 {
		p.line("# reserved_ip: 203.0.113.9 # the first release makes one, and tells it")
	}
	p.line("# tls:\n#   email: me@example.com # where notices about certificates go")
}

// plainYAML are values that need no quotes.
var plainYAML = regexp.MustCompile(`^[A-Za-z/]([A-Za-z0-9_./:-]*[A-Za-z0-9_/])?$`)

// yamlText is a value as YAML reads it back: Go's quotes are YAML's too.
func yamlText(value string) string {
	words := []string{"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
	if plainYAML.MatchString(value) && !slices.Contains(words, strings.ToLower(value)) {
		return value
	}
	return strconv.Quote(value)
}
