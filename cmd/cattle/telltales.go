package main

import "strings"

// A telltale is a phrase of a program on a droplet that gives a failure away.
type telltale struct {
	phrase string
	code   string
	hint   string
}

// telltales are read in this order: what a program says last is often only
// what came of what it said before. The phrases are those of apt, Docker,
// certbot and the kernel, as Debian 13 and Ubuntu 24.04 have them.
func telltales() []telltale {
	const (
		disk     = "a size with a larger disk: droplet: {size: …} in the profile; doctl compute size list shows them"
		clock    = "release again: a fresh droplet takes its time from its host"
		name     = "mend packages in the profile; https://packages.debian.org and https://packages.ubuntu.com know the names"
		mirror   = "release again when the mirror answers; with a snapshot of cattle bake there is nothing to download"
		platform = "build it for the droplet's processor: docker buildx build --platform linux/amd64 --push -t IMAGE ."
		slower   = "log in to that registry (registry: in the profile): who is known may pull more; or release again in some hours"
		login    = "the login of registry: in the profile, and its secrets: cattle secrets set NAME"
		taken    = "two containers or services want one port: mend ports: in the compose file"
		issued   = "the site serves; the droplet asks again by itself. What is only to be tried out takes test certificates: tls: {staging: true}"
		issuer   = "the site serves; the droplet asks again by itself, in fifteen minutes; https://letsencrypt.status.io tells what is known"
	)
	return []telltale{
		{"no space left on device", "disk-full", disk},
		{"is not valid yet", "clock-off", clock},
		{"is not yet valid", "clock-off", clock},
		{"unable to locate package", "package-unknown", name},
		{"has no installation candidate", "package-unknown", name},
		{"no matching manifest for", "image-platform", platform},
		{"exec format error", "image-platform", platform},
		{"toomanyrequests", "registry-limit", slower},
		{"manifest unknown", "image-missing", "docker push it, or mend image: in the profile"},
		{"401 unauthorized", "registry-refused", login},
		{"pull access denied", "registry-refused", login},
		{"address already in use", "port-busy", taken},
		{"port is already allocated", "port-busy", taken},
		{"too many certificates", "certificate-limit", issued},
		{"/directory", "acme-down", issuer},
		{"failed to fetch", "mirror-down", mirror},
		{"temporary failure resolving", "mirror-down", mirror},
	}
}

// readTelltale is the cure for the first telltale in a text; the zero cure where
// there is none.
func readTelltale(text string) cure {
	text = strings.ToLower(text)
	for _, t := range telltales() {
		if strings.Contains(text, t.phrase) {
			return cure{t.code, t.hint}
		}
	}
	return cure{}
}
