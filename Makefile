# The usual words, for those who type make. Everything is cargo underneath.
#
#     make                          the binary and the library, optimised
#     make test                     all tests
#     make demo                     C workers on real files
#     make install PREFIX=/usr/local    bin, include and lib; DESTDIR is put before PREFIX

PREFIX ?= /usr/local
CARGO  ?= cargo

build:
	$(CARGO) build --release

test:
	$(CARGO) test

demo:
	$(CARGO) run --release --quiet -- demo

install:
	$(CARGO) run --release --quiet -- prefix '$(DESTDIR)$(PREFIX)'

uninstall:
	rm -f '$(DESTDIR)$(PREFIX)'/bin/forebay '$(DESTDIR)$(PREFIX)'/include/forebay.h \
	    '$(DESTDIR)$(PREFIX)'/include/forebay.hpp '$(DESTDIR)$(PREFIX)'/lib/libforebay.*

.PHONY: build test demo install uninstall
