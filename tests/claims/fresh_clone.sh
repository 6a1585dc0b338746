#!/usr/bin/env bash
# The claim `fresh_clone`: from a fresh clone, with Rust, cc, c++ and make, `cargo run --release -- demo` exits 0 with every
# digest right and `cargo test` passes; with a space in the path, CARGO_TARGET_DIR set, HOME and XDG_RUNTIME_DIR unset.
#
#     tests/claims/fresh_clone.sh [FOLDER]      default: a new folder, removed at the end
#
# Only what is committed is cloned. The build starts from nothing, so it takes some minutes.
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
folder=${1:-$(mktemp -d "${TMPDIR:-/tmp}/forebay-fresh-XXXXXX")}
[ $# -gt 0 ] || trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder"

# Where rustup and cargo keep their things, which HOME says for most.
export CARGO_HOME=${CARGO_HOME:-${HOME:-/root}/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-${HOME:-/root}/.rustup}
unset HOME XDG_RUNTIME_DIR CARGO_TARGET_DIR FOREBAY_PYTHON CI

# A path with the tools of the claim and a plain Unix, without Python, CMake, pkg-config and the like.
tools="$folder/tools"
mkdir -p "$tools"
for program in /usr/bin/* /bin/*; do
    case ${program##*/} in
    python* | pip* | cmake* | ctest* | cpack* | pkg-config* | pkgconf* | clang* | autoconf* | automake* | libtool* | ninja* | ccache*) ;;
    *) ln -sf "$program" "$tools/" ;;
    esac
done
cargo=$(dirname "$(command -v cargo)")

clone="$folder/a clone"
git clone --quiet "$source" "$clone"
cd "$clone"
export PATH="$cargo:$tools" CARGO_TARGET_DIR="$folder/a target"
began=$SECONDS
cargo run --release --locked -- demo | tee "$folder/demo.txt"
demo_s=$((SECONDS - began))
if ! cargo test --locked >"$folder/test.txt" 2>&1; then
    tail -100 "$folder/test.txt"
    exit 1
fi
passed=$(awk '/^test result: ok/ { n += $4 } END { print n }' "$folder/test.txt")
[ -z "$(git status --porcelain)" ] || { echo "the build or the tests left something behind:"; git status --short; exit 1; }
echo "fresh_clone measured: demo exit 0 after $demo_s s, $passed tests passed, tree clean; bound: both succeed"
