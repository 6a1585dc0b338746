//! What the demo says at the end: who did what, how fast, and whether all of it was right.

use super::Tally;
use crate::cli::exit::{Exit, Failed};
use crate::cli::{show, time};

/// How many sentences on wrong or skipped files are shown.
const SHOWN_MAX: usize = 10;

/// Prints the table; all is well when every digest was right and at least one file was sent.
pub(super) fn print(tally: &Tally, workers: usize) -> Result<Exit, Failed> {
    let (files, bytes) = tally
        .by_worker
        .values()
        .fold((0, 0), |(files, bytes), (more_files, more_bytes)| (files + more_files, bytes + more_bytes));
    let seconds = tally.took.as_secs_f64().max(1e-6);
    let mut table = show::table();
    table.set_header(["WORKER", "FILES", "BYTES", "JOBS/S"]);
    let row = |name: &str, files: u64, bytes: u64| {
        [name.to_owned(), files.to_string(), show::bytes(bytes), format!("{:.0}", files as f64 / seconds)]
    };
    for (worker, (files, bytes)) in &tally.by_worker {
        table.add_row(row(worker, *files, *bytes));
    }
    table.add_row(row("all", files, bytes));
    show::align_right(&mut table, 1);
    show::line(table)?;
    if let Some((took, path, len)) = &tally.slowest {
        let took = time::show(*took);
        show::line(format_args!("slowest: {took}, {} ({})", path.display(), show::bytes(*len as u64)))?;
    }
    for skipped in tally.skipped.iter().take(SHOWN_MAX) {
        anstream::eprintln!("not sent: {skipped}");
    }
    for wrong in tally.wrong.iter().take(SHOWN_MAX) {
        anstream::eprintln!("wrong: {wrong}");
    }
    let idle = workers - tally.by_worker.len().min(workers);
    if idle > 0 {
        show::line(format_args!("{idle} of {workers} workers got no file"))?;
    }
    let right = files - tally.wrong.len() as u64;
    let skipped = match tally.skipped.len() {
        0 => String::new(),
        n => format!(", {n} not sent"),
    };
    show::line(format_args!(
        "{right} of {} digests right{skipped}, in {}, {:.0} jobs/s",
        tally.files,
        time::show(tally.took),
        files as f64 / seconds
    ))?;
    Ok(if tally.wrong.is_empty() && files > 0 { Exit::Done } else { Exit::NotDone })
}
