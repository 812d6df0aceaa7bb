# test.mk - all targets that test something; included by the Makefile. What they do is in scripts/, how to choose single
# tests in test/README.md.
#
#   make test              every suite on PostgreSQL of this Debian release
#   make test PG=17        ... on 17 or 18; PG=15-assert or ASSERT=1: on a server built with assertions
#   make check-regress     one suite (check-nopreload, check-isolation, check-tap, check-pgtap, check-property,
#                          check-upgrade, checks); PG= as above
#   make check-asan        every suite on a server built with assertions and sanitizers
#   make fuzz, make bench  fuzzing, measurements

PG ?=
run_tests = scripts/run-tests $(if $(PG)$(ASSERT),--pg $(if $(ASSERT),assert,$(PG)))

check_suites = regress nopreload isolation tap pgtap property upgrade

.PHONY: test checks $(check_suites:%=check-%) check-asan fuzz bench
test:
	@$(run_tests) all
checks:
	@$(run_tests) checks
$(check_suites:%=check-%): check-%:
	@$(run_tests) $*
check-asan:
	@scripts/run-tests --pg asan all

fuzz:
	@scripts/install-deps fuzz
	@test/fuzz/run
	@test/fuzz/sqlsmith
bench:
	@scripts/install-deps bench
	@test/bench/run
