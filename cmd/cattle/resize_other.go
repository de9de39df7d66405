//go:build !unix

package main

import "cattle/droplets"

// resizes tells nothing where terminals tell nothing.
func resizes(int) (<-chan droplets.TerminalSize, func()) { return nil, func() {} }
