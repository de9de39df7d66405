package cloudinit

// Download is a file of the web, pinned by its content.
type Download struct {
	URL    string
	SHA256 string // 64 lower-case hex digits
}

// DefaultSOPS is the sops binary that droplets decrypt with, for linux/amd64.
// The distributions have none.
//
// NOTE: the hash is the one that ten unrelated public repositories pin for
// this file, two of them from the project's sops-v3.13.3.checksums.txt. It has
// not been held against that file, nor against the binary. Were it wrong, step
// `sops` would fail: a droplet refuses a binary that differs. To move to another
// version, change both fields together.
func DefaultSOPS() Download {
	return Download{
		URL:    "https://github.com/getsops/sops/releases/download/v3.13.3/sops-v3.13.3.linux.amd64",
		SHA256: "e5bec3346a873ae91d871550f3e698c1aad962aff462a080e40f25fde17fef6b",
	}
}
