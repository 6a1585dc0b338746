//! Payloads and headers of every kind of size and byte, through a C client and a C worker.

use support::{Process, SOON, run};

const MIB: usize = 1 << 20;

/// Around the sizes at which something changes: nothing at all, libzmq's 33 bytes inside the message, the inline limit of
/// a packet, one frame, the first chunked payload, the largest.
const SIZES: [usize; 13] =
    [0, 1, 33, 34, 4_096, 4_097, 65_536, MIB - 1, MIB, MIB + 1, 2 * MIB + 1, 64 * MIB - 1, 64 * MIB];

/// Everything up to the limit comes back as it was; one byte more is refused by name, and the next one is served.
#[test]
fn payloads_of_every_size_come_back_as_they_were() {
    let tcp = ["--insecure", "--listen", "tcp://127.0.0.1:0"];
    for listen in [&[][..], &tcp[..]] {
        let stage = support::stage!(listen);
        let _worker = Process::start(stage.program("claims_echo").arg("echo"));
        stage.wait_for_workers("echo", 1);
        let mut sizes: Vec<usize> = SIZES.to_vec();
        sizes.extend([64 * MIB + 1, 5]);
        let mut client = stage.program("claims_payloads");
        let client = client.arg("echo").args(sizes.iter().map(ToString::to_string));
        let text = run(client, SOON * 8).success().text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), sizes.len(), "{text}");
        for (size, line) in sizes.iter().zip(lines) {
            if *size > 64 * MIB {
                assert!(line.starts_with(&format!("{size} refused ERR_TOO_LARGE ")), "{line}");
                assert!(line.contains(&(64 * MIB).to_string()), "it says what would be right: {line}");
            } else {
                assert_eq!(line, format!("{size} as it was"));
            }
        }
    }
}
