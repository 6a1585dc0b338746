//! A pipeline from a file, TOML or JSON. What is wrong with it is said with the file's name.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use forebay::api::pipeline::{Draft, Pipeline, Step, StepKind};
use forebay::api::{Body, Failure, Options, QueueName};
use serde::Deserialize;

use crate::cli::exit::{Exit, Failed};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The file's own name without its ending, when it has none.
    name: Option<String>,
    /// Whether a run waits for its context.
    #[serde(default)]
    held: bool,
    steps: Vec<FileStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileStep {
    name: String,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    collected: bool,
    queue: String,
    data: Option<String>,
    /// Beside the pipeline's file, unless it is absolute.
    file: Option<PathBuf>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    after: Vec<String>,
    #[serde(default)]
    on_failure: OnFailure,
    #[serde(default)]
    options: BTreeMap<String, Value>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Job,
    Open,
    Each,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum OnFailure {
    #[default]
    Fail,
    Continue,
}

/// The value of an option, as a file may say it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Number(u64),
    Switch(bool),
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => number.fmt(f),
            Value::Switch(on) => on.fmt(f),
            Value::Text(text) => text.fmt(f),
        }
    }
}

/// The pipeline in the file at `path`.
pub(super) fn read(path: &Path) -> Result<Pipeline, Failed> {
    let text = std::fs::read_to_string(path).map_err(|error| Failed::file("read", path, &error))?;
    let is_json = path.extension().is_some_and(|ending| ending == "json");
    let wrong = |why: String| Failed::usage(format!("{}: {}", path.display(), why.trim_end()));
    let file: File = if is_json {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?
    } else {
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))?
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut draft = Draft::new(file.name.as_deref().unwrap_or(&stem)).map_err(|why| wrong(why.message))?;
    if file.held {
        draft.hold();
    }
    for said in &file.steps {
        let step = step(said, path)?;
        draft.step(step).map_err(|why| wrong(why.message))?;
    }
    let mut order = || -> Result<Pipeline, Failure> {
        for said in &file.steps {
            said.needs.iter().try_for_each(|needs| draft.after(&said.name, needs, true))?;
            said.after.iter().try_for_each(|needs| draft.after(&said.name, needs, false))?;
        }
        draft.build()
    };
    order().map_err(|why| wrong(format!("{} ({})", why.message, why.status.name())))
}

fn step(said: &FileStep, path: &Path) -> Result<Step, Failed> {
    let wrong = |why: String| {
        Failed::usage(format!("{}: step \"{}\": {}", path.display(), said.name, why.trim_end()))
    };
    let body = match (&said.data, &said.file) {
        (Some(_), Some(_)) => {
            return Err(wrong("it has both data and file; right would be one of them".into()));
        }
        (Some(data), None) => Body::one(data.clone().into_bytes()),
        (None, Some(file)) => {
            let file = path.parent().unwrap_or(Path::new("")).join(file);
            let bytes = std::fs::read(&file).map_err(|error| {
                Failed::new(Exit::System, wrong(format!("cannot read {}: {error}", file.display())).message)
            })?;
            Body::one(bytes)
        }
        (None, None) => Body::default(),
    };
    let mut options = Options::new();
    for (key, value) in &said.options {
        options.set(&format!("job.{key}"), &value.to_string()).map_err(|why| wrong(why.message))?;
    }
    for (name, value) in &said.headers {
        options
            .set_bytes(&format!("job.header.{name}"), value.as_bytes())
            .map_err(|why| wrong(why.message))?;
    }
    let (options, headers) = options.job_options()?;
    Ok(Step {
        name: said.name.clone(),
        kind: match said.kind {
            Kind::Job => StepKind::Job,
            Kind::Open => StepKind::Open,
            Kind::Each => StepKind::Each,
        },
        queue: QueueName::new(&said.queue).map_err(|why| wrong(why.message))?,
        body,
        headers,
        options,
        needs: Vec::new(),
        may_fail: said.on_failure == OnFailure::Continue,
        is_collected: said.collected,
    })
}
