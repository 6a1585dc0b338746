//! Version.
//!
//! FOREBAY_VERSION and its parts say what the program was compiled with, the functions what it runs with. They may
//! differ: a shared library of the same FOREBAY_ABI serves programs compiled with any version of it.

use std::ffi::c_char;

use crate::ffi::arg;

/// The library's version, such as "0.1.0".
///
/// Any thread. The text lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn forebay_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The library's version as major * 1000000 + minor * 1000 + patch.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn forebay_version_number() -> u32 {
    let part = |text: &str| text.parse::<u32>().unwrap_or(0);
    part(env!("CARGO_PKG_VERSION_MAJOR")) * 1_000_000
        + part(env!("CARGO_PKG_VERSION_MINOR")) * 1_000
        + part(env!("CARGO_PKG_VERSION_PATCH"))
}

/// The number of the binary interface, as in the library's SONAME: 0 until version 1.0, then the major version.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn forebay_abi() -> u32 {
    0
}

/// Whether this build has a feature: 1 it has, 0 it has not or does not know the word.
///
/// Words: "broker" (brokers can be embedded), "curve" (connections can be encrypted), "ipc", "tcp", "inproc", "ipv6",
/// "store" (jobs can be kept on disk).
///
/// Any thread. A `feature` of NULL is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_has(feature: *const c_char) -> i32 {
    guard!(get 0, {
        // SAFETY: NULL or text, as the contract says.
        match unsafe { arg::text(feature, "feature") } {
            Ok("broker" | "ipc" | "tcp" | "inproc" | "ipv6" | "store") => 1,
            Ok("curve") => i32::from(crate::api::host::build().curve),
            _ => 0,
        }
    })
}
