//! Right answers from many workers to one client, and to many threads on one handle.

use support::{Process, SOON, run};

use crate::claim;

/// 1,000 random squares through one C client over five workers in a mix of C and C++.
#[test]
fn thousand_squares() {
    let stage = support::stage!();
    let programs = ["examples-c/square_worker", "examples-cpp/square_worker"];
    let _workers: Vec<Process> =
        (0..5).map(|i| Process::start(&mut stage.example(programs[i % 2]))).collect();
    stage.wait_for_workers("square", 5);

    let client = run(stage.example("examples-c/square_client").arg("1000"), SOON * 2);
    claim("thousand_squares", client.text().trim(), "1000 of 1000 squares right, by 5 workers");
    assert_eq!(client.text(), "1000 of 1000 squares right, by 5 workers\n");
}

/// Eight threads on one client handle, 200 calls each.
#[test]
fn eight_threads() {
    let stage = support::stage!();
    let _worker = Process::start(stage.example("examples-c/threads").args(["worker", "2"]));
    stage.wait_for_workers("reverse", 1);

    let mut client = stage.example("examples-c/threads");
    let client = run(client.args(["client", "8", "200"]), SOON * 2);
    claim("eight_threads", client.text().trim(), "1600 of 1600 answers right, from 8 threads");
    assert_eq!(client.text(), "1600 of 1600 answers right, from 8 threads\n");
}
