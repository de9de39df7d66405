package sandbox

import (
	"encoding/json"
	"strings"
)

func (c *Cloud) getSizes(q *call) reply   { return page(q, "sizes", c.shelf.sizes) }
func (c *Cloud) getRegions(q *call) reply { return page(q, "regions", c.shelf.regions) }

// text is a JSON string or number, as ids and slugs come in requests.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	if !strings.HasPrefix(string(b), `"`) {
		*t = text(b)
		return nil
	}
	var s string
	err := json.Unmarshal(b, &s)
	*t = text(s)
	return err
}
