//! Build script of the package: refuses a foreign ZeroMQ, and names the shared library for the loader.
//!
//! Invariant: a `libforebay.so` that was built carries CURVE, and its SONAME says which ABI it speaks.

use std::env;

/// The ABI number in the SONAME. It stays 0 until version 1.0, then it is the major version.
const SONAME: &str = "libforebay.so.0";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Set by the build script of src/net/zmq-sys (its `links` key is "zmq"), and by no other.
    if env::var_os("DEP_ZMQ_FOREBAY_CURVE").is_none() {
        println!(
            "cargo::error=forebay needs its own zmq-sys crate (libzmq 4.3.5 with CURVE, from src/net/zmq-sys), \
             but cargo chose another one. A [patch] section does not reach dependents: copy \
             `[patch.crates-io] zmq-sys = {{ path = \".../forebay/src/net/zmq-sys\" }}` into the Cargo.toml at \
             the root of your own workspace."
        );
        return;
    }
    let target_os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if matches!(target_os.as_str(), "linux" | "android" | "freebsd" | "netbsd" | "openbsd") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    }
}
