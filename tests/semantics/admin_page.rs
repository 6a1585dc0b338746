//! docs/ADMIN.md names every command, its arguments and every field of its answer, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::hosts;
use crate::rig::{Rig, Worker};
use crate::runs;
use crate::stages;
use forebay::api::commands;
use forebay::core::jobs::IoDone;
use forebay::core::record::StoreStats;
use forebay::model::pipeline::{Step, StepKind};
use forebay::model::{Body, Headers, JobOptions, Status};
use forebay::wire::command::Retry;
use serde_json::Value;

const PAGE: &str = include_str!("../../docs/ADMIN.md");

/// One section of the page: its arguments, and the rows of its table of fields.
#[derive(Default)]
struct Section {
    arguments: Option<&'static str>,
    fields: Vec<(&'static str, &'static str)>,
}

fn sections() -> BTreeMap<&'static str, Section> {
    let mut sections: BTreeMap<&str, Section> = BTreeMap::new();
    let mut name = "";
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            name = heading;
            assert!(sections.insert(name, Section::default()).is_none(), "{name} stands there twice");
        } else if line.starts_with("## ") {
            name = "";
        }
        let Some(section) = sections.get_mut(name) else { continue };
        if let Some(arguments) = line.strip_prefix("Arguments: ") {
            section.arguments = Some(arguments.trim_matches('`'));
        }
        let mut cells = line.split('|').skip(1).map(str::trim);
        if let (true, Some(field), Some(kind)) = (line.starts_with('|'), cells.next(), cells.next())
            && (field.starts_with('`') || field == "(itself)")
        {
            section.fields.push((field.trim_matches('`'), kind));
        }
    }
    sections
}

/// The fields a section promises, those of the objects it names written out. Of rules that are set there may be any.
fn promised(sections: &BTreeMap<&'static str, Section>, name: &str) -> (BTreeSet<String>, Vec<String>) {
    let (mut fields, mut open) = (BTreeSet::new(), Vec::new());
    for (field, kind) in &sections[name].fields {
        let inner = match *kind {
            "a job in a list" => Some("A job in a list"),
            "a job" => Some("A job"),
            "a run in a list" => Some("A run in a list"),
            "a queue" => Some("A queue"),
            "a worker" => Some("A worker"),
            "a host" => Some("A host"),
            "rules" | "rules or null" => Some("Rules"),
            _ => None,
        };
        let join =
            |inner: &str| if *field == "(itself)" { inner.to_owned() } else { format!("{field}.{inner}") };
        match inner {
            Some(inner) => fields.extend(promised(sections, inner).0.iter().map(|inner| join(inner))),
            None if ["rules, those set", "parameters"].contains(kind) => open.push(format!("{field}.")),
            None if *kind == "object or null" => {}
            None => drop(fields.insert((*field).to_owned())),
        }
    }
    if name == "A job" {
        fields.extend(promised(sections, "A job in a list").0);
    }
    (fields, open)
}

/// The names of every field of an answer.
fn names(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                names(value, &at, found);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items {
                names(item, &format!("{at}[]"), found);
            }
        }
        _ => drop(found.insert(at.to_owned())),
    }
}

/// A broker in which everything has happened that any answer may tell of, and the answers to every command.
fn answers() -> BTreeMap<&'static str, Value> {
    let mut rig = Rig::new();
    rig.broker.io_done(rig.now, IoDone::Store(StoreStats::default()));
    let client = rig.client();
    let mut worker = rig.worker(1);
    let done = rig.submit(client, JobOptions::default());
    let grant = rig.start(worker);
    rig.fail(&mut worker, grant.lease, Retry::AfterMs(0));
    let grant = rig.start(worker);
    rig.complete(&mut worker, grant.lease);
    rig.close(worker.session, true);
    let crashed: Vec<String> = (0..2)
        .map(|_| {
            let mut job = rig.job(JobOptions::default());
            job.headers = Headers(vec![("trace".into(), b"abc"[..].into())]);
            let id = job.id;
            rig.submit_job(client, job).unwrap();
            for _ in 0..2 {
                let worker = rig.worker(1);
                rig.start(worker);
                rig.close(worker.session, false);
            }
            id.to_string()
        })
        .collect();
    let held = rig.open(forebay::wire::command::PeerKind::Worker, "held");
    for command in [
        forebay::wire::command::ToBroker::Register { queue: "q".into(), slots: 0, weight: 1 },
        forebay::wire::command::ToBroker::Demand { jobs: 1, bytes: 0 },
    ] {
        rig.send(held, command);
    }
    let running = rig.submit(client, JobOptions::default()).to_string();
    rig.start(Worker { session: held, allowed: 1 });
    let steps = vec![runs::step("a"), runs::step("b")];
    let submission = runs::run_of(&mut rig, &runs::draft(steps, &[("b", "a")]));
    let run = submission.id.to_string();
    rig.submit_job(client, submission).unwrap();
    let queue = forebay::model::QueueName::new("staged").unwrap();
    let stage =
        Step { kind: StepKind::Open, body: Body::default(), is_collected: true, queue, ..runs::step("many") };
    let submission = runs::run_of(&mut rig, &runs::draft(vec![stage], &[]));
    let (staged, mut staffed) = (submission.id, rig.worker_of("staged", 2));
    rig.submit_job(client, submission).unwrap();
    let added: Vec<String> = ["1", "2"]
        .map(|payload| stages::add(&mut rig, client, staged, "many", payload).unwrap().to_string())
        .into();
    for grant in runs::begun(&mut rig, staffed) {
        runs::finish(&mut rig, &mut staffed, &grant);
    }
    rig.close(staffed.session, true);
    let staged = staged.to_string();
    let submission = runs::run_of(&mut rig, &runs::draft(vec![runs::step("a")], &[]));
    let cancelled = submission.id;
    rig.submit_job(client, submission).unwrap();
    let reason = String::new();
    rig.send(client, forebay::wire::command::ToBroker::Cancel { id: cancelled, own: true, reason });
    let cancelled = cancelled.to_string();
    let job = done.to_string();
    let pid = rig.admin(client, "workers.list", &[])["workers"][0]["pid"].to_string();
    let arguments: &[(&str, &[(&str, &str)])] = &[
        ("status", &[]),
        ("job.get", &[("id", &job)]),
        ("jobs.list", &[]),
        ("run.get", &[("id", &run)]),
        ("runs.list", &[]),
        ("run.resume", &[("id", &cancelled)]),
        ("run.context", &[("id", &run), ("data", "2a")]),
        ("stage.close", &[("id", &staged), ("step", "many")]),
        ("stage.ack", &[("id", &staged), ("step", "many"), ("name", "c"), ("job", &added[0])]),
        ("stage.results", &[("id", &staged), ("step", "many"), ("name", "c")]),
        ("stage.acked", &[("id", &staged), ("step", "many")]),
        ("workers.list", &[]),
        ("queue.set", &[("queue", "q"), ("attempts", "3"), ("param.quality", "90")]),
        ("host.report", &[("host", hosts::HOST), ("slots.1", hosts::SLOTS)]),
        ("hosts.list", &[]),
        ("queue.list", &[]),
        ("queue.pause", &[("queue", "q")]),
        ("queue.drain", &[("queue", "q")]),
        ("queue.resume", &[("queue", "q")]),
        ("quarantine.list", &[]),
        ("quarantine.show", &[("id", &crashed[0])]),
        ("quarantine.requeue", &[("id", &crashed[0])]),
        ("quarantine.drop", &[("id", &crashed[1])]),
        ("queue.purge", &[("queue", "q")]),
        ("workers.wait", &[("queue", "q")]),
        ("clients.list", &[]),
        ("events", &[]),
        ("worker.seen", &[("pid", &pid), ("id", &running), ("attempt", "1"), ("text", "it stands there")]),
        ("worker.drain", &[("name", "held")]),
        ("worker.crashed", &[("pid", &pid), ("code", "SIGSEGV"), ("message", "it crashed")]),
    ];
    arguments.iter().map(|(command, arguments)| (*command, rig.admin(client, command, arguments))).collect()
}

#[test]
fn every_answer_has_the_fields_the_page_names_and_no_others() {
    let (sections, answers) = (sections(), answers());
    for command in commands() {
        let answer = answers.get(command.name).unwrap_or_else(|| panic!("{} was not asked", command.name));
        let mut there = BTreeSet::new();
        names(answer, "", &mut there);
        let (mut promised, open) = promised(&sections, command.name);
        // Rules that are set are named as rules are, parameters as the plugin likes.
        let mut rules: BTreeSet<&str> = sections["Rules"].fields.iter().map(|(name, _)| *name).collect();
        rules.insert("quality");
        let set: Vec<String> = there
            .iter()
            .filter(|name| {
                open.iter()
                    .any(|open| name.strip_prefix(open.as_str()).is_some_and(|rule| rules.contains(rule)))
            })
            .cloned()
            .collect();
        assert_eq!(set.is_empty(), open.is_empty(), "{}", command.name);
        promised.extend(set);
        let missing: Vec<_> = promised.difference(&there).collect();
        let unnamed: Vec<_> = there.difference(&promised).collect();
        assert!(
            missing.is_empty() && unnamed.is_empty(),
            "{}: not in the answer: {missing:?}; not on the page: {unnamed:?}",
            command.name
        );
    }
}

#[test]
fn the_page_names_every_command_with_its_arguments_and_only_statuses_there_are() {
    let sections = sections();
    for command in commands() {
        let section = sections.get(command.name).unwrap_or_else(|| panic!("no section {}", command.name));
        let expected = if command.arguments.is_empty() { "none" } else { command.arguments };
        assert_eq!(section.arguments, Some(expected), "{}", command.name);
    }
    let named = sections.values().filter(|section| section.arguments.is_some()).count();
    assert_eq!(named, commands().len(), "a section for each command");
    for word in
        PAGE.split(|c: char| !c.is_ascii_uppercase() && c != '_').filter(|word| word.starts_with("ERR_"))
    {
        assert!(Status::ALL.iter().any(|status| status.name() == word), "{word} is no status");
    }
}
