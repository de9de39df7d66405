# cattle: everything that is typed while working on it. Go and make are enough;
# the race detector wants a C compiler, and is left out, loudly, without one.

GO    ?= go
CC    ?= cc
RACE  := $(if $(shell command -v $(CC)),-race)
FUZZ  ?= 1m
# The example's app is a module of its own, which ./... leaves out.
BLOG  := examples/blog/app

.PHONY: build demo test lint bench fuzz clean

build:
	@mkdir -p bin
	$(GO) build -trimpath -ldflags='-s -w' -o bin/cattle ./cmd/cattle

demo: build
	./bin/cattle demo

test:
	$(if $(RACE),,@echo 'make: no C compiler: the race detector is off')
	# Most of the command's tests wait for a sandbox, not for a core.
	$(GO) test $(RACE) -parallel 4 ./...
	$(GO) -C $(BLOG) test $(RACE) ./...

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not gofmt-clean: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags live ./droplets/cloudtest/
	$(GO) tool staticcheck ./...
	$(GO) -C $(BLOG) vet ./...
	staticcheck=$$($(GO) tool -n staticcheck) && cd $(BLOG) && $$staticcheck ./...

# Figures, never verdicts: render time and allocations, a release's API calls and
# its simulated time over its cloud's floor, start-up time and size of the binary.
bench: build
	$(GO) test -run '^$$' -bench . -benchmem ./cloudinit/ ./profiles/ ./droplets/release/
	$(GO) test -run '^$$' -bench Startup ./cmd/cattle/

fuzz:
	@for target in $$(grep -rho 'func Fuzz[A-Za-z]*' --include='*_test.go' . | sed 's/func //'); do \
		dir=$$(grep -rl "func $$target(" --include='*_test.go' . | xargs dirname); \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ) $$dir || exit 1; \
	done

clean:
	rm -rf bin
