package timer

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
)

// checkout is pinned by its commit: a tag of somebody else's may move.
const checkout = "actions/checkout@8e8c483db84b4bee98b60c0593521ed34d9990e8 # v6.0.1"

// GitHub is a workflow. Nobody releases beside it who uses the same concurrency
// group; a run that was begun is never cancelled in the middle. cattle itself is
// fetched from where a variable of the repository says, and held to its hash.
func (j Job) GitHub() File {
	var env, keys strings.Builder
	for _, s := range j.Secrets {
		if s.File {
			fmt.Fprintf(&keys, `      - name: Put the key of %[1]s into a file
        env:
          KEY: ${{ secrets.%[1]s }}
        run: |
          umask 077
          printf '%%s\n' "$KEY" >"$RUNNER_TEMP/%[1]s"
          echo "%[1]s=$RUNNER_TEMP/%[1]s" >>"$GITHUB_ENV"
`, s.Name)
			continue
		}
		fmt.Fprintf(&env, "          %[1]s: ${{ secrets.%[1]s }}\n", s.Name)
	}
	words := []string{"cattle"}
	for _, a := range j.args() {
		words = append(words, quote(a))
	}
	return File{".github/workflows/cattle-rebuild.yaml", fmt.Sprintf(`name: rebuild %s
on:
  schedule:
    - cron: "%d %d * * %d" # UTC
  workflow_dispatch:
permissions: {}
concurrency:
  group: cattle-%[1]s
  cancel-in-progress: false
jobs:
  rebuild:
    runs-on: ubuntu-24.04
    environment: production
    timeout-minutes: 60
    permissions:
      contents: read
    steps:
      - uses: %[5]s
        with:
          persist-credentials: false
      - name: Put cattle on the runner
        env:
          URL: ${{ vars.CATTLE_URL }}
          SHA256: ${{ vars.CATTLE_SHA256 }}
        run: |
          curl --fail --silent --show-error --location --output "$RUNNER_TEMP/cattle" "$URL"
          echo "$SHA256  $RUNNER_TEMP/cattle" | sha256sum --check
          chmod 0755 "$RUNNER_TEMP/cattle"
          echo "$RUNNER_TEMP" >>"$GITHUB_PATH"
%[6]s      - name: Rebuild, if it is a week old and there are updates
        env:
%[7]s        working-directory: %[8]s
        run: |
          %[9]s
`, j.App, j.Minute, j.Hour, j.Day, checkout, keys.String(), env.String(), scalar(filepath.ToSlash(j.Below)), strings.Join(words, " "))}
}

// scalar is text in YAML: JSON, but for what nobody writes into paths.
func scalar(s string) string {
	text, _ := json.Marshal(s) // a string always is JSON
	return string(text)
}
