//! The plugin that verifies signatures, on keys and signatures that the `openssl` program makes.

use std::path::Path;

use support::{Broker, Finished, SOON, binary, command, run, skip};

use crate::rig::{self, Host};

/// A scheme, what makes a key for it, and how that signs.
type Scheme = (&'static str, &'static [&'static str], &'static [&'static str]);

const SCHEMES: [Scheme; 4] = [
    ("rsa-pkcs1", &["-algorithm", "RSA"], &["-digest", "sha256"]),
    ("rsa-pss", &["-algorithm", "RSA"], &["-digest", "sha256", "-pkeyopt", "rsa_padding_mode:pss"]),
    ("ecdsa", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], &["-digest", "sha256"]),
    ("ed25519", &["-algorithm", "ed25519"], &[]),
];

const MESSAGE: &str = "the quick brown fox";

fn openssl(folder: &Path, arguments: &[&str]) -> Finished {
    run(command("openssl").current_dir(folder).args(arguments), SOON).success()
}

/// A public key of a scheme, and its signature of the message in base64.
fn signed(folder: &Path, (name, key, how): Scheme) -> (String, String) {
    let (private, signature) = (format!("{name}.pem"), format!("{name}.sig"));
    openssl(folder, &[&["genpkey", "-out", &private][..], key].concat());
    let public = openssl(folder, &["pkey", "-in", &private, "-pubout"]).text();
    let sign = ["pkeyutl", "-sign", "-rawin", "-inkey", &private, "-in", "message", "-out", &signature];
    openssl(folder, &[&sign[..], how].concat());
    (public, openssl(folder, &["base64", "-A", "-in", &signature]).text().trim().to_owned())
}

#[test]
fn signatures_of_four_kinds_are_verified() {
    if !has_openssl() {
        return;
    }
    let broker = Broker::start(binary!());
    let folder = broker.folder().path();
    std::fs::write(folder.join("message"), MESSAGE).expect("a file");
    let plugins = rig::examples(&["libverify.so"]);
    let host = Host::start(
        &broker,
        &["--load", &plugins.join("libverify.so").display().to_string(), "--slots", "2"],
    );
    assert_eq!(host.ready(), "2 slots serve verify");
    let verify = |message: &str, scheme: &str, key: &str, signature: &str| {
        let mut asked =
            broker.cli(&["call", "verify", "--data", message, "--header", &format!("scheme={scheme}")]);
        asked.args(["--header", &format!("key={key}"), "--header", &format!("signature={signature}")]);
        run(&mut asked, SOON)
    };
    let signed = SCHEMES.map(|scheme| (scheme.0, signed(folder, scheme)));
    for (at, (scheme, (key, signature))) in signed.iter().enumerate() {
        assert_eq!(verify(MESSAGE, scheme, key, signature).success().text(), "valid", "{scheme}");
        assert_eq!(verify("another", scheme, key, signature).success().text(), "invalid", "{scheme}");
        let (_, (_, other)) = &signed[(at + 1) % signed.len()];
        assert_eq!(verify(MESSAGE, scheme, key, other).success().text(), "invalid", "{scheme}");
        let refused = verify(MESSAGE, scheme, "no key", signature).code(1).error_text();
        assert!(refused.contains("bad_key"), "{refused}");
    }
    let (_, (rsa_key, rsa_signature)) = &signed[0];
    for (scheme, signature, code) in [
        ("ecdsa", &rsa_signature[..], "bad_key"),
        ("dsa", rsa_signature, "unknown_scheme"),
        ("rsa-pss", "@", "bad_signature"),
    ] {
        let refused = verify(MESSAGE, scheme, rsa_key, signature).code(1).error_text();
        assert!(refused.contains(code), "{scheme}: {refused}");
    }
    host.ends_well();
}

/// Whether there is a program to sign with and a library to verify with; without, the test is a skip by name.
fn has_openssl() -> bool {
    let succeeds = |program: &str, arguments: &[&str]| {
        command(program).args(arguments).output().is_ok_and(|said| said.status.success())
    };
    let has_library = succeeds("cc", &["-fsyntax-only", "-include", "openssl/evp.h", "-x", "c", "/dev/null"]);
    let has_both = has_library && succeeds("openssl", &["version"]);
    if !has_both {
        skip("no OpenSSL to make and verify signatures with; install it (Debian: openssl, libssl-dev)");
    }
    has_both
}
