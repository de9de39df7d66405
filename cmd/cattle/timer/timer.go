// Package timer writes what runs a command once a week: units of systemd, a
// line of a crontab, a workflow of GitHub.
package timer

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Job is what is to run, and when.
type Job struct {
	App     string
	Program string // absolute path of cattle
	Dir     string // absolute path of the profile's folder
	File    string // the profile's name in it; "" for cattle.yaml
	Below   string // Dir, from the root of the repository; "." for the root itself
	Day     time.Weekday
	Hour    int
	Minute  int
	// Secrets are variables with something that is nobody else's.
	Secrets []Secret
}

// A Secret is a variable that the job needs.
type Secret struct {
	Name string
	// File tells that the variable names a file, whose text is the secret.
	File bool
}

// A File is one that is to be written; Path is below the user's home or, of a
// workflow, below the repository.
type File struct{ Path, Text string }

// Days are the names that Parse takes.
var days = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// Parse reads a day of the week and a time of day, such as Sun and 04:15.
func Parse(day, at string) (time.Weekday, int, int, error) {
	i := slices.IndexFunc(days, func(d string) bool { return strings.EqualFold(d, day) })
	if i < 0 {
		return 0, 0, 0, fmt.Errorf("%q is no day: %s", day, strings.Join(days, ", "))
	}
	t, err := time.Parse("15:04", at)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("%q is no time of day, such as 04:15", at)
	}
	return time.Weekday(i), t.Hour(), t.Minute(), nil
}

// args are those of the command. Six days, not seven: a timer that fires a
// minute earlier than last week's would find a droplet that is not a week old,
// and leave it for another one.
func (j Job) args() []string {
	args := []string{"rebuild", "--if-older-than", "6d", "--if-updates"}
	if j.File != "" {
		args = append(args, "--file", j.File)
	}
	return args
}

// Environment is where the job finds its secrets, below the user's home.
func (j Job) Environment() string { return filepath.Join(".config", "cattle", j.App+".env") }
