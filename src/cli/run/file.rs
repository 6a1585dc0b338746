//! forebay.toml: what is to run, from a file. What is wrong with it is said with the file's name, line and column.

use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use forebay::api::Options;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::exit::Failed;
use crate::cli::run::Plan;
use crate::cli::run::host::Spec;
use crate::cli::run::limits::{FILE_LEN_MAX, SLOTS_MAX};
use crate::cli::time;
use crate::cli::worker;

/// Keys of [run].
const RUN: [&str; 3] = ["drain", "control", "memory"];
/// Keys of [[workers]] beside the flags below.
const WORKERS: [&str; 6] = ["name", "load", "command", "queues", "slots", "params"];
/// Keys of [[workers]] that are flags of `forebay worker`.
const FLAGS: [&str; 14] = [
    "retrieve",
    "save",
    "isolate",
    "drain",
    "grace",
    "kill_grace",
    "pin",
    "max_age",
    "max_age_delta",
    "max_jobs",
    "max_rss",
    "job_cpu_limit",
    "job_memory_limit",
    "report_every",
];

type Entry<'a> = (&'a str, Range<usize>, &'a Spanned<DeValue<'a>>);

/// A file that is being read.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

/// What the file at `path` asks for.
pub(super) fn read(path: &Path) -> Result<Plan, Failed> {
    let len = fs::metadata(path).map_err(|error| Failed::file("read", path, &error))?.len();
    if len > FILE_LEN_MAX {
        return Err(Failed::usage(format!(
            "{} has {len} bytes; up to {FILE_LEN_MAX} are read",
            path.display()
        )));
    }
    let text = fs::read_to_string(path).map_err(|error| Failed::file("read", path, &error))?;
    File { path, text: &text }.plan()
}

impl File<'_> {
    fn plan(&self) -> Result<Plan, Failed> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let at = error.span().unwrap_or(0..0);
            self.wrong(&at, error.message())
        })?;
        let mut plan = Plan::default();
        // What goes to every process as an option; checked here, so that it is refused once and with its place.
        let mut options = Vec::new();
        for (key, at, value) in entries(table.get_ref()) {
            match key {
                "run" => self.run(&mut plan, value)?,
                "queues" => self.queues(&mut plan, value)?,
                "workers" => self.workers(&mut plan, value)?,
                _ => self.options(key, &at, value, &mut options)?,
            }
        }
        if plan.hosts.is_empty() {
            return Err(self.wrong(&(0..0), "there is no [[workers]]: nobody would do any job"));
        }
        let set = |family: fn(&str) -> bool| {
            let said = options.iter().filter(move |(key, _)| family(key));
            said.flat_map(|(key, value)| [OsString::from("--set"), format!("{key}={value}").into()])
                .collect::<Vec<_>>()
        };
        plan.broker.extend(set(|key| key.starts_with("broker.") || key.starts_with("job.")));
        plan.client = options.iter().filter(|(key, _)| key.starts_with("client.")).cloned().collect();
        let theirs = set(|key| !key.starts_with("broker.") && !key.starts_with("job."));
        plan.hosts.iter_mut().for_each(|host| host.flags.extend(theirs.iter().cloned()));
        Ok(plan)
    }

    /// A table of options, or one of them.
    fn options(
        &self,
        key: &str,
        at: &Range<usize>,
        value: &Spanned<DeValue<'_>>,
        options: &mut Vec<(String, String)>,
    ) -> Result<(), Failed> {
        if let DeValue::Table(table) = value.get_ref() {
            return entries(table).try_for_each(|(name, at, value)| {
                self.options(&format!("{key}.{name}"), &at, value, options)
            });
        }
        let text = self.text_of(value)?;
        Options::new().set(key, &text).map_err(|failure| self.wrong(at, &failure.message))?;
        options.push((key.to_owned(), text));
        Ok(())
    }

    fn run(&self, plan: &mut Plan, value: &Spanned<DeValue<'_>>) -> Result<(), Failed> {
        for (key, at, value) in entries(self.table(value)?) {
            match key {
                "drain" => plan.drain = Some(self.time(value)?),
                "control" => plan.control = Some(self.beside(&self.text_of(value)?)),
                "memory" => match value.get_ref().as_bool() {
                    Some(true) => plan.broker.push("--memory".into()),
                    Some(false) => {}
                    None => return Err(self.wrong(&value.span(), "right would be true or false")),
                },
                _ => return Err(self.unknown(&at, key, "[run]", &RUN)),
            }
        }
        Ok(())
    }

    fn queues(&self, plan: &mut Plan, value: &Spanned<DeValue<'_>>) -> Result<(), Failed> {
        for (queue, _, value) in entries(self.table(value)?) {
            let mut rules = Vec::new();
            for (key, at, value) in entries(self.table(value)?) {
                if key == "params" {
                    for (param, _, value) in entries(self.table(value)?) {
                        rules.push((format!("param.{param}"), self.text_of(value)?));
                    }
                    continue;
                }
                let text = self.text_of(value)?;
                let check = Options::new().set(&format!("job.{key}"), &text);
                check.map_err(|failure| self.wrong(&at, &failure.message))?;
                rules.push((key.to_owned(), text));
            }
            plan.queues.push((queue.to_owned(), rules));
        }
        Ok(())
    }

    fn workers(&self, plan: &mut Plan, value: &Spanned<DeValue<'_>>) -> Result<(), Failed> {
        let Some(array) = value.get_ref().as_array() else {
            return Err(self.wrong(&value.span(), "right would be [[workers]], once for each host"));
        };
        for value in array.iter() {
            let host = self.worker(value)?;
            if plan.hosts.iter().any(|known| known.name == host.name) {
                let text = format!("there are two workers \"{}\"; `name` tells them apart", host.name);
                return Err(self.wrong(&value.span(), &text));
            }
            plan.hosts.push(host);
        }
        Ok(())
    }

    fn worker(&self, value: &Spanned<DeValue<'_>>) -> Result<Spec, Failed> {
        let (mut name, mut flags, mut slots, mut command) = (None, Vec::new(), None, Vec::new());
        let (mut load, mut queues) = (Vec::new(), Vec::new());
        for (key, at, value) in entries(self.table(value)?) {
            match key {
                "name" => name = Some(self.text_of(value)?),
                "load" => load = self.texts(value)?,
                "queues" => queues = self.texts(value)?,
                "command" => command = self.texts(value)?.into_iter().map(OsString::from).collect(),
                "slots" => {
                    let number = self.text_of(value)?.parse().ok().filter(|n| (1..=SLOTS_MAX).contains(n));
                    let right = || self.wrong(&value.span(), &format!("right would be 1 to {SLOTS_MAX}"));
                    slots = Some(number.ok_or_else(right)?);
                }
                "params" => {
                    for (param, _, value) in entries(self.table(value)?) {
                        flags.extend(["--param".into(), format!("{param}={}", self.text_of(value)?).into()]);
                    }
                }
                _ if FLAGS.contains(&key) => flags.push(self.flag(key, &at, value)?),
                _ => {
                    let known: Vec<&str> = WORKERS.into_iter().chain(FLAGS).collect();
                    return Err(self.unknown(&at, key, "[[workers]]", &known));
                }
            }
        }
        let wrong = |text: &str| Err(self.wrong(&value.span(), text));
        match (load.is_empty(), command.is_empty(), queues.is_empty()) {
            (true, true, _) => return wrong("a worker has to have `load` or `command`"),
            (false, false, _) => return wrong("a worker has either `load` or `command`"),
            (true, false, true) => return wrong("a command has to have `queues`"),
            _ => {}
        }
        let stem =
            |path: &String| Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let usual = queues.first().cloned().or_else(|| load.first().map(stem));
        for path in &load {
            flags.extend(["--load".into(), self.beside(path).into()]);
        }
        for queue in queues {
            flags.extend(["--queue".into(), queue.into()]);
        }
        Ok(Spec { name: name.or(usual).unwrap_or_default(), flags, slots, command })
    }

    /// A flag of `forebay worker` as `--flag=value`, checked by that command.
    fn flag(&self, key: &str, at: &Range<usize>, value: &Spanned<DeValue<'_>>) -> Result<OsString, Failed> {
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            worker: worker::Worker,
        }
        let flag = format!("--{}={}", key.replace('_', "-"), self.text_of(value)?);
        // A limit of this flag's kind may need another beside it, which is looked at when all are there.
        let others = if key == "max_age_delta" { &["--max-age=1h"][..] } else { &[] };
        let line = ["worker", "--load=x"].into_iter().chain(others.iter().copied()).chain([&*flag]);
        match Line::try_parse_from(line) {
            Ok(line) => {
                drop(line.worker);
                Ok(flag.into())
            }
            Err(error) => {
                let text = error.to_string();
                let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
                Err(self.wrong(at, first))
            }
        }
    }

    fn table<'v>(&self, value: &'v Spanned<DeValue<'v>>) -> Result<&'v DeTable<'v>, Failed> {
        value.get_ref().as_table().ok_or_else(|| self.wrong(&value.span(), "right would be a table"))
    }

    /// A text, number or switch as text, a list with commas.
    fn text_of(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Failed> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
            DeValue::Boolean(on) => Ok(on.to_string()),
            DeValue::Array(_) => Ok(self.texts(value)?.join(",")),
            _ => Err(self.wrong(&value.span(), "right would be a text, a whole number, true or false")),
        }
    }

    /// A list of texts, or one text.
    fn texts(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, Failed> {
        match value.get_ref() {
            DeValue::Array(array) => array.iter().map(|item| self.text_of(item)).collect(),
            _ => Ok(vec![self.text_of(value)?]),
        }
    }

    fn time(&self, value: &Spanned<DeValue<'_>>) -> Result<Duration, Failed> {
        time::parse(&self.text_of(value)?).map_err(|why| self.wrong(&value.span(), &why))
    }

    /// A path in the file is meant from where the file is.
    fn beside(&self, path: &str) -> PathBuf {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        folder.join(path)
    }

    /// FILE:LINE:COLUMN: what is wrong.
    fn wrong(&self, at: &Range<usize>, why: &str) -> Failed {
        let before = self.text.get(..at.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Failed::usage(format!("{}:{line}:{column}: {}", self.path.display(), why.trim_end()))
    }

    fn unknown(&self, at: &Range<usize>, key: &str, table: &str, known: &[&str]) -> Failed {
        let nearest = known.iter().min_by_key(|name| strsim::damerau_levenshtein(key, name));
        let text = match nearest {
            Some(nearest) if strsim::damerau_levenshtein(key, nearest) <= 2 + key.len() / 3 => {
                format!("there is no key \"{key}\" in {table}; the nearest is {nearest}")
            }
            _ => format!("there is no key \"{key}\" in {table}; there are {}", known.join(", ")),
        };
        self.wrong(at, &text)
    }
}

/// Each key with its place and its value.
fn entries<'t>(table: &'t DeTable<'t>) -> impl Iterator<Item = Entry<'t>> {
    table.iter().map(|(key, value)| (&**key.get_ref(), key.span(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan, String> {
        File { path: Path::new("dir/forebay.toml"), text }.plan().map_err(|failed| failed.message)
    }

    #[test]
    fn a_file_is_flags_and_options() {
        let text = r#"
            [run]
            memory = true
            drain = "5s"
            [broker]
            listen = ["ipc:///a", "tcp://127.0.0.1:0"]
            lease_ms = 5_000
            [worker]
            prefetch = 2
            [queues.resize]
            attempts = 5
            params = { size = 200 }
            [[workers]]
            load = "libresize.so"
            slots = 4
            max_age = "1h"
            params = { quality = 90 }
            [[workers]]
            name = "count"
            queues = ["wc"]
            command = ["wc", "-c"]
        "#;
        let plan = plan(text).unwrap();
        let all =
            |flags: &[OsString]| flags.iter().map(|one| one.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        assert_eq!(
            all(&plan.broker),
            "--memory --set broker.lease_ms=5000 --set broker.listen=ipc:///a,tcp://127.0.0.1:0"
        );
        assert_eq!(plan.drain, Some(Duration::from_secs(5)));
        assert_eq!(
            plan.queues,
            [(
                "resize".to_owned(),
                [("attempts", "5"), ("param.size", "200")]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into()
            )]
        );
        let lines: Vec<String> = plan.hosts.iter().map(|host| all(&host.arguments(host.slots))).collect();
        let first = "worker --max-age=1h --param quality=90 --load dir/libresize.so --set worker.prefetch=2 --slots 4";
        assert_eq!(lines, [first, "worker --queue wc --set worker.prefetch=2 -- wc -c"]);
        assert_eq!(plan.hosts[0].name, "libresize");
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let worker = "[[workers]]\nload = 'x.so'\n";
        for (text, parts) in [
            (
                format!("[run]\ndrian = 1\n{worker}"),
                ["toml:2:1: ", "\"drian\" in [run]; the nearest is drain"],
            ),
            (format!("{worker}slots = 0\n"), ["toml:3:9: ", "right would be 1 to 10000"]),
            (format!("{worker}max_agee = '1h'\n"), ["toml:3:1: ", "the nearest is max_age"]),
            (format!("{worker}max_age = 'old'\n"), ["toml:3:1: ", "--max-age"]),
            (format!("[broker]\nleese_ms = 5\n{worker}"), ["toml:2:1: ", "broker.lease_ms"]),
            (format!("[queues.q]\nattempts = 'many'\n{worker}"), ["toml:2:1: ", "job.attempts"]),
            (format!("{worker}{worker}"), ["toml:3:1: ", "two workers \"x\""]),
            ("[[workers]]\ncommand = 'cat'\n".to_owned(), ["toml:1:1: ", "`queues`"]),
            ("[run\n".to_owned(), ["toml:1:", ""]),
            (String::new(), ["toml:1:1: ", "no [[workers]]"]),
        ] {
            let said = plan(&text).expect_err(&text);
            assert!(parts.iter().all(|part| said.contains(part)), "{text:?} said: {said}");
        }
    }
}
