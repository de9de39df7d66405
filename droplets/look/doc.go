// Package look is what an operator does on a droplet to look at it: logs, the
// app's containers, files to and fro, tunnels. All of it is plain commands over
// SSH (journalctl, tail, docker, tar), so that a droplet carries nothing for it.
// Whatever a droplet prints is taken for hostile: see Unpack.
package look
