//! Error numbers as libzmq reports them: the system's own, and libzmq's for what a system may lack.

pub use libc::{
    EACCES, EADDRINUSE, EADDRNOTAVAIL, EAGAIN, EBUSY, ECONNREFUSED, EFAULT, EHOSTUNREACH, EINPROGRESS, EINTR,
    EINVAL, EMFILE, EMSGSIZE, ENAMETOOLONG, ENETDOWN, ENOBUFS, ENODEV, ENOENT, ENOMEM, ENOTCONN, ENOTSOCK,
    ENOTSUP, EPROTO, EPROTONOSUPPORT,
};

/// Base of libzmq's own numbers (`ZMQ_HAUSNUMERO` in `zmq.h`).
const OWN: i32 = 156_384_712;

pub const EFSM: i32 = OWN + 51;
pub const ENOCOMPATPROTO: i32 = OWN + 52;
pub const ETERM: i32 = OWN + 53;
pub const EMTHREAD: i32 = OWN + 54;

pub const ENOTSUP_ALT: i32 = OWN + 1;
pub const EPROTONOSUPPORT_ALT: i32 = OWN + 2;
pub const ENOBUFS_ALT: i32 = OWN + 3;
pub const ENETDOWN_ALT: i32 = OWN + 4;
pub const EADDRINUSE_ALT: i32 = OWN + 5;
pub const EADDRNOTAVAIL_ALT: i32 = OWN + 6;
pub const ECONNREFUSED_ALT: i32 = OWN + 7;
pub const EINPROGRESS_ALT: i32 = OWN + 8;
pub const ENOTSOCK_ALT: i32 = OWN + 9;
pub const EMSGSIZE_ALT: i32 = OWN + 10;
