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

/// One batch of so many jobs in one call, and all their results in another, each in its request's place. 1,000,000 when
/// optimised, else fewer.
#[test]
fn batches_in_their_order() {
    let stage = support::stage!();
    let _workers: Vec<Process> =
        (0..2).map(|_| Process::start(stage.program("claims_echo").arg("batch"))).collect();
    stage.wait_for_workers("batch", 2);
    let largest = if cfg!(debug_assertions) { "20000" } else { "1000000" };
    for n in ["0", "1", largest] {
        let client = run(stage.program("claims_batch").args([n, "batch"]), SOON * 20);
        let bound = format!("{n} accepted, {n} ended, {n} of {n} in their places");
        let said = client.success().text();
        claim("batches_in_their_order", said.trim().replace('\n', ", in "), &bound);
        assert_eq!(said.lines().next(), Some(bound.as_str()));
    }
}
