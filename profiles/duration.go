package profiles

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

var daysPart = regexp.MustCompile(`^(\d{1,6})d`)

// parseDuration reads what time.ParseDuration reads, and days: 7d, 1d12h.
// A day is 24 hours. Negative durations and those over 100 years are refused.
func parseDuration(s string) (time.Duration, bool) {
	var days time.Duration
	rest := s
	if m := daysPart.FindStringSubmatch(s); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil || n > 36500 {
			return 0, false
		}
		days, rest = time.Duration(n)*24*time.Hour, s[len(m[0]):]
	}
	if rest == "" && s != "" {
		return days, true
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > math.MaxInt64-days {
		return 0, false
	}
	return days + d, true
}

// ParseDuration reads a duration as profiles write it: 90s, 36h, 7d.
func ParseDuration(s string) (time.Duration, error) {
	d, ok := parseDuration(s)
	if !ok {
		return 0, fmt.Errorf("%q is no duration such as 90s, 36h or 7d", s)
	}
	return d, nil
}
