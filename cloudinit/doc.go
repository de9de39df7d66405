// Package cloudinit renders a profile, a release and its sealed secrets into
// user-data: one cloud-config that turns a bare Debian 13 or Ubuntu 24.04 into
// the app's droplet.
//
// What lands on the droplet is under templates/, each file at the path that it
// has there. The scripts are static: what is particular to a droplet comes to
// them through /etc/cattle/settings, so they can be read, linted and tested as
// they are. Rendering is pure but for reading the profile's `files: from:`.
package cloudinit
