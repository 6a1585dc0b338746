//! Jobs by reference: the payload is a key, and what it stands for is fetched before the handler and what comes of it put away
//! after it, each by a command of the shell.
//!
//! Invariant: a command does not outlive its job's attempt, nor does what it left in its process group; what it writes on
//! standard error is in the failure it makes.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::api::job::{Job, Retry};
use crate::model::limits::{HOOK_KEY_LEN_MAX, HOOK_SAID_LEN_MAX};
use crate::model::{Body, BodyFrames};
pub(crate) use crate::wire::command::Fault;

/// How often it is looked whether the job is to stop.
const STOP_ASK: Duration = Duration::from_millis(50);

/// The commands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks {
    /// Is given a key and writes what it stands for.
    pub(crate) retrieve: Option<String>,
    /// Is given the key and reads the result; what it writes is the result instead.
    pub(crate) save: Option<String>,
}

/// What a command is told beside the key.
struct About {
    id: String,
    queue: String,
    /// Nothing when the payload cannot be one.
    key: Option<Vec<u8>>,
}

impl Hooks {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.retrieve.is_none() && self.save.is_none()
    }

    /// Fetches what the job's payload stands for, and sees to its result. False: it was answered as failed.
    pub(crate) fn prepare(&self, job: &Job) -> bool {
        let key = check_key(job.payload()).is_ok().then(|| job.payload().to_vec());
        let about = About { id: job.id().to_string(), queue: job.queue().to_owned(), key };
        let fetch = |command: &String| {
            check_key(job.payload())?;
            about.run(command, "retrieve", None, &|| job.stop().0 != 0)
        };
        match self.retrieve.as_ref().map(fetch) {
            Some(Ok(bytes)) => job.stand_for(Body::one(bytes)),
            None => {}
            Some(Err(fault)) => {
                // Refused when the job is another's by now: then nobody waits for this answer.
                let _ = job.fail(fault.retry, &fault.code, &fault.message, &fault.detail);
                return false;
            }
        }
        if let Some(command) = self.save.clone() {
            job.save(move |result, is_to_stop| {
                about.run(&command, "save", Some(result), is_to_stop).map(Body::one)
            });
        }
        true
    }
}

/// Whether a payload can be handed on as a variable.
fn check_key(payload: &[u8]) -> Result<(), Box<Fault>> {
    let why = match payload {
        [] => "is empty",
        _ if payload.contains(&0) => "has a NUL",
        _ if payload.len() > HOOK_KEY_LEN_MAX => "is too long",
        _ => return Ok(()),
    };
    let message = format!("the payload {why}; right would be a key of up to {HOOK_KEY_LEN_MAX} bytes");
    Err(Box::new(Fault { retry: Retry::Never, code: "bad_key".to_owned(), message, ..Fault::default() }))
}

impl About {
    /// Runs a command of the shell with `input`, and gives what it wrote.
    fn run(
        &self,
        command: &str,
        name: &str,
        input: Option<&Body>,
        is_to_stop: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, Box<Fault>> {
        let failed = |why: String, detail: String| {
            Box::new(Fault {
                retry: Retry::Policy,
                code: format!("{name}_failed"),
                message: format!("the command that is to {name} {why}"),
                detail,
                ..Fault::default()
            })
        };
        let cannot = |error: io::Error| failed(format!("cannot be run: {error}"), String::new());
        let mut child = self.start(command).map_err(cannot)?;
        let (written, said) = self.talk(&mut child, input, is_to_stop);
        // What is left in its group goes with it; its number is its own until it is waited for.
        end_group(&child);
        let status = child.wait().map_err(cannot)?;
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(written),
            (Some(code), _) => Err(failed(format!("ended with {code}"), said)),
            (None, signal) => Err(failed(format!("was killed by signal {}", signal.unwrap_or(0)), said)),
        }
    }

    fn start(&self, command: &str) -> io::Result<Child> {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(command).env_remove("FOREBAY_KEY");
        shell.envs(self.key.as_ref().map(|key| ("FOREBAY_KEY", OsStr::from_bytes(key))));
        shell.env("FOREBAY_ID", &self.id).env("FOREBAY_QUEUE", &self.queue);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        shell.process_group(0).spawn()
    }

    /// Feeds it and takes what it writes, until it has closed both or is to stop.
    fn talk(
        &self,
        child: &mut Child,
        input: Option<&Body>,
        is_to_stop: &dyn Fn() -> bool,
    ) -> (Vec<u8>, String) {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let frames: BodyFrames = input.map(|body| body.0.clone()).unwrap_or_default();
        thread::scope(|scope| {
            let (over, ended) = mpsc::channel::<()>();
            let feed = move || {
                let Some(mut pipe) = stdin else { return };
                // It may want less, which is its own affair.
                let _ = frames.iter().try_for_each(|frame| pipe.write_all(frame));
            };
            scope.spawn(feed);
            let told = over.clone();
            let result = scope.spawn(move || (read_all(stdout, usize::MAX), drop(told)).0);
            let said = scope.spawn(move || (read_all(stderr, HOOK_SAID_LEN_MAX), drop(over)).0);
            // The channel closes when both are read.
            while ended.recv_timeout(STOP_ASK) == Err(RecvTimeoutError::Timeout) {
                if is_to_stop() {
                    end_group(child);
                }
            }
            let text = String::from_utf8_lossy(&said.join().unwrap_or_default()).into_owned();
            (result.join().unwrap_or_default(), text)
        })
    }
}

/// Everything a pipe gives; of it the first bytes.
fn read_all(pipe: Option<impl Read>, keep: usize) -> Vec<u8> {
    let Some(mut pipe) = pipe else { return Vec::new() };
    let mut bytes = Vec::new();
    let _ = pipe.by_ref().take(keep as u64).read_to_end(&mut bytes);
    let _ = io::copy(&mut pipe, &mut io::sink());
    bytes
}

fn end_group(child: &Child) {
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Submit;

    fn handled(hooks: &Hooks, payload: &str, handle: impl Fn(&Job)) -> crate::api::JobResult {
        let job = Job::new_test(Submit::new("q", payload.as_bytes().to_vec())).unwrap();
        if hooks.prepare(&job) {
            handle(&job);
        }
        job.test_result().unwrap()
    }

    #[test]
    fn a_key_becomes_its_value_and_a_result_a_key() {
        let hooks = Hooks {
            retrieve: Some("printf 'value of %s' \"$FOREBAY_KEY\"".to_owned()),
            save: Some("printf '%s: %s' \"$FOREBAY_KEY\" \"$(cat)\"".to_owned()),
        };
        let result = handled(&hooks, "k 1", |job| {
            assert_eq!(job.payload(), b"value of k 1");
            job.complete("done").unwrap();
        });
        assert_eq!(result.data(), b"k 1: done");
    }

    #[test]
    fn what_goes_wrong_is_a_failure_with_its_words() {
        let hooks = Hooks { retrieve: Some("echo gone >&2; exit 3".to_owned()), save: None };
        let result = handled(&hooks, "k", |_| panic!("there is nothing to handle"));
        assert_eq!((result.code(), result.detail()), ("retrieve_failed", "gone\n"));
        assert_eq!(result.message(), "the command that is to retrieve ended with 3");
        assert_eq!(handled(&hooks, "", |_| {}).code(), "bad_key");
        let hooks = Hooks { retrieve: None, save: Some("exit 4".to_owned()) };
        let large = vec![b'x'; 1 << 20];
        let result = handled(&hooks, "k", |job| job.complete(large.clone()).unwrap());
        assert_eq!(
            (result.code(), result.message()),
            ("save_failed", "the command that is to save ended with 4")
        );
    }
}
