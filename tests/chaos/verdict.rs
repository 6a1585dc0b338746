//! The end of a campaign: everybody finishes, what is left is accounted for, and everything is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use support::{SOON, json_lines, run};

use crate::cast::{CLIENTS, Cast, PATIENCE};
use crate::faults::Fault;
use crate::ledger::{Job, Name};
use crate::say;

/// How long clients may take to collect and acknowledge everything.
const FINISH: Duration = Duration::from_secs(180);

/// No more faults: clients collect what they are owed and end, the broker comes to rest, and what it still holds is a job
/// whose client was killed before it heard of the id; such jobs are collected too. Then nothing may be left, in the broker
/// and in its store.
pub(crate) fn settle(cast: &mut Cast) {
    for client in 0..CLIENTS {
        finish(cast, client);
    }
    cast.wait_until("the last job's end", |cast| cast.status()["jobs"] == 0);
    let unheard = unheard(cast);
    say(format!("{} jobs whose client was killed before it heard of their ids", unheard.len()));
    for client in 0..CLIENTS {
        cast.start_client(client, "idle");
        let process = cast.clients[client].process.as_mut().expect("it was started");
        for ((_, seq), id) in unheard.iter().filter(|((of, _), _)| *of == client) {
            process.write(format!("adopt {seq} {id}\n").as_bytes());
        }
        finish(cast, client);
    }
    drop_quarantined(cast);
    cast.wait_until("nothing left in the broker", |cast| is_empty(cast, &cast.status()));
    cast.workers.iter_mut().for_each(|worker| worker.kill());
    stop_broker(cast);
    let mut check = cast.cli(&["store", "check"]);
    let said = run(check.arg(cast.store()), SOON).success().text();
    say(format!("store check: {}", said.trim()));
    cast.start_broker();
    let status = cast.status();
    assert!(is_empty(cast, &status), "after one more start: {status}");
    stop_broker(cast);
}

/// Ends a client's input, and waits until it is done.
fn finish(cast: &mut Cast, client: usize) {
    let mut process = cast.clients[client].process.take().expect("it runs");
    process.close_stdin();
    let said = process.wait(FINISH).success().text();
    assert!(said.ends_with("finished\n"), "{said}");
    cast.ledger.read();
    cast.check();
}

fn stop_broker(cast: &mut Cast) {
    cast.broker.process.take().expect("it runs").stop(SOON).success();
}

/// Nothing runs, nothing waits, no result is kept; and each id that a client made is remembered, and perhaps those of the
/// library's that it named when it submitted again, but no other.
fn is_empty(cast: &Cast, status: &Value) -> bool {
    let named = cast.ledger.all().filter(|((client, _), _)| client % 2 == 1).count() as u64;
    let remembered = status["counters"]["tombstones"].as_u64().expect("a number");
    status["jobs"] == 0
        && status["leases"] == 0
        && status["results_kept"] == 0
        && (named..=named + cast.ledger.named_later).contains(&remembered)
}

/// What the broker holds when every client has what it was owed. Each must be a job that its client meant to submit, under
/// an id the library made, and have no OK.
fn unheard(cast: &mut Cast) -> Vec<(Name, String)> {
    cast.start_client(0, "idle");
    let mut process = cast.clients[0].process.take().expect("it was started");
    process.write(b"list\n");
    process.line_where("the end of the list", PATIENCE, |line| line == "listed");
    process.close_stdin();
    let said = process.wait(FINISH).success().text();
    let pages: String = said
        .lines()
        .filter_map(|line| line.strip_prefix("list "))
        .fold(String::new(), |all, page| all + page + "\n");
    let jobs =
        json_lines(&pages).into_iter().flat_map(|page| page["jobs"].as_array().cloned().unwrap_or_default());
    let mut unheard = Vec::new();
    for job in jobs {
        let id = job["id"].as_str().expect("an id");
        let name = cast.ledger.name_of(id);
        let known = name.map(|name| (name, cast.ledger.job(name)));
        match known {
            Some((name, known)) if !known.is_acknowledged && name.0 % 2 == 0 => {
                unheard.push((name, id.to_owned()));
            }
            Some((_, known)) if is_quarantined(known) && job["outcome"] == "QUARANTINED" => {}
            _ => cast.ledger.wrong.push(format!("the broker holds what nobody is owed: {job}; {known:?}")),
        }
    }
    cast.check();
    unheard
}

fn is_quarantined(job: &Job) -> bool {
    job.outcome.as_deref().is_some_and(|outcome| outcome.starts_with("QUARANTINED"))
}

/// Jobs that took two workers down wait for a person, whoever was told of them.
fn drop_quarantined(cast: &mut Cast) {
    let quarantined = cast.ledger.all().filter(|(_, job)| is_quarantined(job));
    let ids: Vec<String> = quarantined.filter_map(|(_, job)| job.id.clone()).collect();
    for id in ids {
        run(&mut cast.cli(&["quarantine", "drop", &id]), SOON).success();
    }
}

/// Counts, and holds the counts against each other.
pub(crate) fn judge(cast: &Cast, faults: &BTreeMap<Fault, u64>) {
    let ledger = &cast.ledger;
    let (mut submitted, mut without) = (0, Vec::new());
    for (name, job) in ledger.all() {
        // A number whose job no broker has seen: its client was killed before, or while it said so.
        let is_own = name.0 % 2 == 1;
        submitted += u64::from(job.id.is_some());
        if (is_own || job.is_acknowledged || job.id.is_some()) && job.outcome.is_none() {
            without.push(name);
        }
    }
    let losses: u64 = faults.iter().map(|(fault, times)| fault.losses_max() * times).sum();
    let ended: u64 = ledger.told.iter().sum();
    say(format!("faults: {faults:?}"));
    say(format!("submissions not taken at once: {:?}", ledger.refused));
    say(format!(
        "chaos measured: {} cycles, {} acknowledged, {} executions of {submitted} jobs, {} late answers refused, {} outcomes told \
         again, {} quarantined, {} lost, {} with two outcomes, {:.0} s; bound: 0 lost, 0 with two outcomes, at most {} quarantined",
        faults.values().sum::<u64>(),
        ledger.acknowledged(),
        ledger.starts,
        ledger.late,
        ledger.told_again,
        ledger.quarantined,
        ledger.lost + without.len() as u64,
        ledger.double,
        cast.began.elapsed().as_secs_f64(),
        losses / 2,
    ));
    assert!(without.is_empty(), "jobs without an outcome: {without:?}");
    assert_eq!((ledger.lost, ledger.double), (0, 0));
    assert_eq!(ended, submitted, "jobs that ended, and jobs that were submitted");
    assert!(ledger.starts >= submitted - ledger.quarantined, "every job was executed");
    assert!(ledger.quarantined <= losses / 2, "two workers have to vanish for each quarantined job");
}
