package cloudinit

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// head is all of the cloud-config but its files and the SSH host key.
//
// The early table keeps all but root from the metadata service until the real
// rules are there. apt's timers are masked in /run only: should the boot never
// get to give them back, the next reboot does.
const head = `#cloud-config
# Made by cattle. The files below are explained where they come from:
# the project's cloudinit/templates.
hostname: %[1]s
fqdn: %[1]s
prefer_fqdn_over_hostname: false
manage_etc_hosts: localhost
locale: C.UTF-8
ssh_pwauth: false
disable_root: false
ssh_deletekeys: true
package_update: false
package_upgrade: false
bootcmd:
- [cloud-init-per, instance, cattle-apt, systemctl, mask, --runtime, --now, --no-block, apt-daily.timer, apt-daily-upgrade.timer, apt-daily.service, apt-daily-upgrade.service]
- [cloud-init-per, instance, cattle-metadata, sh, -c, "nft 'table inet cattle_early { chain output { type filter hook output priority 0; ip daddr 169.254.169.254 meta skuid != 0 reject; }; }' || true"]
runcmd:
- [/opt/cattle/boot]
`

// cloudConfig writes the user-data, and says what each piece of it takes.
func cloudConfig(in Input, files []File) ([]byte, []Part) {
	var b bytes.Buffer
	fmt.Fprintf(&b, head, in.Profile.App)
	fmt.Fprintf(&b, "ssh_keys:\n  ed25519_private: %s  ed25519_public: %s\nwrite_files:\n",
		block(in.HostKey.Private, "    "), quote(strings.TrimSpace(in.HostKey.Public)))
	parts := []Part{{Name: "cloud-config", Size: b.Len()}}
	// One for all files: its tables are most of what rendering would allocate.
	zip, _ := gzip.NewWriterLevel(nil, gzip.BestCompression) // the level is valid
	for _, f := range files {
		before := b.Len()
		writeFile(&b, f, zip)
		parts = append(parts, Part{Name: f.Path, Size: b.Len() - before})
	}
	return b.Bytes(), parts
}

func writeFile(b *bytes.Buffer, f File, zip *gzip.Writer) {
	fmt.Fprintf(b, "- path: %s\n", quote(f.Path))
	if f.Mode != 0o644 { // cloud-init's own default
		fmt.Fprintf(b, "  permissions: \"0%o\"\n", f.Mode)
	}
	plain := block(string(f.Content), "    ")
	packed := base64.StdEncoding.EncodeToString(pack(f.Content, zip))
	if utf8.Valid(f.Content) && len(plain) <= len(packed)+len("  encoding: gz+b64\n") {
		fmt.Fprintf(b, "  content: %s", plain)
		return
	}
	fmt.Fprintf(b, "  encoding: gz+b64\n  content: %s\n", packed)
}

// pack has no time and no name in its header, so that it depends on the
// content alone.
func pack(content []byte, zip *gzip.Writer) []byte {
	var b bytes.Buffer
	zip.Reset(&b)
	zip.Write(content) // a buffer takes all
	zip.Close()
	return b.Bytes()
}

// block is a YAML literal block where that keeps the text as it is, else a
// quoted string; either ends in a newline.
func block(text, indent string) string {
	body, whole := strings.CutSuffix(text, "\n")
	if !whole || body == "" || strings.HasSuffix(body, "\n") || body[0] == ' ' || body[0] == '\n' || !printable(body) {
		return quote(text) + "\n"
	}
	var b strings.Builder
	b.WriteString("|\n")
	for line := range strings.SplitSeq(body, "\n") {
		if line != "" {
			b.WriteString(indent + line)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// printable reports whether YAML allows all of text in a literal block.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r > '~'
	})
}

// quote makes a double-quoted YAML string; JSON's are such.
func quote(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(text) // a string cannot fail
	return strings.TrimSuffix(b.String(), "\n")
}
