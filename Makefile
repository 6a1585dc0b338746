# The usual words, for those who type make. Everything is cargo underneath.
#
#     make                          the binary and the library, optimised
#     make test                     all tests
#     make demo                     C workers on real files
#     make install PREFIX=/usr/local    bin, include, lib and share; DESTDIR is put before PREFIX
#     make uninstall                what install has put there, and nothing else
#     make packages                 Debian packages and a tarball, in PACKAGES
#     make wheel                    the package for Python, dist/forebay-*.whl

PREFIX ?= /usr/local
CARGO  ?= cargo
PACKAGES ?= packages
PYTHON ?= python3

build:
	$(CARGO) build --release

test:
	$(CARGO) test

demo:
	$(CARGO) run --release --quiet -- demo

install:
	$(CARGO) run --release --quiet -- prefix '$(DESTDIR)$(PREFIX)'

uninstall:
	$(CARGO) run --release --quiet -- prefix --remove '$(DESTDIR)$(PREFIX)'

packages:
	stage=$$(mktemp -d) && trap 'rm -rf "$$stage"' EXIT && \
	    $(CARGO) run --release --quiet -- prefix "$$stage/usr" && \
	    bindings/c/packages.sh "$$stage" '$(PACKAGES)'

wheel: build
	$(PYTHON) bindings/python/build_wheel.py --out dist

.PHONY: build test demo install uninstall packages wheel
