// Package examples holds sites to copy, and embeds them for the demo.
package examples

import "embed"

// FS has each example in a folder of its own.
//
//go:embed all:blog
var FS embed.FS
