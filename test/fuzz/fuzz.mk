# fuzz.mk - builds the libFuzzer target build/fuzz/spec_fuzz; test/fuzz/run calls it from the top of the tree.
#
# The target's sources are compiled with coverage, AddressSanitizer and UndefinedBehaviorSanitizer. What they need of the
# server comes from the bitcode that the server's package installs (for its just-in-time compiler), turned into one
# archive; memory, errors and stack are replaced by backend_shim.c. The archive is the backend without its entry points and
# without the libraries that it uses, so symbols remain unresolved in code that no input can reach; a call of one would be
# a crash, and so be seen.

PG_CONFIG ?= pg_config
PGXS_MAKEFILE := $(dir $(shell $(PG_CONFIG) --pgxs))../Makefile.global
CLANG ?= $(shell sed -n 's/^CLANG *= *//p' $(PGXS_MAKEFILE))
SERVER_INCLUDE := $(shell $(PG_CONFIG) --includedir-server)
SERVER_LIB := $(shell $(PG_CONFIG) --pkglibdir)
BITCODE := $(SERVER_LIB)/bitcode/postgres
VERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" apibase.control)

OUT = build/fuzz
SOURCES = $(addprefix src/spec/spec_,node.c store.c parse.c io.c json.c)
SCANNER = $(OUT)/gen/spec/spec_scan.c
GRAMMAR = $(OUT)/gen/spec/spec_gram.c
OBJECTS = $(SOURCES:src/spec/%.c=$(OUT)/%.o) $(OUT)/spec_scan.o $(OUT)/spec_gram.o $(OUT)/spec_fuzz.o
SANITIZERS = -fsanitize=address,undefined -fno-sanitize-recover=undefined
COMPILE = $(CLANG) -g -O1 -fno-omit-frame-pointer -fno-strict-aliasing -ffunction-sections -fdata-sections \
	-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare -Wno-unused-but-set-variable -Wno-ignored-attributes \
	-DAPIBASE_VERSION='"$(VERSION)"' -D_GNU_SOURCE -Isrc -I$(OUT)/gen -Itest/fuzz -isystem $(SERVER_INCLUDE) -MMD -MP

all: $(OUT)/spec_fuzz

$(OUT)/spec_fuzz: $(OBJECTS) $(OUT)/backend_shim.o $(OUT)/libserver.a
	$(CLANG) -g $(SANITIZERS) -fsanitize=fuzzer -o $@ $(OBJECTS) $(OUT)/backend_shim.o $(OUT)/libserver.a \
	  $(SERVER_LIB)/libpgcommon.a $(SERVER_LIB)/libpgport.a -lm -no-pie -Wl,--gc-sections -Wl,-z,muldefs -Wl,--unresolved-symbols=ignore-all

$(OUT)/%.o: src/spec/%.c | $(SCANNER) $(GRAMMAR)
	$(COMPILE) $(SANITIZERS) -fsanitize=fuzzer-no-link -c -o $@ $<
$(OUT)/%.o: $(OUT)/gen/spec/%.c | $(SCANNER) $(GRAMMAR)
	$(COMPILE) -Wno-unused-function $(SANITIZERS) -fsanitize=fuzzer-no-link -c -o $@ $<
$(OUT)/spec_fuzz.o: test/fuzz/spec_fuzz.c | $(GRAMMAR)
	$(COMPILE) $(SANITIZERS) -c -o $@ $<
$(OUT)/backend_shim.o: test/fuzz/backend_shim.c
	@mkdir -p $(@D)
	$(COMPILE) -fsanitize=address -c -o $@ $<
-include $(wildcard $(OUT)/*.d)

$(SCANNER): src/spec/spec_scan.l
	@mkdir -p $(@D)
	flex -o $@ $<
$(GRAMMAR): src/spec/spec_gram.y
	@mkdir -p $(@D)
	bison -Wno-deprecated -d -o $@ $<

$(OUT)/libserver.a: $(BITCODE)
	@rm -rf $(OUT)/server; mkdir -p $(OUT)/server
	find $(BITCODE) -name '*.bc' -printf '%P\n' | xargs -P 2 -I{} sh -c 'o=$$(echo {} | tr / _); \
	  $(CLANG) -Wno-override-module -O0 -ffunction-sections -fdata-sections -c $(BITCODE)/{} -o $(OUT)/server/$${o%.bc}.o'
	ar rcs $@ $(OUT)/server/*.o
	objcopy -R .note.stapsdt $@
	rm -r $(OUT)/server

.PHONY: all
