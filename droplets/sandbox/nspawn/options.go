// Package nspawn is real machines behind the sandbox: each droplet is a booted
// Debian or Ubuntu in namespaces of its own, on a Linux machine, as root. Its
// network is a world without an uplink, so no packet meant for a droplet can
// leave, and nothing of the machine's own network is touched.
//
// Whatever can be anonymous is: network namespaces are held by file
// descriptors, mounts are in private mount namespaces, and every child dies
// with the thread that started it. A sandbox that is killed leaves a folder
// and a cgroup, which Clean takes away.
//
// Machines have all capabilities but a few and no user namespace: they keep
// user-data from doing harm by accident, not user-data that means to.
package nspawn

// Options are the settings of a Host.
type Options struct {
	// Dir is the folder for the disks of this sandbox's machines and images. It
	// must be empty or not there, and is removed by Close.
	Dir string
	// Cache keeps root images, some 400 MB each; "" is the folder cattle in the
	// user's cache folder. Sandboxes share it.
	Cache string
	// Trust is the PEM of authorities that machines trust beside the usual ones.
	Trust []byte
	// Say is told what takes long, in lines for people. May be nil.
	Say func(string)
	// NoCloud gives machines a seed folder instead of the DigitalOcean
	// datasource. Then UserData and Keys, which may be nil, say what is in it.
	NoCloud  bool
	UserData func(id int) []byte
	Keys     func(id int) []string // authorized_keys lines for root
}

func (o Options) say(line string) {
	if o.Say != nil {
		o.Say(line)
	}
}
