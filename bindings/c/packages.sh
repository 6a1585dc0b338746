#!/bin/sh
# Debian packages and a tarball out of a tree that `make install PREFIX=/usr DESTDIR=STAGE` has laid out.
#
#     bindings/c/packages.sh STAGE OUT
#
# libforebay0 has the shared library, libforebay-dev what programs are built with, forebay the command. Needs Debian's
# dpkg-dev and binutils; nothing of the system is touched.
set -eu
sources=$(cd "$(dirname "$0")/../.." && pwd)
stage=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$sources/Cargo.toml" | head -n 1)
architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

# take PACKAGE PATH...: moves files of the tree into a package.
take() {
    package=$1
    shift
    for path in "$@"; do
        mkdir -p "$work/$package/$(dirname "$path")"
        mv "$work/tree/$path" "$work/$package/$path"
    done
}

# needs PACKAGE FILE: what the file needs of the system, in Debian's words.
needs() {
    mkdir -p "$work/shlibs/debian"
    printf 'Source: forebay\n\nPackage: %s\nArchitecture: any\n' "$1" > "$work/shlibs/debian/control"
    (cd "$work/shlibs" && dpkg-shlibdeps -O "-e$work/$1/$2" 2>/dev/null) | sed -n 's/^shlibs:Depends=//p'
}

# package NAME SECTION DEPENDS DESCRIPTION: the description's further lines come from standard input.
package() {
    root=$work/$1
    mkdir -p "$root/DEBIAN" "$root/usr/share/doc/$1"
    cat "$sources/LICENSE-MIT" "$sources/LICENSE-APACHE" "$sources/THIRD-PARTY.md" > "$root/usr/share/doc/$1/copyright"
    gzip -9nc "$sources/CHANGELOG.md" > "$root/usr/share/doc/$1/changelog.gz"
    size=$(du -sk --exclude=DEBIAN "$root" | cut -f1)
    {
        printf 'Package: %s\nVersion: %s\nArchitecture: %s\n' "$1" "$version" "$architecture"
        printf 'Maintainer: The forebay authors <forebay@localhost>\nSection: %s\nPriority: optional\n' "$2"
        printf 'Installed-Size: %s\n' "$size"
        [ -z "$3" ] || printf 'Depends: %s\n' "$3"
        printf 'Description: %s\n' "$4"
        sed 's/^/ /'
    } > "$root/DEBIAN/control"
    (cd "$root" && find usr -type f -exec md5sum {} + | sort -k2) > "$root/DEBIAN/md5sums"
    chmod -R go=rX "$root"
    dpkg-deb --root-owner-group --build "$root" "$out/$1_${version}_$architecture.deb" >/dev/null
}

# The tarball has the very tree, as it is.
tar -C "$stage" --sort=name --owner=0 --group=0 --numeric-owner -czf "$out/forebay-$version-$architecture.tar.gz" usr

mkdir "$work/tree"
cp -a "$stage/usr" "$work/tree/"
(
    cd "$work/tree/usr"
    strip --strip-unneeded bin/forebay "lib/libforebay.so.$version"
    strip --strip-debug lib/libforebay.a
    chmod 644 "lib/libforebay.so.$version" lib/libforebay.a
    mv share/doc/forebay/circus.ini "$work"
    rm -r share/doc/forebay # each package has its own
    gzip -9n share/man/man1/*.1
)
take libforebay0 usr/lib/libforebay.so.0 "usr/lib/libforebay.so.$version"
take forebay usr/bin usr/share usr/lib/systemd
take libforebay-dev usr/include usr/lib
mkdir -p "$work/forebay/usr/share/doc/forebay"
mv "$work/circus.ini" "$work/forebay/usr/share/doc/forebay/"
[ -z "$(find "$work/tree" ! -type d)" ] || { echo "in no package:" >&2; find "$work/tree" ! -type d >&2; exit 1; }

mkdir -p "$work/libforebay0/DEBIAN"
echo "libforebay 0 libforebay0 (>= $version)" > "$work/libforebay0/DEBIAN/shlibs"
echo "activate-noawait ldconfig" > "$work/libforebay0/DEBIAN/triggers"
package libforebay0 libs "$(needs libforebay0 "usr/lib/libforebay.so.$version")" "job broker over ZeroMQ (library)" <<'TEXT'
Clients, workers and an embedded broker behind a C interface. ZeroMQ and
its cryptography are inside.
TEXT
package libforebay-dev libdevel "libforebay0 (= $version)" "job broker over ZeroMQ (development files)" <<'TEXT'
Headers for C and C++17, the static library, and what pkg-config and CMake
find them by.
TEXT
package forebay net "$(needs forebay usr/bin/forebay)" "job broker over ZeroMQ (broker and commands)" <<'TEXT'
Holds jobs and hands them to workers in any language. Jobs survive crashes
of clients, workers and, on disk, of the broker.
TEXT
