# Makefile of apibase: builds, installs and checks the extension with PGXS.
#
#   make && make install      build, install into the server of pg_config
#   make installcheck         pg_regress against a running server (PGHOST, PGPORT, ... say which)
#   make dist lint format     release archive, linters, formatter
#   make test run stop bench  see test/test.mk and examples/catalogue/catalogue.mk
#
# Variables: PG_CONFIG=path  another server;  WERROR=1  warnings are errors;  with_llvm=no  no bitcode.
#
# One folder a module under src/. The order of APIBASE_MODULES is the order of the floors: a module uses only what stands
# before it, and the SQL parts are joined in this order. Everything generated goes to build/, objects beside
# their sources; both are ignored by git.

APIBASE_MODULES = core context spec cache decorate result bus events

EXTENSION = apibase
MODULE_big = apibase
PG_CONFIG ?= pg_config
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" apibase.control)

# ---- sources ---------------------------------------------------------------------------------------------------------
# A grammar x.y gives build/gen/<module>/x.c and x.h, a scanner x.l gives x.c. They are compiled like any other source,
# except a generated file that another source includes by name.
GRAMMARS := $(foreach m,$(APIBASE_MODULES),$(wildcard src/$(m)/*.y))
SCANNERS := $(foreach m,$(APIBASE_MODULES),$(wildcard src/$(m)/*.l))
SOURCES := src/apibase.c $(foreach m,$(APIBASE_MODULES),$(wildcard src/$(m)/*.c))
GENERATED_C := $(GRAMMARS:src/%.y=build/gen/%.c) $(SCANNERS:src/%.l=build/gen/%.c)
GENERATED_H := $(GRAMMARS:src/%.y=build/gen/%.h)
included = $(if $(GRAMMARS)$(SCANNERS),$(shell grep -lE '^.include +".*$(notdir $(1))"' $(GRAMMARS) $(SCANNERS) $(SOURCES)))
COMPILED_GENERATED := $(foreach c,$(GENERATED_C),$(if $(call included,$(c)),,$(c)))
GENERATED_OBJS := $(COMPILED_GENERATED:.c=.o)
OBJS = $(SOURCES:.c=.o) $(GENERATED_OBJS)

# ---- SQL -------------------------------------------------------------------------------------------------------------
# A module has up to three parts: .pre.sql (schemas, types, tables), .sql (functions, CREATE OR REPLACE) and .post.sql
# (operators, casts, grants, comments). The install script is all .pre, all functions, all .post. An upgrade script is a
# delta written by hand (src/upgrade) with all functions and all comments added, so neither has a second text.
INSTALL_SQL = build/apibase--$(EXTVERSION).sql
DELTAS := $(wildcard src/upgrade/*.delta.sql)
UPGRADE_SQL := $(DELTAS:src/upgrade/%.delta.sql=build/%.sql)
SQL_PRE := $(foreach m,$(APIBASE_MODULES),$(wildcard src/$(m)/$(m).pre.sql))
SQL_FUNCTIONS := $(foreach m,$(APIBASE_MODULES),$(wildcard src/$(m)/$(m).sql))
SQL_POST := $(foreach m,$(APIBASE_MODULES),$(wildcard src/$(m)/$(m).post.sql))
SQL_PARTS := $(SQL_PRE) $(SQL_FUNCTIONS) $(SQL_POST)

DATA := $(filter-out %.delta.sql,$(wildcard src/upgrade/apibase--*.sql))
DATA_built = $(INSTALL_SQL) $(UPGRADE_SQL)

# ---- pg_regress ------------------------------------------------------------------------------------------------------
# Every file of sql/ is a test; the extension is created before the first.
REGRESS := $(sort $(basename $(notdir $(wildcard sql/*.sql))))
REGRESS_OPTS = --load-extension=apibase --inputdir=.

# ---- compiler --------------------------------------------------------------------------------------------------------
# The server's headers are system headers here: their warnings are not ours. fmgr's calling convention makes unused
# parameters normal. The version is the only thing handed in, so that builds are reproducible.
SERVER_INCLUDE := $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)
PG_CPPFLAGS = -Isrc -Ibuild/gen -DAPIBASE_VERSION='"$(EXTVERSION)"' -isystem $(SERVER_INCLUDE) $(if $(HIREDIS_TLS),-DAPIBASE_REDIS_TLS)

# TLS to Redis, where hiredis has it (not on Debian 12).
HIREDIS_TLS := $(shell pkg-config --exists hiredis_ssl libssl 2>/dev/null && echo yes)

# Names that the files of a module share are hidden from other libraries. (From 16 on PGXS hides them too.)
SHLIB_LINK = $(if $(HIREDIS_TLS),-lhiredis_ssl) -lhiredis $(if $(HIREDIS_TLS),-lssl -lcrypto) $(if $(filter linux,$(PORTNAME)),-Wl$(comma)--version-script=src/exports.map)
comma = ,
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers $(if $(WERROR),-Werror)

EXTRA_CLEAN = build/gen build/server.stamp $(SOURCES:.c=.d) results regression.diffs regression.out output_iso

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
include $(PGXS)

# ---- rules -----------------------------------------------------------------------------------------------------------
# PGXS tracks no headers. Each compilation writes the headers it read beside the object, for the object and its bitcode.
$(OBJS): override CFLAGS += -MMD -MP -MF $(@:.o=.d) -MT $@ -MT $(@:.o=.bc)
$(GENERATED_OBJS): override CFLAGS += -Wno-sign-compare -Wno-unused-function
-include $(OBJS:.o=.d)

# What was built for another server, another version of the extension or other modules is built again.
$(OBJS) $(OBJS:.o=.bc): build/server.stamp apibase.control | $(GENERATED_C) $(GENERATED_H)
build/server.stamp: FORCE
	@mkdir -p build
	@{ $(PG_CONFIG) --version; echo "$(SERVER_INCLUDE) $(APIBASE_MODULES)"; } > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

build/gen/%.c build/gen/%.h: src/%.y
	@mkdir -p $(@D)
	$(BISON) -Wall -Werror -Wno-deprecated -d -o $(basename $@).c $<
build/gen/%.c: src/%.l
	@mkdir -p $(@D)
	$(FLEX) -o $@ $<

script_head = printf '%s\n' '\echo Use "$(1)" to load this file. \quit'
$(INSTALL_SQL): $(SQL_PARTS) apibase.control Makefile build/server.stamp
	@mkdir -p build
	{ $(call script_head,CREATE EXTENSION apibase); cat $(SQL_PRE); \
	  sed 's/^CREATE OR REPLACE /CREATE /' $(SQL_FUNCTIONS); cat $(SQL_POST); } > $@.new
	mv $@.new $@

# A delta is split by a line \functions; a line \include <module>/<file> brings a whole part of a module that is new.
$(UPGRADE_SQL): build/%.sql: src/upgrade/%.delta.sql $(SQL_PARTS) src/upgrade/upgrade.awk Makefile build/server.stamp
	@mkdir -p build
	{ $(call script_head,ALTER EXTENSION apibase UPDATE); \
	  awk -v functions='$(SQL_FUNCTIONS)' -v comments='$(SQL_POST)' -f src/upgrade/upgrade.awk $<; } > $@.new
	mv $@.new $@

.PHONY: FORCE dist lint format
FORCE:

# The release archive: what git has at HEAD, nothing else.
dist:
	@mkdir -p build
	git archive --format=zip --prefix=apibase-$(EXTVERSION)/ -o build/apibase-$(EXTVERSION).zip HEAD
	@echo "build/apibase-$(EXTVERSION).zip"

# What is laid out by scripts/format, and judged by scripts/lint. Both read the types from the built library.
C_FILES = $(shell find src test/apibase_test test/bench -name '*.[ch]' | sort)
lint: all
	@scripts/install-deps lint
	@scripts/lint
format: all
	@scripts/install-deps lint
	@scripts/format $(shlib) $(C_FILES)

# Test targets and what `make run` starts.
include test/test.mk
include examples/catalogue/catalogue.mk
