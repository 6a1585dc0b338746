//! Errors of the socket layer as the failures everybody else speaks of.

use crate::model::{Failure, Status};
use crate::net::{Error, ErrorKind};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Address => Status::Address,
            ErrorKind::InUse => Status::InUse,
            ErrorKind::Io => Status::Io,
            ErrorKind::Unsupported => Status::Unsupported,
            ErrorKind::Denied => Status::Denied,
        };
        Failure::new(status, error.text())
    }
}
