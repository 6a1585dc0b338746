//! CURVE keys: making, reading, writing, and the list of those a broker lets in.
//!
//! Invariant: a key that exists is 40 characters of Z85 (ZeroMQ RFC 32); a secret is never shown and its file is
//! readable by its owner only.

use super::error::{Error, Result};
use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Characters of a key in Z85.
const KEY_LEN: usize = 40;

/// A public key as 40 characters of Z85.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey(String);

/// A secret key as 40 characters of Z85. Wiped when dropped; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(String);

/// Both halves of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// What others may know.
    pub public: PublicKey,
    /// What they may not.
    pub secret: SecretKey,
}

/// Keys of a broker's TCP addresses.
#[derive(Debug, Clone)]
pub struct ServerCurve {
    /// The broker's own key.
    pub keys: KeyPair,
    /// Whom it lets in.
    pub allowed: Allowed,
}

/// Keys of a connection to a broker's TCP address.
#[derive(Debug, Clone)]
pub struct ClientCurve {
    /// The broker must hold the secret half of this.
    pub broker_key: PublicKey,
    /// Who we are. Made for the occasion when the broker lets anyone in.
    pub keys: KeyPair,
}

/// Which clients' keys a broker takes.
#[derive(Debug, Clone)]
pub enum Allowed {
    /// Any key: encrypted, but open to whoever knows the broker's public key.
    Anyone,
    /// Those in the list; an empty list lets nobody in.
    Listed(std::sync::Arc<KeyList>),
}

impl PublicKey {
    /// Reads 40 characters of Z85.
    pub fn parse(text: &str) -> Result<Self> {
        check_key(text, "public key").map(|()| Self(text.to_owned()))
    }

    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self> {
        zmq::z85_encode(bytes)
            .map(Self)
            .map_err(|error| Error::denied(format!("a key cannot be written: {error}")))
    }

    /// The 40 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SecretKey {
    /// Reads 40 characters of Z85.
    pub fn parse(text: &str) -> Result<Self> {
        // Not quoted in the error.
        check_key(text, "secret key").map(|()| Self(text.to_owned()))
    }

    /// The 40 characters.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        for byte in &mut bytes {
            // SAFETY: a byte of our own vector; volatile, so that it is not optimised away.
            unsafe { std::ptr::write_volatile(byte, 0) };
        }
    }
}

fn check_key(text: &str, what: &str) -> Result<()> {
    if text.len() != KEY_LEN {
        return Err(Error::denied(format!(
            "a {what} has {KEY_LEN} characters, this has {}; `forebay keygen` makes one",
            text.len()
        )));
    }
    let is_z85 = |byte: u8| byte.is_ascii_alphanumeric() || b".-:+=^!/*?&<>()[]{}@%$#".contains(&byte);
    let mut padded = [0u8; KEY_LEN + 1];
    padded[..KEY_LEN].copy_from_slice(text.as_bytes());
    let mut key = [0u8; 32];
    // libzmq takes characters outside the alphabet for others, but notices groups that are too large.
    // SAFETY: 40 characters with a NUL behind them decode into 32 bytes.
    let is_key = text.bytes().all(is_z85)
        && !unsafe { zmq_sys::zmq_z85_decode(key.as_mut_ptr(), padded.as_ptr().cast()) }.is_null();
    if is_key {
        return Ok(());
    }
    Err(Error::denied(format!("a {what} is written in Z85, this is not; `forebay keygen` makes one")))
}

impl KeyPair {
    /// A fresh pair.
    pub fn generate() -> Result<Self> {
        let pair = zmq::CurveKeyPair::new()
            .map_err(|error| Error::denied(format!("could not make a key: {error}")))?;
        let text = |key: &[u8]| {
            zmq::z85_encode(key).map_err(|error| Error::denied(format!("a key cannot be written: {error}")))
        };
        Ok(Self { public: PublicKey(text(&pair.public_key)?), secret: SecretKey(text(&pair.secret_key)?) })
    }

    /// Writes a new file that only its owner can read. A file that is there is not overwritten.
    pub fn save(&self, path: &Path) -> Result<()> {
        let doing = format_args!("write the key file {}", path.display()).to_string();
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| Error::io(&doing, &error))?;
        let text = format!(
            "# A forebay key. The secret line is secret: whoever reads it can pose as its owner.\n\
             public {}\nsecret {}\n",
            self.public,
            self.secret.expose()
        );
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|error| Error::io(&doing, &error))
    }

    /// Reads what [`KeyPair::save`] wrote. Refuses a file that others can read.
    pub fn load(path: &Path) -> Result<Self> {
        let doing = format_args!("read the key file {}", path.display()).to_string();
        let found = std::fs::metadata(path).map_err(|error| Error::io(&doing, &error))?;
        if found.mode() & 0o077 != 0 {
            return Err(Error::denied(format!(
                "the key file {} has mode {:03o}, so others can read the secret in it; chmod 600 it",
                path.display(),
                found.mode() & 0o777
            )));
        }
        let text = std::fs::read_to_string(path).map_err(|error| Error::io(&doing, &error))?;
        let mut public = None;
        let mut secret = None;
        for line in lines(&text) {
            match line.split_once(char::is_whitespace) {
                Some(("public", key)) => public = Some(PublicKey::parse(key.trim())?),
                Some(("secret", key)) => secret = Some(SecretKey::parse(key.trim())?),
                _ => {}
            }
        }
        match (public, secret) {
            (Some(public), Some(secret)) => Ok(Self { public, secret }),
            _ => Err(Error::denied(format!(
                "the key file {} must have a line `public KEY` and a line `secret KEY`; `forebay keygen` makes one",
                path.display()
            ))),
        }
    }
}

/// Public keys of the clients and workers a broker lets in, from a file: a key a line, a name behind it if you
/// like; `# ` begins a comment line. The file is looked at again when it has changed, so keys come and go without a
/// restart; while it cannot be read the last good list holds.
#[derive(Debug)]
pub struct KeyList {
    path: PathBuf,
    read: Mutex<Read>,
}

#[derive(Debug)]
struct Read {
    stamp: Option<(i64, i64, u64, u64)>,
    names: HashMap<String, String>,
}

impl KeyList {
    /// Reads the file.
    pub fn open(path: &Path) -> Result<Self> {
        let stamp = stamp_of(path);
        let names = read_list(path)?;
        Ok(Self { path: path.to_owned(), read: Mutex::new(Read { stamp, names }) })
    }

    /// Whether the key is in the list.
    pub fn has(&self, key: &PublicKey) -> bool {
        let mut read = self.read.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let stamp = stamp_of(&self.path);
        if stamp.is_some()
            && stamp != read.stamp
            && let Ok(names) = read_list(&self.path)
        {
            *read = Read { stamp, names };
        }
        read.names.contains_key(key.as_str())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.read.lock().unwrap_or_else(std::sync::PoisonError::into_inner).names.len()
    }

    /// Whether nobody is let in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn stamp_of(path: &Path) -> Option<(i64, i64, u64, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.mtime(), found.mtime_nsec(), found.size(), found.ino()))
}

fn read_list(path: &Path) -> Result<HashMap<String, String>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::io(format_args!("read the key list {}", path.display()), &error))?;
    let mut names = HashMap::new();
    for line in lines(&text) {
        let (key, name) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let key = PublicKey::parse(key)
            .map_err(|error| Error::denied(format!("the key list {}: `{line}`: {error}", path.display())))?;
        names.insert(key.0, name.trim().to_owned());
    }
    Ok(names)
}

/// Lines that say something. A key may begin with `#`, so a comment needs a space behind it.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "#" && !line.starts_with("# "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("forebay-curve-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_key_file_comes_back_and_is_private() {
        let folder = scratch("file");
        let path = folder.join("broker.key");
        let pair = KeyPair::generate().unwrap();
        pair.save(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(KeyPair::load(&path).unwrap(), pair);
        assert!(pair.save(&path).is_err(), "a key file was overwritten");

        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(KeyPair::load(&path).unwrap_err().text().contains("chmod 600"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn bad_keys_are_refused_and_secrets_not_shown() {
        assert!(PublicKey::parse("short").unwrap_err().text().contains("40 characters"));
        for text in ["ü".repeat(20), " ".repeat(40), "#".repeat(40)] {
            assert!(PublicKey::parse(&text).unwrap_err().text().contains("Z85"), "{text}");
        }
        let pair = KeyPair::generate().unwrap();
        assert!(!format!("{pair:?}").contains(pair.secret.expose()));
    }

    #[test]
    fn a_key_list_is_read_again_when_it_changed() {
        let folder = scratch("list");
        let path = folder.join("clients");
        let (one, two) = (KeyPair::generate().unwrap().public, KeyPair::generate().unwrap().public);
        std::fs::write(&path, format!("# our clients\n\n{one} web server\n")).unwrap();
        let list = KeyList::open(&path).unwrap();
        assert!(list.has(&one) && !list.has(&two) && list.len() == 1);

        std::fs::write(&path, format!("{one}\n{two} another\n")).unwrap();
        assert!(list.has(&one) && list.has(&two));
        std::fs::write(&path, "nonsense\n").unwrap();
        assert!(list.has(&one), "a list that cannot be read took the last good one away");
        std::fs::write(&path, "").unwrap();
        assert!(!list.has(&one) && list.is_empty());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
