package sandbox

import (
	"math"
	"time"
)

// A Bill is what one droplet has cost. Billing is by the second from creation
// to deletion, 60 s at least and a month's price at most; a droplet that is
// off still bills.
type Bill struct {
	Droplet int       `json:"droplet"`
	Name    string    `json:"name"`
	Size    string    `json:"size"`
	Tags    []string  `json:"tags"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Seconds float64   `json:"seconds"`
	USD     float64   `json:"usd"`
	Gone    bool      `json:"gone"` // deleted: the bill is closed
}

// Bills are those of deleted droplets, in the order of deletion, and then
// those that still run.
func (c *Cloud) Bills() []Bill {
	now := c.lock()
	defer c.unlock()
	list := append([]Bill(nil), c.state.Bills...)
	for _, d := range c.state.Droplets {
		list = append(list, c.bill(d, now, false))
	}
	return list
}

func (c *Cloud) bill(d *droplet, to time.Time, gone bool) Bill {
	seconds := math.Max(to.Sub(d.CreatedAt).Seconds(), 60)
	s := c.shelf.size(d.Size)
	return Bill{
		Droplet: d.ID, Name: d.Name, Size: d.Size, Tags: d.Tags, From: d.CreatedAt, To: to, Seconds: seconds,
		USD: math.Min(s.PriceHourly*seconds/3600, s.PriceMonthly), Gone: gone,
	}
}
