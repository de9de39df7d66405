package profiles

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// OnCalendar returns the schedule as systemd calendar expressions in UTC; the
// job is due when any of them matches. Two are needed where cron's days of
// the month and of the week are both restricted, since cron then takes either.
// It is nil for a schedule that Load would refuse.
func (c Cron) OnCalendar() []string {
	s, err := parseSchedule(c.Schedule)
	if err != nil {
		return nil
	}
	day, week := s.days(), s.weekdays()
	either := s.dom.restricted && s.dow.restricted
	if !either {
		return []string{s.expression(week, day)}
	}
	return []string{s.expression("", day), s.expression(week, "*")}
}

// A schedule is five fields as sets of numbers.
type schedule struct{ minute, hour, dom, month, dow fieldSet }

// A fieldSet is one field: its numbers, sorted. It is restricted, as cron has
// it, when it does not begin with a star.
type fieldSet struct {
	numbers    []int
	full       bool
	restricted bool
}

// A fieldSpec says what one field may have.
type fieldSpec struct {
	name     string
	min, max int
	names    string // space separated, from min on
}

const (
	monthNames = "jan feb mar apr may jun jul aug sep oct nov dec"
	dayNames   = "sun mon tue wed thu fri sat"
)

func fieldSpecs() [5]fieldSpec {
	return [5]fieldSpec{
		{"minute", 0, 59, ""},
		{"hour", 0, 23, ""},
		{"day of the month", 1, 31, ""},
		{"month", 1, 12, monthNames},
		{"day of the week", 0, 7, dayNames},
	}
}

// nickname expands @daily and the like.
func nickname(s string) (string, bool) {
	switch s {
	case "@hourly":
		return "0 * * * *", true
	case "@daily", "@midnight":
		return "0 0 * * *", true
	case "@weekly":
		return "0 0 * * 0", true
	case "@monthly":
		return "0 0 1 * *", true
	case "@yearly", "@annually":
		return "0 0 1 1 *", true
	}
	return s, !strings.HasPrefix(s, "@")
}

func parseSchedule(text string) (*schedule, error) {
	line, ok := nickname(strings.TrimSpace(text))
	if !ok {
		return nil, fmt.Errorf("%s is not one of @hourly, @daily, @weekly, @monthly and @yearly", quote(text))
	}
	words := strings.Fields(line)
	if len(words) != 5 {
		return nil, fmt.Errorf("a schedule has five fields, this one has %d", len(words))
	}
	var sets [5]fieldSet
	for i, spec := range fieldSpecs() {
		set, err := spec.parse(words[i])
		if err != nil {
			return nil, err
		}
		sets[i] = set
	}
	s := &schedule{sets[0], sets[1], sets[2], sets[3], sets[4]}
	s.dow = s.dow.sundays()
	if s.never() {
		return nil, fmt.Errorf("no month has such a day: it would never run")
	}
	return s, nil
}

func (f fieldSpec) parse(text string) (fieldSet, error) {
	seen := make([]bool, f.max+1)
	for part := range strings.SplitSeq(text, ",") {
		low, high, step, ok := f.part(part)
		if !ok {
			return fieldSet{}, fmt.Errorf("%s is not a %s (%d-%d)", quote(part), f.name, f.min, f.max)
		}
		for n := low; n <= high; n += step {
			seen[n] = true
		}
	}
	set := fieldSet{restricted: !strings.HasPrefix(text, "*")}
	for n := f.min; n <= f.max; n++ {
		if seen[n] {
			set.numbers = append(set.numbers, n)
		}
	}
	set.full = len(set.numbers) == f.max-f.min+1
	return set, nil
}

// part reads one of *, */2, 3, 3/2, 3-9, 3-9/2 and the same with names.
func (f fieldSpec) part(text string) (low, high, step int, ok bool) {
	body, by, stepped := strings.Cut(text, "/")
	step = 1
	if stepped {
		n, err := strconv.Atoi(by)
		if err != nil || n < 1 || n > f.max {
			return 0, 0, 0, false
		}
		step = n
	}
	if body == "*" {
		return f.min, f.max, step, true
	}
	from, to, ranged := strings.Cut(body, "-")
	low, lowOK := f.number(from)
	high, highOK := low, true
	switch {
	case ranged:
		high, highOK = f.number(to)
	case stepped:
		high = f.max
	}
	if ranged && f.max == 7 && high == 0 && low > 0 {
		high = 7 // fri-sun
	}
	return low, high, step, lowOK && highOK && low <= high
}

func (f fieldSpec) number(text string) (int, bool) {
	if i := slices.Index(strings.Fields(f.names), strings.ToLower(text)); i >= 0 {
		return f.min + i, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= f.min && n <= f.max && text[0] != '+' && text[0] != '-'
}

// sundays makes 7 the 0 that it stands for.
func (s fieldSet) sundays() fieldSet {
	var days []int
	for _, n := range s.numbers {
		days = append(days, n%7)
	}
	slices.Sort(days)
	s.numbers = slices.Compact(days)
	s.full = len(s.numbers) == 7
	return s
}

// never says whether no date matches, such as 31 February.
func (s *schedule) never() bool {
	if s.dow.restricted && s.dom.restricted {
		return false
	}
	longest := [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	return !slices.ContainsFunc(s.month.numbers, func(m int) bool { return s.dom.numbers[0] <= longest[m] })
}

func (s *schedule) days() string { return s.dom.systemd() }

func (s *schedule) weekdays() string {
	if s.dow.full {
		return ""
	}
	var names []string
	for _, n := range s.dow.numbers {
		name := strings.Fields(dayNames)[n]
		names = append(names, strings.ToUpper(name[:1])+name[1:])
	}
	return strings.Join(names, ",")
}

func (s *schedule) expression(week, day string) string {
	text := fmt.Sprintf("*-%s-%s %s:%s:00 UTC", s.month.systemd(), day, s.hour.systemd(), s.minute.systemd())
	if week == "" {
		return text
	}
	return week + " " + text
}

// systemd writes a set as * or as numbers and ranges.
func (s fieldSet) systemd() string {
	if s.full {
		return "*"
	}
	var parts []string
	for i := 0; i < len(s.numbers); {
		j := i
		for j+1 < len(s.numbers) && s.numbers[j+1] == s.numbers[j]+1 {
			j++
		}
		if j-i < 2 {
			j = i
			parts = append(parts, fmt.Sprintf("%02d", s.numbers[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%02d..%02d", s.numbers[i], s.numbers[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}
