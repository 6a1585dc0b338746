//! Names of queues.

use std::fmt;
use std::sync::Arc;

use crate::model::limits::QUEUE_NAME_LEN_MAX;
use crate::model::status::{Failure, Status};

/// A valid queue name: 1 to 255 bytes of UTF-8 without control characters. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(Arc<str>);

impl QueueName {
    /// Checks `name`.
    ///
    /// # Errors
    /// `ERR_ARGUMENT`, saying what is wrong with it.
    pub fn new(name: &str) -> Result<Self, Failure> {
        let wrong = if name.is_empty() {
            "is empty".to_owned()
        } else if name.len() > QUEUE_NAME_LEN_MAX {
            format!("has {} bytes", name.len())
        } else if let Some(bad) = name.chars().find(|c| c.is_control()) {
            format!("has the control character U+{:04X}", bad as u32)
        } else {
            return Ok(QueueName(name.into()));
        };
        let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
        Err(Failure::new(
            Status::Argument,
            format!(
                "queue name \"{shown}\" {wrong}; a name has 1 to {QUEUE_NAME_LEN_MAX} bytes of UTF-8 without control characters"
            ),
        ))
    }

    /// Whether one was cloned from the other, which is seen without a look at the text. Equal names may have come apart.
    pub fn shares_with(&self, other: &QueueName) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for QueueName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(QueueName::new("bilder/größe ändern").is_ok());
        assert!(QueueName::new(&"x".repeat(255)).is_ok());
        for bad in ["", "a\nb", "\u{7f}"] {
            let failure = QueueName::new(bad).unwrap_err();
            assert_eq!(failure.status, Status::Argument, "{bad:?}");
        }
        assert!(QueueName::new(&"x".repeat(256)).unwrap_err().message.contains("256 bytes"));
    }
}
