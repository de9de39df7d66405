package timer

import (
	"fmt"
	"strings"
)

// Cron is a line for crontab -e. The shell that runs it gets the secrets from
// the same file as systemd does.
func (j Job) Cron() string {
	words := []string{quote(j.Program)}
	for _, a := range j.args() {
		words = append(words, quote(a))
	}
	command := fmt.Sprintf(`cd %s && set -a && . "$HOME/%s" && %s`, quote(j.Dir), j.Environment(), strings.Join(words, " "))
	// crontab(5): a % that is not escaped ends the line.
	return fmt.Sprintf("%d %d * * %d %s\n", j.Minute, j.Hour, j.Day, strings.ReplaceAll(command, "%", `\%`))
}

// plain are the characters that mean nothing to a shell, in any place.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+:,./-"

func quote(s string) string {
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
