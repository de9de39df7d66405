package described

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"strings"
)

// TallyVariable names a file that every process of a test run adds its lines
// to, so that one table shows them all.
const TallyVariable = "CATTLE_OPENAPI_TALLY"

func compare(a, b Line) int {
	path := func(l Line) string { _, p, _ := strings.Cut(l.Route, " "); return p }
	return cmp.Or(cmp.Compare(path(a), path(b)), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Status, b.Status))
}

// append adds the tally to a file, in one write; "" is none.
func (t *Tally) append(file string) error {
	if file == "" {
		return nil
	}
	var b strings.Builder
	for l, n := range t.Counts() {
		fmt.Fprintf(&b, "%s\t%d\t%d\t%d\t%d\n", l.Route, l.Status, n.Answers, n.Shapes, n.Deviations)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(b.String())
	return err
}

// ReadTally adds up what processes appended to a file.
func ReadTally(file string) (*Tally, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t := &Tally{counts: map[Line]*Count{}}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var l Line
		var n Count
		route, rest, _ := strings.Cut(lines.Text(), "\t")
		if _, err := fmt.Sscan(rest, &l.Status, &n.Answers, &n.Shapes, &n.Deviations); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", file, lines.Text(), err)
		}
		l.Route = route
		sum := t.counts[l]
		if sum == nil {
			sum = &Count{}
			t.counts[l] = sum
		}
		sum.Answers, sum.Shapes, sum.Deviations = sum.Answers+n.Answers, sum.Shapes+n.Shapes, sum.Deviations+n.Deviations
	}
	return t, nil
}
