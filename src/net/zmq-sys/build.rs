//! Compiles the bundled libzmq with libsodium and the configuration forebay needs.
//!
//! `zeromq-src` writes an empty platform file and defines little, which would mean wall-clock timers, sockets
//! leaking through exec, socket pairs for wake-ups and no credentials. The missing defines go to the compiler here.

use std::env;

/// Every Unix of the last decade has these.
const DEFINES_UNIX: &[&str] = &[
    "HAVE_CLOCK_GETTIME",
    "HAVE_IF_NAMETOINDEX",
    "HAVE_POSIX_MEMALIGN=1",
    "SODIUM_STATIC",
    "ZMQ_CACHELINE_SIZE=64",
    "ZMQ_HAVE_CRYPTO_BOX_EASY_FNS",
    "ZMQ_HAVE_IFADDRS",
    "ZMQ_HAVE_O_CLOEXEC",
    "ZMQ_HAVE_SO_KEEPALIVE",
    "ZMQ_HAVE_TCP_KEEPCNT",
    "ZMQ_HAVE_TCP_KEEPINTVL",
];

const DEFINES_LINUX: &[&str] = &[
    "HAVE_ACCEPT4",
    "ZMQ_HAVE_EVENTFD",
    "ZMQ_HAVE_EVENTFD_CLOEXEC",
    "ZMQ_HAVE_PTHREAD_SETNAME_2",
    "ZMQ_HAVE_PTHREAD_SET_AFFINITY",
    "ZMQ_HAVE_SOCK_CLOEXEC",
    "ZMQ_HAVE_SO_BINDTODEVICE",
    "ZMQ_HAVE_SO_PEERCRED",
    "ZMQ_HAVE_SO_PRIORITY",
    "ZMQ_HAVE_TCP_KEEPIDLE",
    "ZMQ_IOTHREAD_POLLER_USE_EPOLL_CLOEXEC",
];

const DEFINES_APPLE: &[&str] =
    &["ZMQ_HAVE_LOCAL_PEERCRED", "ZMQ_HAVE_PTHREAD_SETNAME_1", "ZMQ_HAVE_TCP_KEEPALIVE"];

const DEFINES_BSD: &[&str] = &["HAVE_ACCEPT4", "ZMQ_HAVE_SOCK_CLOEXEC", "ZMQ_HAVE_TCP_KEEPIDLE"];

/// Calls libzmq makes through src/watch.c.
const WATCHED: &[&str] = &["accept", "accept4", "connect", "getsockopt", "socket"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/watch.c");
    let target_os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let system = match target_os.as_str() {
        "linux" | "android" => DEFINES_LINUX,
        "macos" | "ios" => DEFINES_APPLE,
        "freebsd" => DEFINES_BSD,
        other => {
            println!(
                "cargo::error=forebay builds on Linux, macOS and FreeBSD; it does not know `{other}` yet."
            );
            return;
        }
    };
    let (Ok(sodium_include), Ok(sodium_lib)) = (env::var("DEP_SODIUM_INCLUDE"), env::var("DEP_SODIUM_LIB"))
    else {
        println!(
            "cargo::error=libsodium's headers were not found. forebay builds the bundled libsodium: unset \
             SODIUM_LIB_DIR and SODIUM_USE_PKG_CONFIG, and install `make` and a C compiler."
        );
        return;
    };

    // zeromq-src has no place for more defines, but its compiler reads this variable.
    let mut flags = env::var("CXXFLAGS").unwrap_or_default();
    for define in DEFINES_UNIX.iter().chain(system) {
        flags.push_str(" -D");
        flags.push_str(define);
    }
    for call in WATCHED {
        flags.push_str(&format!(" -D{call}=forebay_zmq_{call}"));
    }
    // GCC makes inline statics unique in the process: a library with one is never unloaded, and the name cannot be hidden.
    if cc::Build::new().cpp(true).is_flag_supported("-fno-gnu-unique").unwrap_or(false) {
        flags.push_str(" -fno-gnu-unique");
    }
    // SAFETY: a build script has one thread here.
    unsafe { env::set_var("CXXFLAGS", flags) };

    zeromq_src::Build::new()
        .enable_draft(true)
        .with_libsodium(Some(zeromq_src::LibLocation::new(sodium_lib, sodium_include)))
        .build();
    // After libzmq, which calls into it.
    cc::Build::new().file("src/watch.c").std("c11").warnings(true).compile("forebay_watch");
    // Read by forebay's build script: the proof that this crate is the one that was linked.
    println!("cargo::metadata=FOREBAY_CURVE=1");
}
