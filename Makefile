# cattle: everything that is typed while working on it. Go and make are enough;
# the race detector wants a C compiler, and is left out, loudly, without one.

GO    ?= go
CC    ?= cc
RACE  := $(if $(shell command -v $(CC)),-race)
FUZZ  ?= 1m
# What tests counted of the sandbox's answers; see docs/sandbox.md.
TALLY := $(CURDIR)/bin/openapi.tally
# The example's app is a module of its own, which ./... leaves out.
BLOG  := examples/blog/app

# How long the simulation goes on with new seeds.
SECONDS ?= 60
SIMULATION := ./droplets/release/simulation

.PHONY: build demo test seen builds servers soak soak-data chaos e2e e2e-machines e2e-guard e2e-images e2e-older clients lint bench fuzz man extras release release-check reproducible clean

# How cattle is built, here and in releases.
BUILD := CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w'

build:
	@mkdir -p bin
	$(BUILD) -o bin/cattle ./cmd/cattle

demo: build
	./bin/cattle demo

test:
	$(if $(RACE),,@echo 'make: no C compiler: the race detector is off')
	@mkdir -p bin && rm -f $(TALLY)
	# Most of the command's tests wait for a sandbox, not for a core.
	CATTLE_OPENAPI_TALLY=$(TALLY) $(GO) test $(RACE) -parallel 12 -timeout 20m ./...
	$(if $(CATTLE_OPENAPI),$(GO) test -count=1 -v -run '^TestTally$$' ./droplets/sandbox/described -counted $(TALLY),\
		@echo 'make: CATTLE_OPENAPI is not set: no answer of the sandbox was held against the description of the API')
	$(GO) -C $(BLOG) test $(RACE) ./...
	# All of the simulation, and the table of it: above was a twentieth. Its goroutines
	# begin with stacks as large as they become: an eighth less time.
	GODEBUG=adaptivestackstart=1 $(GO) test -count=1 -v -timeout 20m $(SIMULATION)

# What is there to be looked at: the page of --report in a Chromium, the live
# list in a tmux, both of which have to be installed. Screenshots go to bin/seen.
seen:
	@mkdir -p bin/seen
	SEEN=$(CURDIR)/bin/seen $(GO) test -tags seen -count=1 -timeout 10m -run TestSeen -v ./cmd/cattle/

# Building at release with a real podman, which has to be installed.
builds:
	$(GO) test -tags podman -count=1 -timeout 10m -run TestPodman -v ./cmd/cattle/builder/ ./cmd/cattle/

# The state of MariaDB and PostgreSQL, of real servers that run without root, and Postfix's
# queue: Debian's mariadb-server, postgresql-15 and postfix have to be installed. ONLY=Mail needs the last alone.
servers:
	$(GO) test -tags servers -count=1 -timeout 15m -run "TestServers$(ONLY)" -v ./cloudinit/

soak:
	$(GO) test -count=1 -v -timeout 0 -run 'TestSoak$$' $(SIMULATION) -soak $(SECONDS)s

# Commands killed and interrupted at random moments, as processes, under load
# (Linux). It takes about seven minutes on two cores. A failure says which SEED
# and RUN repeat it; KILLS is how many there are to be.
KILLS ?= 200
chaos: build
	CHAOS_SEED=$(SEED) CHAOS_RUN=$(RUN) CHAOS_KILLS=$(KILLS) \
		$(GO) test -tags chaos -count=1 -timeout 30m -run TestChaos -v ./cmd/cattle/

# The rehearsal as a test, on machines that boot: Linux, as root, with
# systemd-container, mmdebstrap, nftables and debian-archive-keyring.
E2E    = $(CURDIR)/bin/e2e
BOOTED = CATTLE_E2E_IMAGES=$(E2E)/blog.tar,$(E2E)/public.tar,$(E2E)/rows.tar CATTLE_E2E_SERVERS=$(E2E)/servers.tar CATTLE_E2E_OLDER=$(E2E)/older.tar CATTLE_E2E_SOPS=$(E2E)/sops \
	$(GO) test -tags e2e -count=1 -v
# ONLY=Life runs what has that name, SKIP leaves it out.
e2e: e2e-machines e2e-images e2e-older
	$(BOOTED) -timeout 60m -run 'TestBooted($(ONLY))' -skip 'TestBooted(Guard$(if $(SKIP),|$(SKIP)))' ./cmd/cattle/

# The whole table of what happens to data: more releases, more of everything.
soak-data: e2e-images e2e-older
	CATTLE_SOAK_DATA=1 $(BOOTED) -timeout 120m -run 'TestBooted($(or $(ONLY),Data|Backup))' ./cmd/cattle/

e2e-machines:
	$(GO) test -tags e2e -count=1 -timeout 15m ./droplets/sandbox/nspawn/

# Most of its eight minutes it waits, so it stands beside something else.
e2e-guard: e2e-images
	$(BOOTED) -timeout 20m -run TestBootedGuard ./cmd/cattle/

# The app of the tests of data, a module of its own, and the servers that it is
# put before, from Debian's packages: made once, as roots of images are.
ROWS    := cmd/cattle/testdata/rows
SERVERS := bin/e2e/mariadb.tar bin/e2e/postgres.tar

$(SERVERS): bin/e2e/%.tar: $(ROWS)/servers/root $(ROWS)/servers/%
	@mkdir -p bin/e2e
	$(ROWS)/servers/root $* $(CURDIR)/$@

# The same of the release of Debian's before, for what refuses to go there.
OLDER := bin/e2e/mariadb-older.tar bin/e2e/postgres-older.tar

$(OLDER): bin/e2e/%-older.tar: $(ROWS)/servers/root $(ROWS)/servers/%
	@mkdir -p bin/e2e
	$(ROWS)/servers/root $* $(CURDIR)/$@ bookworm

e2e-older: $(OLDER)
	$(GO) -C $(ROWS) run ./image -o $(CURDIR)/bin/e2e/older.tar public.example.net/mariadb:10=$(CURDIR)/bin/e2e/mariadb-older.tar public.example.net/postgres:15=$(CURDIR)/bin/e2e/postgres-older.tar

e2e-images: build $(SERVERS)
	@mkdir -p bin/e2e
	cd $(ROWS) && CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o $(CURDIR)/bin/e2e/rows .
	$(GO) -C $(ROWS) run ./image -o $(CURDIR)/bin/e2e/rows.tar $(foreach tag,1 2 3 4 5 6 7 8 9 10 3-broken,public.example.net/rows:v$(tag)=$(CURDIR)/bin/e2e/rows)
	$(GO) -C $(ROWS) run ./image -o $(CURDIR)/bin/e2e/servers.tar public.example.net/mariadb:11=$(CURDIR)/bin/e2e/mariadb.tar public.example.net/postgres:17=$(CURDIR)/bin/e2e/postgres.tar
	$(GO) -C $(BLOG) run ./image -o $(CURDIR)/bin/e2e/blog.tar v1.0.0 v1.1.0 v1.2.0-broken v1.3.0-exits v1.4.0-tires
	$(GO) -C $(BLOG) run ./image -repository public.example.net/blog -o $(CURDIR)/bin/e2e/public.tar v1.0.0 v1.1.0
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o bin/e2e/sops github.com/getsops/sops/v3/cmd/sops

# Clients that nobody here wrote, on the sandbox: Debian's ansible, packer and
# python3-digitalocean, and npm's dots-wrapper and yaml-language-server, which are fetched. With
# CATTLE_OPENAPI, as make test.
clients:
	@mkdir -p bin/clients && cp droplets/sandbox/testdata/clients/package*.json bin/clients/
	cd bin/clients && npm ci --silent --no-audit --no-fund --ignore-scripts
	CATTLE_CLIENTS_NODE=$(CURDIR)/bin/clients/node_modules \
		$(GO) test -tags clients -count=1 -timeout 15m -run TestClients -v ./droplets/sandbox/ ./cmd/cattle/

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not gofmt-clean: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags live ./droplets/cloudtest/
	$(GO) vet -tags chaos ./cmd/cattle/
	$(GO) vet -tags seen ./cmd/cattle/
	$(GO) vet -tags servers ./cloudinit/
	$(GO) vet -tags podman ./cmd/cattle/ ./cmd/cattle/builder/
	$(GO) vet -tags clients ./droplets/sandbox/ ./cmd/cattle/
	$(GO) vet -tags e2e ./cmd/cattle/ ./droplets/sandbox/nspawn/
	$(GO) tool staticcheck ./...
	$(GO) tool staticcheck -tags e2e ./cmd/cattle/ ./droplets/sandbox/nspawn/
	$(GO) tool staticcheck -tags chaos ./cmd/cattle/
	$(GO) tool staticcheck -tags seen ./cmd/cattle/
	$(GO) tool staticcheck -tags podman ./cmd/cattle/ ./cmd/cattle/builder/
	$(GO) -C $(BLOG) vet ./...
	$(GO) -C $(ROWS) vet ./...
	staticcheck=$$($(GO) tool -n staticcheck) && cd $(BLOG) && $$staticcheck ./...

# Figures, never verdicts: render time and allocations, a release's API calls and
# its simulated time over its cloud's floor, start-up's time and memory, size of the binary.
bench: build
	$(GO) test -run '^$$' -bench . -benchmem ./cloudinit/ ./profiles/ ./droplets/release/
	$(GO) test -run '^$$' -bench Startup ./cmd/cattle/

# Every fuzz target for $(FUZZ), one after another; a line says what became of it.
# Interesting inputs get a second to be made shorter, not the minute that Go gives
# them. A finding stays under testdata/fuzz of its package, where make test tries
# it again. Go before 1.27 may call the end of the time a failure, and writes no
# input for it: golang/go#75804.
fuzz:
	@failed=0; \
	for file in $$(git ls-files '*_test.go' | xargs grep -l '^func Fuzz'); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
			verdict=ok; \
			if ! out=$$($(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ) -fuzzminimizetime 1s ./$$(dirname $$file) 2>&1) && \
				{ ! echo "$$out" | grep -qx '    context deadline exceeded' || echo "$$out" | grep -q 'Failing input\|panic:'; }; \
			then verdict=FAILED; failed=1; echo "$$out"; fi; \
			printf '%-6s %-16s %-24s %s\n' $$verdict $$target $$(dirname $$file) "$$(echo "$$out" | sed -n 's/^fuzz: elapsed: [^,]*, //p' | tail -n 1)"; \
		done; \
	done; exit $$failed

man: build
	./bin/cattle man > bin/cattle.1

# What archives and packages have beside the binary. -n leaves the time out.
extras: man
	@mkdir -p bin/extras/completions
	cp bin/cattle.1 bin/extras/cattle.1
	gzip -9nc bin/cattle.1 > bin/extras/cattle.1.gz
	./bin/cattle completion bash > bin/extras/completions/cattle.bash
	./bin/cattle completion zsh > bin/extras/completions/_cattle
	./bin/cattle completion fish > bin/extras/completions/cattle.fish
	cp /etc/ssl/certs/ca-certificates.crt bin/extras/

# The tools of a release, fetched as Go modules are: with a checksum that all
# of the world sees.
GORELEASER := $(GO) run github.com/goreleaser/goreleaser/v2@v2.12.7
SYFT       := github.com/anchore/syft/cmd/syft@v1.57.0
ACTIONLINT := $(GO) run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

# Without a tag: are workflows and .goreleaser.yaml right, and does this
# computer's binary come out?
release-check:
	$(ACTIONLINT) .github/workflows/*.yml examples/workflows/*.yml
	IMAGE_OWNER=nobody $(GORELEASER) check
	IMAGE_OWNER=nobody $(GORELEASER) build --snapshot --clean --single-target

release:
	GOBIN=$(CURDIR)/bin/tools $(GO) install $(SYFT)
	PATH=$(CURDIR)/bin/tools:$$PATH IMAGE_OWNER=$(GITHUB_REPOSITORY_OWNER) $(GORELEASER) release --clean

# The commit twice, in two folders, the second time with nothing that was built
# before: the same bytes.
reproducible:
	@dir=$$(mktemp -d) && trap 'chmod -R u+w '$$dir'; rm -rf '$$dir EXIT && \
	git clone -q . $$dir/one && git clone -q . $$dir/two/further && \
	(cd $$dir/one && $(BUILD) -o $$dir/first ./cmd/cattle) && \
	(cd $$dir/two/further && GOCACHE=$$dir/cache $(BUILD) -o $$dir/second ./cmd/cattle) && \
	sha256sum $$dir/first $$dir/second | sed "s|$$dir/||" && cmp $$dir/first $$dir/second && echo 'the same bytes'

clean:
	rm -rf bin dist
