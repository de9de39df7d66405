package page

import (
	"fmt"

	"cattle/droplets/release"
)

// dataFacts are what became of the site's data.
func dataFacts(d *release.DataReport) (out []fact) {
	if d == nil {
		return nil
	}
	if d.Freeze > 0 {
		out = append(out, fact{"Writes waited", seconds(d.Freeze)})
	}
	if d.Bytes > 0 {
		out = append(out, fact{"Data copied", copied(d)})
	}
	if d.Restored != "" {
		out = append(out, fact{"Data from", fmt.Sprintf("backup %s of %s", d.Restored, d.From.UTC().Format("2006-01-02 15:04:05 UTC"))})
	}
	if d.Backup != "" {
		out = append(out, fact{"Backup of before", d.Backup})
	}
	return out
}

// copied is how much was carried over, and how much of it while writes waited.
func copied(d *release.DataReport) string {
	var late int64
	for _, e := range d.Entries {
		late += e.Delta
	}
	return fmt.Sprintf("%.1f MB, %.1f MB of it while they waited", float64(d.Bytes)/1e6, float64(late)/1e6)
}
