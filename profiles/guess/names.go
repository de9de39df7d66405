package guess

import (
	"net/url"
	"regexp"
	"strings"
)

var (
	secretName = regexp.MustCompile(`(?i)(pass|pwd|secret|token|key|cred|private|salt|dsn|webhook|auth|cert|signature|license)`)
	// harmless are values that can hardly be secrets: a switch, a number, an
	// address, a word in one case, the name of a time zone.
	harmless = regexp.MustCompile(`^(?i:true|false|yes|no|on|off)$|^[0-9]{1,6}$|^[0-9.]{7,15}$|` +
		`^[a-z/.][a-z_/.-]{0,40}(:[0-9]{1,5})?$|^[A-Z][A-Z_]{0,20}$|^[A-Z][a-z]{0,20}(/[A-Z][A-Za-z_]{0,20})?$`)
)

// looksSecret judges by the name and by the value, if there is one. What is in
// doubt is a secret: one too many costs a line, one too few is in git for ever.
func looksSecret(name, value string) bool {
	if secretName.MatchString(name) || strings.Contains(value, "$") {
		return true
	}
	if u, err := url.Parse(value); err == nil && u.Scheme != "" && u.Host != "" {
		return u.User != nil || u.RawQuery != ""
	}
	return !harmless.MatchString(value)
}
