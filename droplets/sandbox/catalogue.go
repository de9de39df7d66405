package sandbox

import "strings"

// A catalogue is what the cloud offers. Prices and slugs are DigitalOcean's
// of 2025; the list of sizes is a part of the real one.
type catalogue struct {
	sizes   []size
	regions []region
	images  []image
}

type size struct {
	Slug         string   `json:"slug"`
	Memory       int      `json:"memory"` // MiB
	VCPUs        int      `json:"vcpus"`
	Disk         int      `json:"disk"`          // GiB
	Transfer     float64  `json:"transfer"`      // TB
	PriceMonthly float64  `json:"price_monthly"` // USD
	PriceHourly  float64  `json:"price_hourly"`
	Regions      []string `json:"regions"`
	Available    bool     `json:"available"`
	Description  string   `json:"description"`
	DiskInfo     []obj    `json:"disk_info"`
}

type region struct {
	Name      string   `json:"name"`
	Slug      string   `json:"slug"`
	Features  []string `json:"features"`
	Available bool     `json:"available"`
	Sizes     []string `json:"sizes"`
}

type image struct {
	ID            int      `json:"id"`
	Name          string   `json:"name"`
	Type          string   `json:"type"`
	Distribution  string   `json:"distribution"`
	Slug          *string  `json:"slug"`
	Public        bool     `json:"public"`
	Regions       []string `json:"regions"`
	CreatedAt     string   `json:"created_at"`
	MinDiskSize   int      `json:"min_disk_size"`
	SizeGigabytes float64  `json:"size_gigabytes"`
	Description   string   `json:"description"`
	Tags          []string `json:"tags"`
	Status        string   `json:"status"`
	ErrorMessage  string   `json:"error_message"`
}

// hoursOfMonth is after how many hours a droplet costs its monthly price.
const hoursOfMonth = 672

func newCatalogue() catalogue {
	c := catalogue{regions: someRegions()}
	for _, s := range someSizes() {
		c.add(s)
	}
	c.images = someImages(c.slugs())
	return c
}

// add puts a size into every region that has it.
func (c *catalogue) add(s size) {
	s.Available, s.Regions = true, []string{}
	s.PriceHourly = s.PriceMonthly / hoursOfMonth
	s.DiskInfo = []obj{{"type": "local", "size": obj{"amount": s.Disk, "unit": "gib"}}}
	for i := range c.regions {
		r := &c.regions[i]
		// The smallest size is not everywhere, and old regions are closed.
		if r.Available && (s.Disk > 10 || r.Slug != "nyc2" && r.Slug != "sfo2") {
			s.Regions = append(s.Regions, r.Slug)
			r.Sizes = append(r.Sizes, s.Slug)
		}
	}
	c.sizes = append(c.sizes, s)
}

func (c *catalogue) slugs() []string {
	var list []string
	for _, r := range c.regions {
		if r.Available {
			list = append(list, r.Slug)
		}
	}
	return list
}

func someSizes() []size {
	basic := func(slug string, memory, cpus, disk int, transfer, price float64) size {
		return size{Slug: slug, Memory: memory, VCPUs: cpus, Disk: disk, Transfer: transfer, PriceMonthly: price, Description: "Basic"}
	}
	of := func(description string, s size) size { s.Description = description; return s }
	return []size{
		basic("s-1vcpu-512mb-10gb", 512, 1, 10, 0.5, 4),
		basic("s-1vcpu-1gb", 1024, 1, 25, 1, 6),
		of("Basic AMD", basic("s-1vcpu-1gb-amd", 1024, 1, 25, 1, 7)),
		of("Basic Intel", basic("s-1vcpu-1gb-intel", 1024, 1, 25, 1, 7)),
		basic("s-1vcpu-2gb", 2048, 1, 50, 2, 12),
		of("Basic AMD", basic("s-1vcpu-2gb-amd", 2048, 1, 50, 2, 14)),
		of("Basic Intel", basic("s-1vcpu-2gb-intel", 2048, 1, 50, 2, 14)),
		basic("s-2vcpu-2gb", 2048, 2, 60, 3, 18),
		of("Basic AMD", basic("s-2vcpu-2gb-amd", 2048, 2, 60, 3, 21)),
		basic("s-2vcpu-4gb", 4096, 2, 80, 4, 24),
		of("Basic AMD", basic("s-2vcpu-4gb-amd", 4096, 2, 80, 4, 28)),
		basic("s-4vcpu-8gb", 8192, 4, 160, 5, 48),
		basic("s-8vcpu-16gb", 16384, 8, 320, 6, 96),
		of("CPU-Optimized", basic("c-2", 4096, 2, 25, 4, 42)),
		of("CPU-Optimized", basic("c-4", 8192, 4, 50, 5, 84)),
		of("General Purpose", basic("g-2vcpu-8gb", 8192, 2, 25, 4, 63)),
		of("General Purpose", basic("g-4vcpu-16gb", 16384, 4, 50, 5, 126)),
		of("Memory-Optimized", basic("m-2vcpu-16gb", 16384, 2, 50, 4, 84)),
	}
}

func someRegions() []region {
	features := []string{"backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"}
	at := func(slug, name string, open bool) region {
		return region{Name: name, Slug: slug, Features: features, Available: open, Sizes: []string{}}
	}
	return []region{
		at("nyc1", "New York 1", true), at("nyc2", "New York 2", true), at("nyc3", "New York 3", true),
		at("ams2", "Amsterdam 2", false), at("ams3", "Amsterdam 3", true),
		at("sfo1", "San Francisco 1", false), at("sfo2", "San Francisco 2", true), at("sfo3", "San Francisco 3", true),
		at("sgp1", "Singapore 1", true), at("lon1", "London 1", true), at("fra1", "Frankfurt 1", true),
		at("tor1", "Toronto 1", true), at("blr1", "Bangalore 1", true), at("syd1", "Sydney 1", true),
	}
}

func someImages(regions []string) []image {
	base := func(id int, distribution, name, slug, made string) image {
		return image{ID: id, Name: name, Type: "base", Distribution: distribution, Slug: &slug, Public: true, Regions: regions,
			CreatedAt: made, MinDiskSize: 7, SizeGigabytes: 0.6, Description: distribution + " " + name, Tags: []string{}, Status: "available"}
	}
	return []image{
		base(195932981, "Debian", "12 x64", "debian-12-x64", "2025-08-14T12:00:00Z"),
		base(201841321, "Debian", "13 x64", "debian-13-x64", "2025-09-22T12:00:00Z"),
		base(191772811, "Ubuntu", "22.04 (LTS) x64", "ubuntu-22-04-x64", "2025-07-10T12:00:00Z"),
		base(195932982, "Ubuntu", "24.04 (LTS) x64", "ubuntu-24-04-x64", "2025-08-14T12:00:00Z"),
		base(190613981, "Fedora", "42 x64", "fedora-42-x64", "2025-06-30T12:00:00Z"),
		base(187442561, "Rocky Linux", "9 x64", "rockylinux-9-x64", "2025-05-20T12:00:00Z"),
	}
}

// region is a region by slug, nil when there is none.
func (c *catalogue) region(slug string) *region {
	for i := range c.regions {
		if c.regions[i].Slug == slug {
			return &c.regions[i]
		}
	}
	return nil
}

// place finds the region for a create request: a slug, the prefix of slugs
// ("nyc"), or nothing, which leaves the choice to the cloud.
func (c *catalogue) place(slug string) *region {
	if slug == "" {
		return c.region("nyc3")
	}
	if r := c.region(slug); r != nil {
		return r
	}
	for i := range c.regions {
		if r := &c.regions[i]; r.Available && strings.TrimRight(r.Slug, "0123456789") == slug {
			return r
		}
	}
	return nil
}

func (c *catalogue) size(slug string) *size {
	for i := range c.sizes {
		if c.sizes[i].Slug == slug {
			return &c.sizes[i]
		}
	}
	return nil
}

func (s *size) in(region string) bool {
	for _, r := range s.Regions {
		if r == region {
			return true
		}
	}
	return false
}
