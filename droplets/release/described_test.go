package release_test

import (
	"os"
	"testing"

	"cattle/droplets/sandbox/described"
)

// TestMain holds every answer of the sandboxes here against the API's description.
func TestMain(m *testing.M) { os.Exit(described.Main(m)) }
