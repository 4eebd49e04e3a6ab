# The entry points. Meson and Ninja build, and the scripts in deploy/ and tests/ do the rest.
PREFIX ?= /usr/local
PROGRAMS = batond batonctl wanlink baton-bench
RELEASE = build/release

.DEFAULT_GOAL := build
.PHONY: $(shell sed -n "s,^\([a-z-]*\):.*,\1,p" Makefile)

build: $(RELEASE)/build.ninja ## build the programs into build/
	@ninja -C $(RELEASE) $(PROGRAMS:%=src/cmd/%)
	@for program in $(PROGRAMS); do ln -sfn release/src/cmd/$$program build/$$program; done

$(RELEASE)/build.ninja:
	@command -v meson >/dev/null && command -v ninja >/dev/null || { echo "meson or ninja is missing: make deps"; exit 1; }
	@meson setup $(RELEASE) >/dev/null || { cat $(RELEASE)/meson-logs/meson-log.txt; exit 1; }

deps: ## install the Debian packages that building, running and testing need
	@deploy/deps build run test bench baseline deb site

up: ## start a local cluster of three nodes in two clouds and three workers
	@deploy/deps build run
	@$(MAKE) --no-print-directory build
	@deploy/local/cluster up

status: ## show what runs, where, and which node leads
	@deploy/local/cluster status

logs: ## follow the logs of the local cluster
	@deploy/local/cluster logs

down: ## stop the local cluster and keep its data
	@deploy/local/cluster down

verify-log: ## check that the nodes' committed logs and snapshots are equal byte for byte
	@deploy/local/cluster verify-log

up-docker: ## start the same cluster in containers, with Prometheus
	@deploy/docker/cluster up

status-docker: ## show what runs in containers
	@deploy/docker/cluster status

down-docker: ## stop and remove the containers and keep their data in volumes
	@deploy/docker/cluster down

acceptance: build ## check the release's criteria in separate containers and write docs/acceptance.md
	@deploy/deps test
	@tests/docker/acceptance

test: ## run all tests, or with RUN=TestLog those whose names begin so
	@deploy/deps build run test bench baseline deb site
	@tests/run $(RUN)

sim: $(RELEASE)/build.ninja ## run whole clusters on virtual time: N= of them (100) from SEED= (1), TIME= seconds each (10); TRACE=1, SHRINK=1, FAULTS=
	@deploy/deps build test
	@ninja -C $(RELEASE) tests/world/world
	@$(RELEASE)/tests/world/world $(if $(SEED),--seed $(SEED)) $(if $(N),--count $(N),$(if $(TRACE),--count 1)) $(if $(TIME),--time $(TIME)) \
	  $(if $(TRACE),--trace) $(if $(SHRINK),--shrink) $(if $(FAULTS),--faults $(FAULTS))

sim-long: $(RELEASE)/build.ninja ## the same for an hour (TIME= minutes), from SEED= (the day's) on; what was reached goes to tests/world/results.json
	@deploy/deps build test
	@ninja -C $(RELEASE) tests/world/world
	@$(RELEASE)/tests/world/world --minutes $(or $(TIME),60) --time 20 --seed $(or $(SEED),$$(($$(date +%s) / 86400 * 1000000))) \
	  --results tests/world/results.json

attack: $(RELEASE)/build.ninja ## cut, change and crash a node's directory everywhere, in minutes; the counts go to tests/attack/results.json
	@deploy/deps build test
	@ninja -C $(RELEASE) tests/attack/attack
	@$(RELEASE)/tests/attack/attack "$(SEED)" tests/attack/results.json

mutants: $(RELEASE)/build.ninja ## plant each fault of tests/mutants into the source, and see the tests find it; ONLY="M18 M21"
	@deploy/deps build test
	@ninja -C $(RELEASE)
	@tests/mutants/run --jobs "$(or $(JOBS),2)" $(ONLY)

mutants-mechanical: $(RELEASE)/build.ninja ## negate, shift and delete each line of FILE="src/raft/lease.c", and see the tests find it
	@deploy/deps build test mutants
	@ninja -C $(RELEASE)
	@tests/mutants/mechanical --jobs "$(or $(JOBS),2)" $(FILE)

evidence: ## write into docs/testing.md what the long runs have left
	@tests/evidence

scenarios: $(RELEASE)/build.ninja ## check the golden scenarios of the Raft core; REWRITE=1 writes their traces again
	@deploy/deps build test
	@ninja -C $(RELEASE) tests/unit/test-raft-scenarios
	@$(if $(REWRITE),BATON_SCENARIOS_REWRITE=1) BATON_TEST_FILTER="$(RUN)*" $(RELEASE)/tests/unit/test-raft-scenarios tests/scenarios

model: ## check the models of elections and membership with spin, or with NAME=election that one; writes tests/model/results.json
	@deploy/deps test
	@tests/model/run $(NAME)

fuzz: ## fuzz what reads bytes from outside, each target for TIME= seconds (60); TARGET= names one, else all
	@deploy/deps build test
	@tests/fuzz/run --seconds "$(or $(TIME),60)" $(TARGET)

fuzz-corpus: ## take what `make fuzz` has found into the committed corpora, as few inputs as reach as much
	@deploy/deps build test
	@tests/fuzz/run --minimise $(TARGET)

bench: ## measure writes and restarts beside etcd's; see docs/performance.md
	@deploy/deps build bench
	@$(MAKE) --no-print-directory build
	@bench/run
	@bench/restart

baseline: ## measure replication and elections on real clusters; NAME= names the recording
	@deploy/deps build run test baseline
	@$(MAKE) --no-print-directory build
	@bench/baseline $(if $(NAME),--name $(NAME))

baseline-compare: ## compare a recording (NAME=, or the latest) with an older one, OLD=
	@test -n "$(OLD)" || { echo "OLD is missing: make baseline-compare OLD=NAME, with a name of bench/results/baseline/"; exit 2; }
	@bench/baseline --compare $(OLD) $(if $(NAME),--name $(NAME))

failover: ## measure how long writes wait when the leader fails
	@deploy/deps build run test
	@$(MAKE) --no-print-directory build
	@bench/failover

soak: ## run ten minutes with a bad link and slow disks; no election may begin
	@deploy/deps build run test
	@$(MAKE) --no-print-directory build
	@cd tests/cluster && BATON_SOAK_SECONDS=600 /usr/bin/python3 -m pytest -q -rA -p no:cacheprovider -n 3 test_steady.py

year: ## live through a year of a cluster in YEAR_MINUTES (20) and write docs/year.md
	@deploy/deps build run test baseline
	@$(MAKE) --no-print-directory build
	@tests/year/year

chaos: ## let everything fail for TIME (10m) under clients whose histories are judged; SEED= repeats it, WITH=etcd compares
	@deploy/deps build run test
	@$(MAKE) --no-print-directory build
	@tests/chaos/chaos --time "$(or $(TIME),10m)" --seed "$(or $(SEED),0)" $(if $(WITH),--$(WITH))

chaos-broken: ## build baton broken in three ways, and let chaos run until it has caught each
	@deploy/deps build run test
	@$(MAKE) --no-print-directory build
	@for patch in tests/chaos/broken/*.patch; do tests/chaos/chaos --broken "$$(basename "$$patch" .patch)" --seed "$(or $(SEED),0)" || exit 1; done

coverage: ## run the unit tests and report the lines they cover
	@deploy/deps build test coverage
	@test -f build/coverage/build.ninja || meson setup build/coverage -Db_coverage=true >/dev/null
	@ninja -C build/coverage
	@meson test -C build/coverage --no-rebuild --print-errorlogs
	@gcovr --root . --filter src/ --object-directory build/coverage --html-details build/coverage/index.html --print-summary

install: $(RELEASE)/build.ninja ## install the programs under PREFIX (and DESTDIR)
	@meson configure $(RELEASE) "-Dprefix=$$(realpath -m "$(PREFIX)")"
	@$(MAKE) --no-print-directory build
	@ninja -C $(RELEASE) src/cmd/batond.8 src/cmd/batonctl.1
	@DESTDIR="$(DESTDIR)" meson install -C $(RELEASE) --no-rebuild

deb: ## build the Debian packages into build/deb
	@deploy/deps build deb
	@deploy/deb

dist: ## make the archives of a release, checksums and a list of what is linked (SPDX), of the last commit, in build/dist
	@deploy/deps build
	@deploy/dist

site: ## make a site of the documents, in build/site; its first page is index.html
	@deploy/deps site
	@deploy/site/build

cast: build ## play the demonstration on a cluster of its own, and write it as docs/demo.svg
	@deploy/deps run test
	@deploy/local/cast

clean: down ## stop the local cluster and remove everything built, including its data
	@rm -rf build

help: ## show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 25
