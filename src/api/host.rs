//! What a program asks about the library and this machine before it talks to anybody: what is built in, keys,
//! whether an address is one.

use std::path::{Path, PathBuf};

use crate::model::Failure;
use crate::net::{self, Endpoint, KeyPair, Side};
use crate::wire::header::MAJOR;

/// What is built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The version of the wire protocol.
    pub protocol: u8,
    /// The version of libzmq.
    pub libzmq: String,
    /// Whether connections can be encrypted.
    pub curve: bool,
    /// Whether libzmq has its draft interface, through which lost connections are seen at once.
    pub draft: bool,
}

/// What is built in.
pub fn build() -> Build {
    let net::Build { version: (major, minor, patch), curve, draft } = net::build();
    Build { protocol: MAJOR, libzmq: format!("{major}.{minor}.{patch}"), curve, draft }
}

/// Makes a pair of CURVE keys and writes it to a new file that only its owner can read. Gives the public key, 40
/// characters of Z85.
///
/// # Errors
/// The file exists or cannot be written.
pub fn generate_key_file(path: &Path) -> Result<String, Failure> {
    let keys = KeyPair::generate()?;
    keys.save(path)?;
    Ok(keys.public.to_string())
}

/// The public key in such a file.
///
/// # Errors
/// The file cannot be read, is no key file, or can be read by others.
pub fn public_key_of(path: &Path) -> Result<String, Failure> {
    Ok(KeyPair::load(path)?.public.to_string())
}

/// The private folder of this user for sockets and the like.
///
/// # Errors
/// It cannot be made, or is another user's.
pub fn runtime_folder() -> Result<PathBuf, Failure> {
    Ok(net::runtime_folder()?)
}

/// Whether a comma-separated list of addresses can be connected to, as far as their text tells.
///
/// # Errors
/// `ERR_ADDRESS`, naming the fault and what would be right.
pub fn check_endpoint(text: &str) -> Result<(), Failure> {
    Endpoint::parse_list(text, Side::Connect)?;
    Ok(())
}
