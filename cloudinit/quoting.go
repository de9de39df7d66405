package cloudinit

import (
	"fmt"
	"strings"
	"text/template"
)

// quoting are the functions by which values enter templates.
func quoting() template.FuncMap {
	return template.FuncMap{"sh": shell, "list": shellList, "flag": shellFlag,
		"unit": unitText, "words": unitWords, "join": func(s []string) string { return strings.Join(s, ", ") }}
}

// shell quotes a word for bash.
func shell(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// shellList is a bash array.
func shellList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shell(w)
	}
	return "(" + strings.Join(quoted, " ") + ")"
}

// shellFlag is tested with [[ $FLAG ]].
func shellFlag(on bool) string {
	if on {
		return "yes"
	}
	return ""
}

// unitText is text in a systemd unit, where % begins a specifier.
func unitText(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// unitWords quotes arguments of ExecStart, where $ and % mean something even
// inside quotes. It takes strings and lists of strings.
func unitWords(values ...any) string {
	var words []string
	for _, value := range values {
		switch value := value.(type) {
		case string:
			words = append(words, value)
		case []string:
			words = append(words, value...)
		}
	}
	special := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$", "\n", `\n`, "\t", `\t`)
	for i, w := range words {
		words[i] = `"` + special.Replace(w) + `"`
	}
	return strings.Join(words, " ")
}

// plain refuses what would end a word in nginx's or Postfix's configuration,
// or be taken for a variable there.
func plain(key, text string) error {
	if text == "" || strings.ContainsAny(text, " \t\r\n\"'`\\${};#,") {
		return fmt.Errorf("%s: %q has a character that cannot be used here", key, text)
	}
	return nil
}
