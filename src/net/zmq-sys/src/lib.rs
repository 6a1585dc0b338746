//! The C interface of the bundled libzmq 4.3.5, as far as the `zmq` crate 0.10 and forebay use it.
//!
//! Declared by hand from the manual pages and `zmq.h`. Invariant: what is declared here is in the linked
//! library; the draft options at the end need a build with the draft interface, which the build script makes.

#![allow(non_camel_case_types)]
#![allow(missing_docs)]

use libc::{c_char, c_int, c_long, c_short, c_uchar, c_void, size_t};

pub mod errno;

/// A file descriptor as `ZMQ_FD` gives it.
pub type RawFd = c_int;

macro_rules! constants {
    ($($name:ident = $value:expr;)*) => { $(pub const $name: u32 = $value;)* };
}

// Socket types.
constants! {
    ZMQ_PAIR = 0; ZMQ_PUB = 1; ZMQ_SUB = 2; ZMQ_REQ = 3; ZMQ_REP = 4; ZMQ_DEALER = 5; ZMQ_ROUTER = 6;
    ZMQ_PULL = 7; ZMQ_PUSH = 8; ZMQ_XPUB = 9; ZMQ_XSUB = 10; ZMQ_STREAM = 11;
}

// Context options.
constants! {
    ZMQ_IO_THREADS = 1; ZMQ_MAX_SOCKETS = 2; ZMQ_THREAD_NAME_PREFIX = 9; ZMQ_BLOCKY = 70;
}

// Socket options.
constants! {
    ZMQ_AFFINITY = 4; ZMQ_ROUTING_ID = 5; ZMQ_SUBSCRIBE = 6; ZMQ_UNSUBSCRIBE = 7; ZMQ_RATE = 8;
    ZMQ_RECOVERY_IVL = 9; ZMQ_SNDBUF = 11; ZMQ_RCVBUF = 12; ZMQ_RCVMORE = 13; ZMQ_FD = 14; ZMQ_EVENTS = 15;
    ZMQ_TYPE = 16; ZMQ_LINGER = 17; ZMQ_RECONNECT_IVL = 18; ZMQ_BACKLOG = 19; ZMQ_RECONNECT_IVL_MAX = 21;
    ZMQ_MAXMSGSIZE = 22; ZMQ_SNDHWM = 23; ZMQ_RCVHWM = 24; ZMQ_MULTICAST_HOPS = 25; ZMQ_RCVTIMEO = 27;
    ZMQ_SNDTIMEO = 28; ZMQ_LAST_ENDPOINT = 32; ZMQ_ROUTER_MANDATORY = 33; ZMQ_TCP_KEEPALIVE = 34;
    ZMQ_TCP_KEEPALIVE_CNT = 35; ZMQ_TCP_KEEPALIVE_IDLE = 36; ZMQ_TCP_KEEPALIVE_INTVL = 37; ZMQ_IMMEDIATE = 39;
    ZMQ_XPUB_VERBOSE = 40; ZMQ_ROUTER_RAW = 41; ZMQ_IPV6 = 42; ZMQ_MECHANISM = 43; ZMQ_PLAIN_SERVER = 44;
    ZMQ_PLAIN_USERNAME = 45; ZMQ_PLAIN_PASSWORD = 46; ZMQ_CURVE_SERVER = 47; ZMQ_CURVE_PUBLICKEY = 48;
    ZMQ_CURVE_SECRETKEY = 49; ZMQ_CURVE_SERVERKEY = 50; ZMQ_PROBE_ROUTER = 51; ZMQ_REQ_CORRELATE = 52;
    ZMQ_REQ_RELAXED = 53; ZMQ_CONFLATE = 54; ZMQ_ZAP_DOMAIN = 55; ZMQ_ROUTER_HANDOVER = 56; ZMQ_TOS = 57;
    ZMQ_CONNECT_ROUTING_ID = 61; ZMQ_GSSAPI_SERVER = 62; ZMQ_GSSAPI_PRINCIPAL = 63;
    ZMQ_GSSAPI_SERVICE_PRINCIPAL = 64; ZMQ_GSSAPI_PLAINTEXT = 65; ZMQ_HANDSHAKE_IVL = 66; ZMQ_SOCKS_PROXY = 68;
    ZMQ_XPUB_NODROP = 69; ZMQ_XPUB_WELCOME_MSG = 72; ZMQ_STREAM_NOTIFY = 73; ZMQ_INVERT_MATCHING = 74; ZMQ_HEARTBEAT_IVL = 75;
    ZMQ_HEARTBEAT_TTL = 76; ZMQ_HEARTBEAT_TIMEOUT = 77; ZMQ_XPUB_VERBOSER = 78; ZMQ_CONNECT_TIMEOUT = 79;
    ZMQ_TCP_MAXRT = 80; ZMQ_THREAD_SAFE = 81; ZMQ_MULTICAST_MAXTPDU = 84; ZMQ_VMCI_BUFFER_SIZE = 85;
    ZMQ_VMCI_BUFFER_MIN_SIZE = 86; ZMQ_VMCI_BUFFER_MAX_SIZE = 87; ZMQ_VMCI_CONNECT_TIMEOUT = 88; ZMQ_USE_FD = 89;
    ZMQ_GSSAPI_PRINCIPAL_NAMETYPE = 90; ZMQ_GSSAPI_SERVICE_PRINCIPAL_NAMETYPE = 91; ZMQ_BINDTODEVICE = 92;
}

// Draft socket options.
constants! {
    ZMQ_ZAP_ENFORCE_DOMAIN = 93; ZMQ_IN_BATCH_SIZE = 101; ZMQ_OUT_BATCH_SIZE = 102; ZMQ_RECONNECT_STOP = 109;
    ZMQ_HELLO_MSG = 110; ZMQ_DISCONNECT_MSG = 111; ZMQ_HICCUP_MSG = 114;
}

// Message properties and send or receive flags.
constants! { ZMQ_MORE = 1; ZMQ_SRCFD = 2; ZMQ_DONTWAIT = 1; ZMQ_SNDMORE = 2; }

// Security mechanisms.
constants! { ZMQ_NULL = 0; ZMQ_PLAIN = 1; ZMQ_CURVE = 2; ZMQ_GSSAPI = 3; }

// Events of a socket monitor.
constants! {
    ZMQ_EVENT_CONNECTED = 1; ZMQ_EVENT_CONNECT_DELAYED = 1 << 1; ZMQ_EVENT_CONNECT_RETRIED = 1 << 2;
    ZMQ_EVENT_LISTENING = 1 << 3; ZMQ_EVENT_BIND_FAILED = 1 << 4; ZMQ_EVENT_ACCEPTED = 1 << 5;
    ZMQ_EVENT_ACCEPT_FAILED = 1 << 6; ZMQ_EVENT_CLOSED = 1 << 7; ZMQ_EVENT_CLOSE_FAILED = 1 << 8;
    ZMQ_EVENT_DISCONNECTED = 1 << 9; ZMQ_EVENT_MONITOR_STOPPED = 1 << 10;
    ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL = 1 << 11; ZMQ_EVENT_HANDSHAKE_SUCCEEDED = 1 << 12;
    ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL = 1 << 13; ZMQ_EVENT_HANDSHAKE_FAILED_AUTH = 1 << 14;
    ZMQ_EVENT_ALL = 0xFFFF;
}

// Poll events.
constants! { ZMQ_POLLIN = 1; ZMQ_POLLOUT = 2; ZMQ_POLLERR = 4; ZMQ_POLLPRI = 8; }

/// One frame. Opaque; only the functions below look inside. Payloads up to 33 bytes live in the struct itself,
/// so a data pointer is valid only while the struct stays where it is.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct zmq_msg_t {
    opaque: [c_uchar; 64],
}

impl Default for zmq_msg_t {
    fn default() -> Self {
        Self { opaque: [0; 64] }
    }
}

/// Called by libzmq, from any of its threads, when it needs the data no longer.
pub type zmq_free_fn = Option<unsafe extern "C" fn(data: *mut c_void, hint: *mut c_void)>;

/// One thing to wait for: a socket, or a descriptor when `socket` is null.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct zmq_pollitem_t {
    pub socket: *mut c_void,
    pub fd: RawFd,
    pub events: c_short,
    pub revents: c_short,
}

unsafe extern "C" {
    pub fn zmq_errno() -> c_int;
    pub fn zmq_strerror(errnum: c_int) -> *const c_char;
    pub fn zmq_version(major: *mut c_int, minor: *mut c_int, patch: *mut c_int);
    pub fn zmq_has(capability: *const c_char) -> c_int;

    pub fn zmq_ctx_new() -> *mut c_void;
    pub fn zmq_ctx_term(context: *mut c_void) -> c_int;
    pub fn zmq_ctx_shutdown(context: *mut c_void) -> c_int;
    pub fn zmq_ctx_set(context: *mut c_void, option: c_int, value: c_int) -> c_int;
    pub fn zmq_ctx_get(context: *mut c_void, option: c_int) -> c_int;

    pub fn zmq_msg_init(msg: *mut zmq_msg_t) -> c_int;
    pub fn zmq_msg_init_size(msg: *mut zmq_msg_t, size: size_t) -> c_int;
    pub fn zmq_msg_init_data(
        msg: *mut zmq_msg_t,
        data: *mut c_void,
        size: size_t,
        free: zmq_free_fn,
        hint: *mut c_void,
    ) -> c_int;
    pub fn zmq_msg_send(msg: *mut zmq_msg_t, socket: *mut c_void, flags: c_int) -> c_int;
    pub fn zmq_msg_recv(msg: *mut zmq_msg_t, socket: *mut c_void, flags: c_int) -> c_int;
    pub fn zmq_msg_close(msg: *mut zmq_msg_t) -> c_int;
    pub fn zmq_msg_data(msg: *mut zmq_msg_t) -> *mut c_void;
    pub fn zmq_msg_size(msg: *const zmq_msg_t) -> size_t;
    pub fn zmq_msg_more(msg: *const zmq_msg_t) -> c_int;
    pub fn zmq_msg_get(msg: *const zmq_msg_t, property: c_int) -> c_int;
    pub fn zmq_msg_gets(msg: *const zmq_msg_t, property: *const c_char) -> *const c_char;

    pub fn zmq_socket(context: *mut c_void, kind: c_int) -> *mut c_void;
    pub fn zmq_close(socket: *mut c_void) -> c_int;
    pub fn zmq_setsockopt(socket: *mut c_void, option: c_int, value: *const c_void, len: size_t) -> c_int;
    pub fn zmq_getsockopt(socket: *mut c_void, option: c_int, value: *mut c_void, len: *mut size_t) -> c_int;
    pub fn zmq_bind(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    pub fn zmq_connect(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    pub fn zmq_unbind(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    pub fn zmq_disconnect(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    pub fn zmq_send(socket: *mut c_void, data: *const c_void, len: size_t, flags: c_int) -> c_int;
    pub fn zmq_recv(socket: *mut c_void, data: *mut c_void, len: size_t, flags: c_int) -> c_int;
    pub fn zmq_socket_monitor(socket: *mut c_void, endpoint: *const c_char, events: c_int) -> c_int;

    pub fn zmq_poll(items: *mut zmq_pollitem_t, count: c_int, timeout_ms: c_long) -> c_int;
    pub fn zmq_proxy(frontend: *mut c_void, backend: *mut c_void, capture: *mut c_void) -> c_int;
    pub fn zmq_proxy_steerable(
        frontend: *mut c_void,
        backend: *mut c_void,
        capture: *mut c_void,
        control: *mut c_void,
    ) -> c_int;

    pub fn zmq_z85_encode(dest: *mut c_char, data: *const u8, len: size_t) -> *mut c_char;
    pub fn zmq_z85_decode(dest: *mut u8, text: *const c_char) -> *mut u8;
    pub fn zmq_curve_keypair(z85_public: *mut c_char, z85_secret: *mut c_char) -> c_int;
    pub fn zmq_curve_public(z85_public: *mut c_char, z85_secret: *const c_char) -> c_int;
}

// Ours, not libzmq's: see src/watch.c.
unsafe extern "C" {
    /// Has `fd` closed in every forked child. Any thread; nothing has to be undone when it is closed here.
    pub safe fn forebay_zmq_close_in_child(fd: c_int);
    /// Takes that back for the number `fd`. Any thread.
    pub safe fn forebay_zmq_keep_in_child(fd: c_int);
    /// Closes what libzmq and the call above have open.
    ///
    /// # Safety
    /// Only in a forked child, before anything there uses a socket of this library.
    pub fn forebay_zmq_close_inherited();
    /// Why the last connect on a descriptor of this number failed: an `errno`, 0 if it did not. Asking clears it.
    pub safe fn forebay_zmq_connect_error(fd: c_int) -> c_int;
}
