package droplets

// Join is join, for tests.
var Join = join

// Pack is what Equip sends.
func (k StateKit) Pack() ([]byte, error) { return k.pack() }
