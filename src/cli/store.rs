//! `forebay store`: a store that no broker has open: checked, counted, made small.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use forebay::api::Status;
use forebay::api::store::{self, StoreSummary};
use serde_json::{Value, json};

use crate::cli::exit::{Exit, Failed};
use crate::cli::show;

/// Checks, shows or shrinks a store while no broker uses it.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  forebay store check ~/.local/state/forebay/store && echo every record is whole
  forebay store stats DIR --json | jq .queues
  forebay store compact DIR
check: exit code 0 when all is whole; 1 when it is damaged, with the file and the byte. Nothing is changed. A damaged
store is not repaired, for what would be left out is somebody's job: go back to a copy of the folder."
)]
pub(crate) struct StoreCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Reads every record and says whether all are whole.
    Check(Folder),
    /// Shows what it holds, by queue and by file.
    Stats(Folder),
    /// Writes what lives once more and gives back the rest of the space.
    Compact(Folder),
}

#[derive(Args, Debug)]
struct Folder {
    /// The store's folder.
    dir: PathBuf,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl StoreCommand {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        match self.action {
            Action::Check(folder) => folder.check(),
            Action::Stats(folder) => folder.stats(),
            Action::Compact(folder) => folder.compact(),
        }
    }
}

impl Folder {
    fn check(&self) -> Result<Exit, Failed> {
        let summary = match StoreSummary::read(&self.dir) {
            Ok(summary) => summary,
            Err(failure) if failure.status == Status::Store => {
                if self.json {
                    show::line(json!({ "whole": false, "why": failure.message }))?;
                }
                return Err(Failed::new(Exit::NotDone, failure.message));
            }
            Err(failure) => return Err(failure.into()),
        };
        if self.json {
            let mut all = as_json(&summary);
            all["whole"] = true.into();
            show::line(all)?;
            return Ok(Exit::Done);
        }
        let (jobs, files) = (jobs(&summary), summary.segments.len());
        let well = show::WELL;
        show::coloured_line(format_args!(
            "{well}whole{well:#}: {jobs} jobs in {} records of {files} files",
            summary.records
        ))?;
        let (file, offset, bytes) = &summary.cut;
        if *bytes > 0 {
            show::line(format_args!(
                "a crash cut off what was being written: {bytes} bytes in {file} at byte {offset}, which nobody was told of"
            ))?;
        }
        Ok(Exit::Done)
    }

    fn stats(&self) -> Result<Exit, Failed> {
        let summary = StoreSummary::read(&self.dir)?;
        if self.json {
            show::line(as_json(&summary))?;
            return Ok(Exit::Done);
        }
        let mut queues = show::table();
        queues.set_header(["queue", "waiting", "held", "ended", "quarantined", "bytes"]);
        for (name, queue) in &summary.queues {
            let counts = [queue.waiting, queue.held, queue.ended, queue.quarantined, queue.bytes];
            queues.add_row(std::iter::once(name.clone()).chain(counts.map(|count| count.to_string())));
        }
        show::align_right(&mut queues, 1);
        let mut files = show::table();
        files.set_header(["file", "bytes", "used", "live"]);
        for segment in &summary.segments {
            let counts = [segment.len, segment.used_bytes, segment.live_bytes];
            files.add_row(std::iter::once(segment.name.clone()).chain(counts.map(|count| count.to_string())));
        }
        show::align_right(&mut files, 1);
        show::line(format_args!("{queues}\n\n{files}\n"))?;
        show::line(format_args!(
            "{} jobs, {} ids remembered, {} records, {} bytes on disk, started {} times",
            jobs(&summary),
            summary.ids_remembered,
            summary.records,
            summary.file_bytes,
            summary.epoch
        ))?;
        Ok(Exit::Done)
    }

    fn compact(&self) -> Result<Exit, Failed> {
        let before = StoreSummary::read(&self.dir)?;
        store::compact(&self.dir)?;
        let after = StoreSummary::read(&self.dir)?;
        let bytes = [before.file_bytes, after.file_bytes];
        match self.json {
            true => show::line(json!({ "bytes_before": bytes[0], "bytes_after": bytes[1] }))?,
            false => show::line(format_args!("{} bytes on disk, {} before", bytes[1], bytes[0]))?,
        }
        Ok(Exit::Done)
    }
}

fn jobs(summary: &StoreSummary) -> u64 {
    summary.queues.values().map(|queue| queue.waiting + queue.held + queue.ended).sum()
}

fn as_json(summary: &StoreSummary) -> Value {
    let queues = summary.queues.iter().map(|(name, queue)| {
        json!({
            "name": name, "waiting": queue.waiting, "held": queue.held, "ended": queue.ended,
            "quarantined": queue.quarantined, "bytes": queue.bytes,
        })
    });
    let files = summary.segments.iter().map(|segment| {
        json!({
            "name": segment.name, "bytes": segment.len, "used_bytes": segment.used_bytes,
            "live_bytes": segment.live_bytes,
        })
    });
    let (file, offset, bytes) = &summary.cut;
    json!({
        "jobs": jobs(summary), "records": summary.records, "epoch": summary.epoch,
        "ids_remembered": summary.ids_remembered, "file_bytes": summary.file_bytes,
        "queues": queues.collect::<Vec<_>>(), "files": files.collect::<Vec<_>>(),
        "cut": (*bytes > 0).then(|| json!({ "file": file, "offset": offset, "bytes": bytes })),
    })
}
