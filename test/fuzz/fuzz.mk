# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds the fuzz targets in the current directory: make -f .../test/fuzz/fuzz.mk
# With clang, which has libFuzzer, and with all of the library, so that a target may begin anywhere.

here := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
top := $(here)/../..

CC = clang
packages = libndctl libdaxctl blkid ext2fs mount json-c zlib
sanitizers = address,undefined

targets := $(patsubst $(here)/%.c,%,$(wildcard $(here)/fuzz-*.c))
# The list of Makefile.am is the only one.
sources := $(shell sed -n 's/^\t\(lib\/[a-z0-9\/-]*\.c\).*/\1/p' $(top)/Makefile.am)
objects := $(sources:.c=.o)

CFLAGS = -O1 -gline-tables-only -fno-omit-frame-pointer -fno-sanitize-recover=all
ours = -std=gnu11 -Wall -Wextra -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
	-DPACKAGE_VERSION='"fuzz"' -I$(top)/lib $(shell pkg-config --cflags $(packages))

.DELETE_ON_ERROR:
all: $(targets)

$(targets): %: %.o lib.a
	$(CC) $(CFLAGS) -fsanitize=fuzzer,$(sanitizers) -o $@ $^ $(shell pkg-config --libs $(packages)) -lpthread

lib.a: $(objects)
	rm -f $@
	ar crs $@ $^

# Not led by their own branches.
%.o: $(here)/%.c $(here)/fuzz.mk
	$(CC) $(CFLAGS) $(ours) -fsanitize=$(sanitizers) -MMD -MP -c -o $@ $<

# Without trace-cmp, which takes up to half of the time and leads no further than the dictionaries.
lib/%.o: $(top)/lib/%.c $(here)/fuzz.mk
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(ours) -fsanitize=fuzzer-no-link,$(sanitizers) \
		-fno-sanitize-coverage=trace-cmp -MMD -MP -c -o $@ $<

-include $(targets:=.d) $(objects:.o=.d)
