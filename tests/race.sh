#!/usr/bin/env bash
# The race detector over everything: the library, Rust's standard library and libzmq are built with ThreadSanitizer, and the
# benchmark's broker, worker and client run jobs over each transport. One report fails it.
#
# First the proof that the detector is on: a planted race must be reported. The detector is part of the compiler but not
# of its stable surface, hence RUSTC_BOOTSTRAP; the standard library's sources come from `rustup component add rust-src`.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTC_BOOTSTRAP=1
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/race
mkdir -p "$CARGO_TARGET_DIR"
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
rustc=${RUSTC:-rustc}
target=$("$rustc" -vV | sed -n 's/^host: //p')

"$rustc" --edition 2024 -g -Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer \
    tests/race/planted.rs -o "$CARGO_TARGET_DIR/planted"
if "$CARGO_TARGET_DIR/planted" 2>"$reports/planted" || ! grep -q "data race" "$reports/planted"; then
    echo "the planted race went unnoticed" >&2
    exit 1
fi

# libzmq is compiled by a C++ compiler that knows the same detector.
RUSTFLAGS="-Zsanitizer=thread --cfg forebay_race" CXXFLAGS="-fsanitize=thread" \
    cargo build --quiet --locked -Zbuild-std --target "$target" --bin forebay

export TSAN_OPTIONS="log_path=$reports/race"
for run in "--transport ipc" "--transport tcp" "--durable"; do
    # shellcheck disable=SC2086
    "$CARGO_TARGET_DIR/$target/debug/forebay" bench --rounds 1 --in-flight 1,100 $run
done
if compgen -G "$reports/race.*" >/dev/null; then
    cat "$reports"/race.* >&2
    exit 1
fi
echo "race: no data race in three runs of broker, worker and client; the planted one was seen"
