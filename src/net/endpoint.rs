//! Addresses: parsing, checking, and the default one.
//!
//! Invariant: an [`Endpoint`] that exists can be handed to libzmq; whatever is wrong with a text is said here, with
//! the text and what would be right.

use super::error::{Error, Result};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Longest path of an ipc address: what fits into the system's socket address.
pub const IPC_PATH_LEN_MAX: usize = 107;
/// Longest name of an inproc address.
pub const INPROC_NAME_LEN_MAX: usize = 200;

const FORMS: &str = "tcp://HOST:PORT, ipc://PATH or inproc://NAME";

/// What an address is for. A broker binds, clients and workers connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `*` as host and `0` or `*` as port are allowed.
    Bind,
    /// Host and port must be given.
    Connect,
}

/// A checked address. `Display` gives the text it came from, in its plainest form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A TCP address.
    Tcp {
        /// A name, an IPv4 address, an IPv6 address without brackets, or `*` for every interface.
        host: String,
        /// 0: any free port.
        port: u16,
    },
    /// A Unix socket.
    Ipc {
        /// Absolute, or relative to the working directory.
        path: PathBuf,
    },
    /// Inside this process only.
    Inproc {
        /// Any text.
        name: String,
    },
}

impl Endpoint {
    /// Reads one address.
    pub fn parse(text: &str, side: Side) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::address(format!("the endpoint is empty; write {FORMS}")));
        }
        if let Some(bad) = text.chars().find(|c| c.is_control()) {
            return Err(wrong(text, &format!("has the control character {bad:?}; write {FORMS}")));
        }
        let Some((transport, rest)) = text.split_once("://") else {
            return Err(match text.split_once(':') {
                Some((transport @ ("tcp" | "ipc" | "inproc"), _)) => {
                    wrong(text, &format!("needs two slashes after the colon: {transport}://..."))
                }
                _ => wrong(text, &format!("names no transport; write {FORMS}")),
            });
        };
        match transport {
            "tcp" => parse_tcp(text, rest, side),
            "ipc" => parse_ipc(text, rest),
            "inproc" => parse_inproc(text, rest),
            _ => Err(wrong(text, &format!("has the unknown transport `{transport}`; write {FORMS}"))),
        }
    }

    /// Reads a comma-separated list of at least one address. (So a path in it cannot hold a comma.)
    pub fn parse_list(text: &str, side: Side) -> Result<Vec<Self>> {
        text.split(',').map(|one| Self::parse(one, side)).collect()
    }

    /// The address used when none is given: `forebay/broker.ipc` in the user's private runtime folder, which is made
    /// if it is missing. Fails when the folder is not private to this user.
    pub fn default_ipc() -> Result<Self> {
        let path = runtime_folder()?.join("broker.ipc");
        parse_ipc(&format!("ipc://{}", path.display()), path.to_string_lossy().as_ref())
    }

    /// Whether only this host can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => {
                host == "localhost"
                    || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
                    || host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
            }
            Self::Ipc { .. } | Self::Inproc { .. } => true,
        }
    }

    /// Whether it is a TCP address: the only kind that needs, and gets, CURVE. The others are guarded by the file
    /// system or by the process.
    pub fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp { .. })
    }

    /// Whether the host is an IPv6 address, for which libzmq wants an option.
    pub(crate) fn is_ipv6(&self) -> bool {
        matches!(self, Self::Tcp { host, .. } if host.contains(':'))
    }

    /// The text libzmq binds. It looks up no names, so `localhost` becomes an address.
    pub(crate) fn bind_text(&self) -> String {
        match self {
            Self::Tcp { host, port } if *port == 0 => format!("tcp://{}:*", bind_host(host)),
            Self::Tcp { host, port } => format!("tcp://{}:{port}", bind_host(host)),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "tcp://{}:{port}", bracketed(host)),
            Self::Ipc { path } => write!(f, "ipc://{}", path.display()),
            Self::Inproc { name } => write!(f, "inproc://{name}"),
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn bind_host(host: &str) -> String {
    if host == "localhost" { Ipv4Addr::LOCALHOST.to_string() } else { bracketed(host) }
}

fn wrong(text: &str, why: &str) -> Error {
    Error::address(format!("the endpoint `{text}` {why}"))
}

fn parse_tcp(text: &str, rest: &str, side: Side) -> Result<Endpoint> {
    let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
        let Some((host, after)) = inner.split_once(']') else {
            return Err(wrong(text, "has `[` without `]`; an IPv6 address is written tcp://[::1]:5555"));
        };
        let address = host.split_once('%').map_or(host, |(address, _zone)| address);
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(wrong(
                text,
                &format!("has `{host}` in brackets, which is no IPv6 address like [::1]"),
            ));
        }
        (host, after.strip_prefix(':'))
    } else {
        match rest.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        }
    };
    if host.is_empty() {
        return Err(wrong(text, "has no host; write tcp://HOST:PORT, such as tcp://127.0.0.1:5555"));
    }
    let Some(port) = port else {
        return Err(wrong(text, &format!("has no port; write tcp://{}:5555", bracketed(host))));
    };
    if !rest.starts_with('[') {
        check_host(text, host, side)?;
    }
    let port = match (port, side) {
        ("*" | "0", Side::Bind) => 0,
        ("*" | "0", Side::Connect) => {
            return Err(wrong(text, "has no definite port; only a broker can listen on any free port"));
        }
        _ => match port.parse::<u16>() {
            Ok(number) if !port.starts_with('+') => number,
            _ => {
                return Err(wrong(
                    text,
                    &format!("has the port `{port}`; a port is a number from 1 to 65535"),
                ));
            }
        },
    };
    Ok(Endpoint::Tcp { host: host.to_owned(), port })
}

fn check_host(text: &str, host: &str, side: Side) -> Result<()> {
    if host == "*" {
        return match side {
            Side::Bind => Ok(()),
            Side::Connect => {
                Err(wrong(text, "has `*` as host, which means every interface; connect to one host"))
            }
        };
    }
    if host.contains(':') {
        return Err(wrong(text, &format!("has an IPv6 address without brackets; write tcp://[{host}]:PORT")));
    }
    match host.chars().find(|c| !c.is_alphanumeric() && !matches!(c, '.' | '-' | '_')) {
        Some(bad) => {
            Err(wrong(text, &format!("has `{bad}` in its host; write a host name or an IP address")))
        }
        None => Ok(()),
    }
}

fn parse_ipc(text: &str, path: &str) -> Result<Endpoint> {
    if path.is_empty() {
        return Err(wrong(text, "has no path; write ipc:///run/forebay/broker.ipc or a relative path"));
    }
    if path.starts_with('@') {
        return Err(wrong(text, "is an abstract name, which any user could connect to; write a path"));
    }
    if path == "*" || path.ends_with('/') {
        return Err(wrong(text, "names a folder or a pattern; write the path of a file to be made"));
    }
    if path.len() > IPC_PATH_LEN_MAX {
        return Err(wrong(
            text,
            &format!(
                "has a path of {} bytes; the system allows {IPC_PATH_LEN_MAX}, so use a shorter one",
                path.len()
            ),
        ));
    }
    Ok(Endpoint::Ipc { path: PathBuf::from(path) })
}

fn parse_inproc(text: &str, name: &str) -> Result<Endpoint> {
    if name.is_empty() {
        return Err(wrong(text, "has no name; write inproc://jobs, for one"));
    }
    if name.len() > INPROC_NAME_LEN_MAX {
        return Err(wrong(
            text,
            &format!("has a name of {} bytes; at most {INPROC_NAME_LEN_MAX} fit", name.len()),
        ));
    }
    Ok(Endpoint::Inproc { name: name.to_owned() })
}

/// The folder for this user's sockets: `$XDG_RUNTIME_DIR/forebay`, or `/tmp/forebay-UID` where there is none. Made
/// if missing; private to this user, or an error.
pub fn runtime_folder() -> Result<PathBuf> {
    let folder = match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        Some(base) if base.is_absolute() => base.join("forebay"),
        // SAFETY: cannot fail.
        _ => PathBuf::from(format!("/tmp/forebay-{}", unsafe { libc::geteuid() })),
    };
    private_folder(&folder)?;
    Ok(folder)
}

/// Makes `folder` with mode 0700 if it is missing, and makes sure that nobody else could have put things into it.
fn private_folder(folder: &Path) -> Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::io(format_args!("make the folder {}", folder.display()), &error)),
    }
    let found = std::fs::symlink_metadata(folder)
        .map_err(|error| Error::io(format_args!("look at the folder {}", folder.display()), &error))?;
    // SAFETY: cannot fail.
    let user = unsafe { libc::geteuid() };
    let fault = if found.file_type().is_symlink() {
        "is a symbolic link".to_owned()
    } else if !found.is_dir() {
        "is no folder".to_owned()
    } else if found.uid() != user {
        format!("belongs to user {}, not to user {user}", found.uid())
    } else if found.mode() & 0o077 != 0 {
        format!("has mode {:03o}, so others can reach into it", found.mode() & 0o777)
    } else {
        return Ok(());
    };
    Err(Error::denied(format!(
        "the folder {} {fault}; it must be a folder of this user's with mode 700 (remove it, or name an endpoint)",
        folder.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::super::error::ErrorKind;
    use super::*;

    #[test]
    fn good_addresses_are_read_and_written() {
        let long = format!("ipc:///{}", "x".repeat(IPC_PATH_LEN_MAX - 1));
        for (text, shown, bound) in [
            ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555"),
            ("tcp://broker.example-1.org:1", "tcp://broker.example-1.org:1", "tcp://broker.example-1.org:1"),
            ("tcp://[::1]:5555", "tcp://[::1]:5555", "tcp://[::1]:5555"),
            ("tcp://[fe80::1%eth0]:65535", "tcp://[fe80::1%eth0]:65535", "tcp://[fe80::1%eth0]:65535"),
            ("tcp://*:5555", "tcp://*:5555", "tcp://*:5555"),
            ("tcp://127.0.0.1:*", "tcp://127.0.0.1:0", "tcp://127.0.0.1:*"),
            ("tcp://localhost:0", "tcp://localhost:0", "tcp://127.0.0.1:*"),
            (" tcp://eth0:7 ", "tcp://eth0:7", "tcp://eth0:7"),
            ("ipc:///run/x.ipc", "ipc:///run/x.ipc", "ipc:///run/x.ipc"),
            ("ipc://x.ipc", "ipc://x.ipc", "ipc://x.ipc"),
            ("ipc://../a b/ü", "ipc://../a b/ü", "ipc://../a b/ü"),
            (&long, &long, &long),
            ("inproc://jobs", "inproc://jobs", "inproc://jobs"),
        ] {
            let endpoint = Endpoint::parse(text, Side::Bind).unwrap();
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(endpoint.bind_text(), bound);
        }
    }

    #[test]
    fn bad_addresses_name_the_fault_the_value_and_the_cure() {
        let long = format!("ipc:///{}", "x".repeat(IPC_PATH_LEN_MAX));
        for (text, side, words) in [
            ("", Side::Connect, vec!["empty", "tcp://HOST:PORT"]),
            ("  ", Side::Bind, vec!["empty"]),
            ("blah", Side::Connect, vec!["`blah`", "no transport", "ipc://PATH"]),
            ("localhost:5555", Side::Connect, vec!["`localhost:5555`", "no transport", "tcp://HOST:PORT"]),
            ("tpc://x:1", Side::Connect, vec!["`tpc://x:1`", "unknown transport `tpc`", "tcp://HOST:PORT"]),
            ("tcp:/x", Side::Connect, vec!["`tcp:/x`", "two slashes", "tcp://"]),
            ("ipc:x", Side::Connect, vec!["two slashes", "ipc://"]),
            ("tcp://x", Side::Connect, vec!["`tcp://x`", "no port", "tcp://x:5555"]),
            ("tcp://[::1]", Side::Connect, vec!["no port", "tcp://[::1]:5555"]),
            ("tcp://::1:5555", Side::Connect, vec!["brackets", "tcp://[::1]:PORT"]),
            ("tcp://[::1:5555", Side::Connect, vec!["without `]`"]),
            ("tcp://[x]:1", Side::Connect, vec!["`x`", "IPv6"]),
            ("tcp://:5555", Side::Connect, vec!["no host"]),
            ("tcp://x:", Side::Connect, vec!["port ``", "1 to 65535"]),
            ("tcp://x:65536", Side::Connect, vec!["`65536`", "1 to 65535"]),
            ("tcp://x:+1", Side::Connect, vec!["`+1`"]),
            ("tcp://x:0", Side::Connect, vec!["definite port"]),
            ("tcp://*:5555", Side::Connect, vec!["every interface"]),
            ("tcp://a;b:1", Side::Connect, vec!["`;`", "host name"]),
            ("tcp://a/b:1", Side::Bind, vec!["`/`"]),
            ("ipc://", Side::Bind, vec!["no path"]),
            ("ipc://@x", Side::Bind, vec!["abstract", "path"]),
            ("ipc:///tmp/", Side::Bind, vec!["folder"]),
            (&long, Side::Bind, vec!["108 bytes", "107"]),
            ("inproc://", Side::Bind, vec!["no name"]),
            ("ipc:///a\0b", Side::Bind, vec!["control character"]),
        ] {
            let error = Endpoint::parse(text, side).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Address);
            for word in words {
                assert!(error.text().contains(word), "{text:?}: {error} lacks {word:?}");
            }
        }
    }

    #[test]
    fn a_list_is_split_at_commas() {
        let list = Endpoint::parse_list("tcp://a:1, ipc://b", Side::Connect).unwrap();
        assert_eq!(list.iter().map(ToString::to_string).collect::<Vec<_>>(), ["tcp://a:1", "ipc://b"]);
        assert!(Endpoint::parse_list("tcp://a:1,", Side::Connect).is_err());
        assert!(Endpoint::parse_list("", Side::Connect).is_err());
    }

    #[test]
    fn only_this_host_reaches_local_addresses() {
        for (text, is_local) in [
            ("tcp://127.0.0.9:1", true),
            ("tcp://localhost:1", true),
            ("tcp://[::1]:1", true),
            ("tcp://0.0.0.0:1", false),
            ("tcp://*:1", false),
            ("ipc://x", true),
        ] {
            assert_eq!(Endpoint::parse(text, Side::Bind).unwrap().is_local(), is_local, "{text}");
        }
    }

    #[test]
    fn a_folder_others_can_reach_into_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let base = std::env::temp_dir().join(format!("forebay-endpoint-{}", std::process::id()));
        std::fs::create_dir_all(&base).unwrap();
        let folder = base.join("private");
        private_folder(&folder).unwrap();
        assert_eq!(std::fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        private_folder(&folder).unwrap();

        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = private_folder(&folder).unwrap_err();
        assert!(error.text().contains("mode 755"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Denied);

        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        let link = base.join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(private_folder(&link).unwrap_err().text().contains("symbolic link"));
        std::fs::write(base.join("file"), "").unwrap();
        assert!(private_folder(&base.join("file")).unwrap_err().text().contains("no folder"));
        std::fs::remove_dir_all(&base).unwrap();
    }
}
