// Package examples holds sites to copy, and embeds them for the demo.
package examples

import "embed"

// FS has each example in a folder of its own: what is released, without the
// source code of its app.
//
//go:embed blog/README.md blog/cattle.yaml blog/compose.yaml blog/compose.prod.yaml blog/secrets.env
var FS embed.FS
