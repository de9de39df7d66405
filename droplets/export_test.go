package droplets

// Join is join, for tests.
var Join = join
