//! What a digest has to be, computed here, by other code than the worker's.

use sha2::{Digest, Sha256};

/// The line that examples-c/digest.c answers for these bytes: SHA-256, line ends, words, bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    let words =
        bytes.split(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).filter(|word| !word.is_empty()).count();
    format!("{hex} {lines} {words} {}", bytes.len())
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn as_sha256sum_and_wc_say() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 0 0";
        assert_eq!(digest(b""), empty);
        let abc = "edeaaff3f1774ad2888673770c6d64097e391bc362d7d6fb34982ddf0efd18cb 1 1 4";
        assert_eq!(digest(b"abc\n"), abc);
        assert!(digest(b" two\x0bthree \r\n\n").ends_with(" 2 2 14"));
    }
}
