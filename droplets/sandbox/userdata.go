package sandbox

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
	"gopkg.in/yaml.v3"
)

// A seed is user-data as a machine has understood it.
type seed struct {
	// fault says why the machine has an sshd and nothing else; empty for a
	// machine that boots a release.
	fault    string
	warnings []string
	files    map[string][]byte
	modes    map[string]int64 // of files, where it says them
	manifest manifest
	hostKey  ssh.Signer
}

// manifest is /etc/cattle/release.json.
type manifest struct {
	Format       int               `json:"format"`
	App          string            `json:"app"`
	Release      string            `json:"release"`
	Attempt      string            `json:"attempt"`
	Domains      []string          `json:"domains"`
	IdentityPath string            `json:"identity_path"`
	Services     []string          `json:"services"`
	Images       map[string]string `json:"images"`
	Secrets      *sealedFile       `json:"secrets"`
	Packages     []string          `json:"packages"`
}

type sealedFile struct {
	File    string `json:"file"`
	Format  string `json:"format"`
	Deliver string `json:"deliver"` // ssh or user-data
}

// cloudConfig is the part of cloud-config that a stub machine acts on.
type cloudConfig struct {
	WriteFiles []struct {
		Path        string `yaml:"path"`
		Content     string `yaml:"content"`
		Encoding    string `yaml:"encoding"`
		Permissions string `yaml:"permissions"`
	} `yaml:"write_files"`
	RunCmd  []any             `yaml:"runcmd"`
	SSHKeys map[string]string `yaml:"ssh_keys"`
}

const (
	manifestPath = "/etc/cattle/release.json"
	keyPath      = "/etc/cattle/age.key"
	bootScript   = "/opt/cattle/boot"
	verbScript   = "/opt/cattle/droplet"
)

// seed is the user-data of a droplet, parsed once. The cloud must be locked.
func (c *Cloud) seed(d *droplet) *seed {
	if s := c.seeds[d.ID]; s != nil {
		return s
	}
	s := &seed{files: map[string][]byte{}}
	if err := s.parse(d.UserData); err != nil {
		s.fault, s.manifest = err.Error(), manifest{}
	}
	if s.hostKey == nil {
		s.hostKey = c.ca.hostKey(d.ID)
	}
	c.seeds[d.ID] = s
	return s
}

// hostKey is the key of a machine that was given none: random to everybody
// who does not hold the CA's key, and the same after a restart.
func (a *authority) hostKey(droplet int) ssh.Signer {
	sum := sha256.Sum256(fmt.Appendf(bytes.Clone(a.secret), "host %d", droplet))
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(sum[:]))
	if err != nil {
		panic(err) // an ed25519 key is always a signer
	}
	return signer
}

// parse reads user-data as cloud-init would. An error is why this machine
// will not boot a release.
func (s *seed) parse(userData string) error {
	if userData == "" {
		return errors.New("no user-data")
	}
	if line, _, _ := strings.Cut(userData, "\n"); strings.TrimRight(line, " \r") != "#cloud-config" {
		return errors.New("user-data is not #cloud-config")
	}
	var config cloudConfig
	if err := yaml.Unmarshal([]byte(userData), &config); err != nil {
		return fmt.Errorf("invalid cloud-config: %w", err)
	}
	s.warn(userData)
	s.modes = map[string]int64{}
	for _, f := range config.WriteFiles {
		content, err := decodeContent(f.Encoding, f.Content)
		if err != nil {
			s.warnings = append(s.warnings, fmt.Sprintf("write_files: %s: %v", f.Path, err))
			continue
		}
		s.files[f.Path] = content
		if mode, err := strconv.ParseInt(f.Permissions, 8, 64); err == nil {
			s.modes[f.Path] = mode
		}
	}
	if private := config.SSHKeys["ed25519_private"]; private != "" {
		var err error
		if s.hostKey, err = ssh.ParsePrivateKey([]byte(private)); err != nil {
			s.hostKey = nil
			s.warnings = append(s.warnings, "ssh_keys: ed25519_private: "+err.Error())
		}
	}
	return s.release(config.RunCmd)
}

// release wants what makes a machine boot a release.
func (s *seed) release(runcmd []any) error {
	raw, ok := s.files[manifestPath]
	if !ok {
		return errors.New("no " + manifestPath)
	}
	if err := json.Unmarshal(raw, &s.manifest); err != nil {
		return fmt.Errorf("%s: %w", manifestPath, err)
	}
	if s.manifest.Format != 1 {
		return fmt.Errorf("%s: format %d, want 1", manifestPath, s.manifest.Format)
	}
	runs := func(cmd any) bool { return strings.Contains(fmt.Sprint(cmd), bootScript) }
	if !slices.ContainsFunc(runcmd, runs) {
		return errors.New("runcmd does not run " + bootScript)
	}
	return nil
}

// warn notes top-level keys that cloud-init does not know, as its schema check does.
func (s *seed) warn(userData string) {
	var top map[string]any
	if yaml.Unmarshal([]byte(userData), &top) != nil {
		return
	}
	for key := range top {
		if !slices.Contains(cloudConfigKeys(), key) {
			s.warnings = append(s.warnings, "unknown key "+key)
		}
	}
	slices.Sort(s.warnings)
}

// decodeContent undoes an encoding of write_files, by any of its names.
func decodeContent(encoding, content string) ([]byte, error) {
	b := []byte(content)
	zipped, coded := false, false
	switch encoding {
	case "", "text/plain":
	case "gz", "gzip":
		zipped = true
	case "b64", "base64":
		coded = true
	case "gz+b64", "gz+base64", "gzip+b64", "gzip+base64":
		zipped, coded = true, true
	default:
		return nil, fmt.Errorf("unknown encoding %q", encoding)
	}
	var err error
	if coded {
		// The decoder skips line ends by itself, but nothing else.
		if b, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(content, " ", "")); err != nil {
			return nil, err
		}
	}
	if !zipped {
		return b, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, 16<<20))
}

// cloudConfigKeys are the keys that cloud-init 24 and later know.
func cloudConfigKeys() []string {
	return strings.Fields(`allow_public_ssh_keys ansible apk_repos apt apt_pipelining apt_reboot_if_required
		apt_update apt_upgrade authkey_hash autoinstall bootcmd byobu_by_default ca_certs ca-certs chef chpasswd cloud_config_modules
		cloud_final_modules cloud_init_modules create_hostname_file device_aliases disable_ec2_metadata
		disable_root disable_root_opts disk_setup drivers fan final_message fqdn fs_setup groups growpart grub_dpkg
		hostname keyboard landscape launch-index locale locale_configfile lxd manage_etc_hosts manage_resolv_conf mcollective merge_how
		merge_type mount_default_fields mounts network no_ssh_fingerprints ntp output package_reboot_if_required
		package_update package_upgrade packages password phone_home power_state prefer_fqdn_over_hostname
		preserve_hostname puppet random_seed raspberry_pi reporting resize_rootfs resolv_conf rh_subscription rsyslog runcmd
		salt_minion snap spacewalk ssh ssh_authorized_keys ssh_deletekeys ssh_fp_console_blacklist ssh_genkeytypes
		ssh_import_id ssh_key_console_blacklist ssh_keys ssh_publish_hostkeys ssh_pwauth ssh_quiet_keygen swap
		system_info timezone ubuntu_advantage ubuntu_pro updates user user-data users vendor_data version wireguard write_files yum_repo_dir
		yum_repos zypper`)
}
