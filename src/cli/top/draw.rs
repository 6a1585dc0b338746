//! Drawing the screen: a head, the queues, hosts with their slots and other workers, the last failures, and a line of keys.
//!
//! Invariant: at 80 columns and 24 lines everything has its place; on fewer, what does not fit is left out, the least important first.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Table};
use serde_json::Value;

use crate::cli::ask::{count, rows, text};
use crate::cli::top::screen::Screen;
use crate::cli::{hosts, queue, show, time};

/// How long the broker may say nothing before that is told.
const SILENCE_MIN: Duration = Duration::from_secs(3);
/// Columns of a line about a slot before its job, and of a job's id.
const BEFORE_JOB: u16 = 72;
const ID_LEN: u16 = 36;
/// From so many columns on a failure has its job's id beside it.
const WIDE: u16 = 110;

const HEADING: Style = Style::new().add_modifier(Modifier::REVERSED);
const HOST: Style = Style::new().add_modifier(Modifier::BOLD);
const WRONG: Style = Style::new().fg(Color::Red);
const NOTED: Style = Style::new().fg(Color::Yellow);
const WELL: Style = Style::new().fg(Color::Green);

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &mut Screen) {
    let height = frame.area().height;
    let queues = screen.queues();
    let lines = |count: usize, most: u16| (u16::try_from(count).unwrap_or(most).max(1) + 1).min(most.max(2));
    let queue_lines = lines(queues.len(), height / 4);
    let failure_lines = lines(screen.failures.len(), height / 4);
    let parts = [
        Constraint::Length(3),
        Constraint::Length(queue_lines),
        Constraint::Min(3),
        Constraint::Length(failure_lines),
        Constraint::Length(1),
    ];
    let [head, upper, middle, lower, foot] = Layout::vertical(parts).areas(frame.area());
    draw_head(frame, head, screen);
    draw_queues(frame, upper, screen, &queues);
    let scrolled = draw_workers(frame, middle, screen);
    draw_failures(frame, lower, screen);
    draw_foot(frame, foot, screen);
    if screen.shows_help {
        draw_help(frame, screen);
    }
    screen.scrolled = scrolled;
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let mut lines = vec![Line::from(vec![
        Span::styled(format!("forebay top  {}", screen.address), HOST),
        Span::raw(format!("  {}", time::clock(wall_ms()))),
        Span::styled(if screen.is_paused { "  PAUSED" } else { "" }, NOTED),
    ])];
    if let Some(look) = &screen.look {
        let (status, rates) = (&look.status, &screen.rates);
        lines.push(Line::from(format!(
            "{} jobs, {} running, {} results kept; {:.0} in, {:.0} done, {:.0} not done a second",
            count(status, "jobs"),
            count(status, "leases"),
            count(status, "results_kept"),
            rates.of("submitted"),
            rates.of("done"),
            rates.of("not_done"),
        )));
        let used = |field: &str| show::bytes(count(status, field));
        let mut line = vec![Span::raw(format!("{} of {} used", used("memory_bytes"), used("memory_max")))];
        if status["full"] == true {
            line.push(Span::styled(", FULL", WRONG));
        }
        if status["store"].is_object() {
            line.push(Span::raw(format!(", store {}", show::bytes(count(&status["store"], "used_bytes")))));
        }
        if status["store"]["full"] == true {
            line.push(Span::styled(", STORE FULL", WRONG));
        }
        let quarantined = count(status, "quarantined");
        if quarantined > 0 {
            line.push(Span::styled(format!(", {quarantined} quarantined"), WRONG));
        }
        line.push(Span::raw(format!(
            ", {} clients, {} workers",
            count(status, "clients"),
            count(status, "workers")
        )));
        if status["draining"] == true {
            line.push(Span::styled(", DRAINING", NOTED));
        }
        lines.push(Line::from(line));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_queues(frame: &mut Frame<'_>, area: Rect, screen: &Screen, queues: &[&Value]) {
    let room = usize::from(area.height.saturating_sub(1));
    let rows_of = queues.iter().take(room).map(|queue| {
        let name = text(queue, "name");
        let (done, not_done) = screen.rates.of_queue(name);
        let is_unserved =
            count(queue, "ready") > 0 && count(queue, "workers") == 0 && queue["paused"] != true;
        let cells = [
            format!("{name}{}", queue::turned(queue)),
            count(queue, "ready").to_string(),
            count(queue, "leased").to_string(),
            count(queue, "delayed").to_string(),
            count(queue, "workers").to_string(),
            format!("{done:.0}"),
            format!("{not_done:.0}"),
            count(queue, "done").to_string(),
        ];
        Row::new(right_from(1, cells)).style(if is_unserved { NOTED } else { Style::new() })
    });
    let titles = ["WAITING", "RUNNING", "DELAYED", "WORKERS", "DONE/S", "FAILED/S", "DONE"];
    let first = counted("QUEUE", queues.len(), room);
    let heading = std::iter::once(first).chain(titles.map(str::to_owned));
    let widths = [
        Constraint::Min(14),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(9),
    ];
    let table = Table::new(rows_of, widths).header(Row::new(right_from(1, heading)).style(HEADING));
    frame.render_widget(table, area);
    if queues.is_empty() {
        say(frame, area, "no queue has jobs or workers");
    }
}

/// Draws hosts with their slots, and workers of no host. How far it is scrolled, which is no further than there is something.
fn draw_workers(frame: &mut Frame<'_>, area: Rect, screen: &Screen) -> usize {
    let job_len = area.width.saturating_sub(BEFORE_JOB).min(ID_LEN);
    let mut lines = Vec::new();
    for host in screen.hosts() {
        lines.push(host_row(host));
        lines.extend(screen.slots(host).into_iter().map(|slot| slot_row(slot, job_len)));
    }
    lines.extend(screen.workers().iter().map(|worker| worker_row(worker, job_len)));
    let (count, room) = (lines.len(), usize::from(area.height.saturating_sub(1)));
    let scrolled = screen.scrolled.min(count.saturating_sub(room));
    let widths = [
        Constraint::Length(16),
        Constraint::Length(9),
        Constraint::Length(7),
        Constraint::Length(5),
        Constraint::Length(6),
        Constraint::Length(11),
        Constraint::Length(11),
        Constraint::Min(7),
    ];
    let titles = ["STATE", "AGE", "PROG", "CPU", "MEMORY", "QUEUE", "JOB"];
    let first = counted("HOST, SLOT", count, room);
    let heading = std::iter::once(first).chain(titles.map(str::to_owned));
    let table = Table::new(lines.into_iter().skip(scrolled).take(room), widths)
        .header(Row::new(middle_right(heading)).style(HEADING));
    frame.render_widget(table, area);
    if count == 0 {
        say(frame, area, "no worker is connected");
    }
    scrolled
}

fn host_row(host: &Value) -> Row<'static> {
    let queues: Vec<&str> = rows(host, "queues").iter().filter_map(Value::as_str).collect();
    let silence_ms = count(host, "every_ms").saturating_mul(10).max(10_000);
    let is_silent = count(host, "reported_ms") > silence_ms;
    Row::new(middle_right([
        text(host, "name").to_owned(),
        format!("{} of {}", count(host, "working"), count(host, "slots")),
        time::age(count(host, "age_ms")),
        String::new(),
        hosts::percent(&host["cpu_percent"]),
        hosts::memory(&host["rss_bytes"]),
        queues.join(" "),
        String::new(),
    ]))
    .style(if is_silent { HOST.patch(WRONG) } else { HOST })
}

fn slot_row(slot: &Value, job_len: u16) -> Row<'static> {
    let state = text(slot, "state").to_owned();
    let style = match state.as_str() {
        "working" => WELL,
        "down" => WRONG,
        "beginning" | "leaving" => NOTED,
        _ => Style::new(),
    };
    Row::new(middle_right([
        format!("  {}", count(slot, "slot")),
        state,
        slot["running_ms"].as_u64().map_or(String::new(), time::age),
        hosts::progress(slot),
        hosts::percent(&slot["cpu_percent"]),
        hosts::memory(&slot["rss_bytes"]),
        text(slot, "queue").to_owned(),
        short(text(slot, "job"), job_len),
    ]))
    .style(style)
}

/// A worker of no host: what the broker knows of it.
fn worker_row(worker: &Value, job_len: u16) -> Row<'static> {
    let jobs = rows(worker, "jobs");
    let oldest = jobs.iter().max_by_key(|job| count(job, "running_ms"));
    let queues: Vec<&str> = rows(worker, "queues").iter().filter_map(Value::as_str).collect();
    let is_away = worker["attached"] == false;
    let state = match (is_away, worker["draining"] == true) {
        (true, _) => "away".to_owned(),
        (_, true) => "draining".to_owned(),
        _ => format!("{} of {}", jobs.len(), jobs.len() as u64 + count(worker, "free")),
    };
    let age = oldest.and_then(|job| job["running_ms"].as_u64());
    Row::new(middle_right([
        text(worker, "name").to_owned(),
        state,
        age.map_or(String::new(), time::age),
        oldest.map_or(String::new(), hosts::progress),
        String::new(),
        String::new(),
        queues.join(" "),
        oldest.map_or(String::new(), |job| short(text(job, "job"), job_len)),
    ]))
    .style(if is_away { HOST.patch(NOTED) } else { HOST })
}

fn draw_failures(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let room = usize::from(area.height.saturating_sub(1));
    let is_wide = area.width >= WIDE;
    let lines = screen.failures.iter().take(room).map(|failure| {
        let why = if is_wide { format!("{}  {}", failure.job, failure.why) } else { failure.why.clone() };
        let clock = time::clock(failure.time_ms);
        let second = clock.split_once('.').map_or("", |(second, _)| second);
        // The time of day is behind the date of another day.
        let time_of_day = second.rsplit(' ').next().unwrap_or_default().to_owned();
        let cells = [time_of_day, failure.outcome.clone(), failure.queue.clone(), why];
        Row::new(cells).style(WRONG)
    });
    let widths = [Constraint::Length(9), Constraint::Length(11), Constraint::Length(14), Constraint::Min(10)];
    let heading = ["FAILED AT", "OUTCOME", "QUEUE", if is_wide { "JOB, WHY" } else { "WHY" }];
    frame.render_widget(Table::new(lines, widths).header(Row::new(heading).style(HEADING)), area);
    if screen.failures.is_empty() {
        say(frame, area, "no job has failed lately");
    }
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let silence = screen.look.as_ref().map_or(Duration::ZERO, |look| look.at.elapsed());
    let is_silent = !screen.is_paused && silence > SILENCE_MIN.max(screen.every * 3);
    let line = match &screen.trouble {
        Some(trouble) => Line::styled(trouble.clone(), WRONG),
        None if is_silent => Line::styled(
            format!("the broker has not answered for {}", time::age(silence.as_millis() as u64)),
            WRONG,
        ),
        None => Line::from(format!(
            "q quit  s sort ({})  p pause  up/down scroll  h help   every {}",
            screen.sort.name(),
            time::show(screen.every)
        )),
    };
    frame.render_widget(Paragraph::new(line), area);
}

fn draw_help(frame: &mut Frame<'_>, screen: &Screen) {
    const KEYS: [(&str, &str); 7] = [
        ("q, Ctrl-C", "quits"),
        ("s", "sorts by name, age, cpu, memory in turn"),
        ("p, space", "holds the picture still, and lets it go on"),
        ("up, down, k, j", "scrolls hosts and workers by a line"),
        ("page up, down", "by ten"),
        ("home", "back to the first"),
        ("h, ?", "shows and hides this"),
    ];
    let mut lines: Vec<Line<'_>> =
        KEYS.iter().map(|(key, text)| Line::from(format!(" {key:<16}{text}"))).collect();
    lines.push(Line::default());
    lines.push(Line::from(" Yellow: jobs wait for a worker, or a slot changes its process."));
    lines.push(Line::from(" Red: a host says nothing, a slot has no process, a job failed."));
    lines.push(Line::from(format!(" CPU: 100 % is one core. Sorted by {}.", screen.sort.name())));
    let area = frame.area();
    let (width, height) = (66.min(area.width), (lines.len() as u16 + 2).min(area.height));
    let place = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" forebay top ")), place);
}

/// Says something in the first line below a heading.
fn say(frame: &mut Frame<'_>, area: Rect, words: &'static str) {
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1).min(1), ..area };
    frame.render_widget(Paragraph::new(words), below);
}

/// A heading that says how many lines there are when not all are shown.
fn counted(title: &str, count: usize, room: usize) -> String {
    if count > room { format!("{title} ({count})") } else { title.to_owned() }
}

/// Cells, those from `first` on to the right.
fn right_from(first: usize, cells: impl IntoIterator<Item = String>) -> impl Iterator<Item = Cell<'static>> {
    cells.into_iter().enumerate().map(move |(at, text)| cell(text, at >= first))
}

/// Cells, the numbers of which are to the right: age, progress, processor time and memory.
fn middle_right(cells: impl IntoIterator<Item = String>) -> impl Iterator<Item = Cell<'static>> {
    cells.into_iter().enumerate().map(|(at, text)| cell(text, (2..=5).contains(&at)))
}

fn cell(text: String, is_right: bool) -> Cell<'static> {
    let line = Line::from(text);
    Cell::from(if is_right { line.right_aligned() } else { line })
}

/// An id in so many columns: whole, or its end, by which jobs of one moment differ.
fn short(id: &str, len: u16) -> String {
    let len = usize::from(len);
    if id.len() <= len || !id.is_ascii() {
        return id.to_owned();
    }
    format!("~{}", &id[id.len() - len.saturating_sub(1).min(id.len())..])
}

fn wall_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::look::{Failure, Look};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent};
    use serde_json::json;
    use std::time::Instant;

    fn look(slots: u64) -> Look {
        let queue = |name: &str, ready: u64, workers: u64| json!({ "name": name, "ready": ready, "leased": 2, "delayed": 0, "workers": workers, "done": 900, "not_done": 1 });
        let slot = |slot: u64| {
            json!({ "slot": slot, "state": if slot == 1 { "idle" } else { "working" }, "running_ms": 12_000 + slot * 1_000,
                "progress": 0.45, "cpu_percent": 98.2, "rss_bytes": 152 << 20, "queue": "resize",
                "job": format!("019b2c0e-0000-7000-8000-00000000000{}", slot % 10) })
        };
        let failure = Failure {
            time_ms: 1_000,
            queue: "resize".to_owned(),
            outcome: "FAILED".to_owned(),
            job: "019b2c0e-0000-7000-8000-000000000009".to_owned(),
            why: "bad_image: it is no picture".to_owned(),
        };
        Look {
            at: Instant::now(),
            status: json!({ "jobs": 12, "leases": 4, "memory_bytes": 5 << 20, "memory_max": 4_u64 << 30, "queues": [queue("resize", 8, 1), queue("nobody", 3, 0)] }),
            hosts: vec![
                json!({ "name": "resize", "slots": slots, "working": slots - 1, "age_ms": 200_000, "every_ms": 1000,
                "cpu_percent": 196.0, "rss_bytes": 400 << 20, "queues": ["resize"], "slot_list": (0..slots).map(slot).collect::<Vec<_>>() }),
            ],
            workers: vec![json!({ "name": "box:77", "queues": ["hello"], "free": 3, "attached": true,
                "jobs": [{ "job": "019b2c0e-0000-7000-8000-00000000abcd", "running_ms": 3_000 }] })],
            failures: vec![failure],
        }
    }

    fn drawn(screen: &mut Screen, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| draw(frame, screen)).expect("a picture");
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect()
    }

    fn shown(slots: u64) -> Screen {
        let mut screen = Screen::new("ipc:///run/broker.ipc".to_owned(), Duration::from_secs(1));
        screen.take(Ok(look(slots)));
        screen
    }

    #[test]
    fn all_has_its_place_on_80_columns_and_24_lines() {
        let lines = drawn(&mut shown(3), 80, 24);
        let text = lines.join("\n");
        assert!(lines[0].starts_with("forebay top  ipc:///run/broker.ipc"), "{text}");
        let line = |part: &str| {
            lines.iter().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part} in\n{text}"))
        };
        assert_eq!(line("QUEUE  ").split_whitespace().last(), Some("DONE"), "{text}");
        assert_eq!(
            line("nobody").split_whitespace().take(5).collect::<Vec<_>>(),
            ["nobody", "3", "2", "0", "0"],
            "{text}"
        );
        let host: Vec<_> = line("2 of 3").split_whitespace().collect();
        assert_eq!(
            host,
            ["resize", "2", "of", "3", "3", "min", "196", "%", "400.00", "MiB", "resize"],
            "{text}"
        );
        let slot: Vec<_> = line("~0000002").split_whitespace().collect();
        assert_eq!(slot[..9], ["2", "working", "14", "s", "45", "%", "98", "%", "152.00"], "{text}");
        assert!(line("box:77").contains("1 of 4") && line("bad_image").contains("FAILED"), "{text}");
        assert!(lines[23].starts_with("q quit  s sort (name)"), "{text}");
    }

    #[test]
    fn keys_sort_scroll_pause_and_help() {
        let mut screen = shown(40);
        let press = |screen: &mut Screen, code| screen.press(KeyEvent::from(code));
        let first = |lines: &[String]| lines.iter().position(|line| line.starts_with("  0 ")).is_some();
        assert!(first(&drawn(&mut screen, 80, 24)));
        press(&mut screen, KeyCode::Char('s'));
        let lines = drawn(&mut screen, 80, 24);
        let host = lines.iter().position(|line| line.contains("39 of 40")).expect("the host");
        assert!(lines[host + 1].starts_with("  39 ") && !first(&lines), "{lines:?}");
        (0..9).for_each(|_| press(&mut screen, KeyCode::PageDown));
        let lines = drawn(&mut screen, 80, 24);
        assert!(first(&lines) && lines.iter().any(|line| line.contains("box:77")), "{lines:?}");
        assert!(screen.scrolled < 42, "{} lines: there are no more", screen.scrolled);
        press(&mut screen, KeyCode::Char('p'));
        screen.take(Ok(look(2)));
        assert!(drawn(&mut screen, 80, 24)[0].ends_with("PAUSED"));
        assert!(
            drawn(&mut screen, 80, 24).iter().any(|line| line.contains("(42)")),
            "the picture did not stand still"
        );
        press(&mut screen, KeyCode::Char('h'));
        assert!(drawn(&mut screen, 80, 24).iter().any(|line| line.contains("quits")));
        press(&mut screen, KeyCode::Char('x'));
        assert!(!drawn(&mut screen, 80, 24).iter().any(|line| line.contains("quits")));
        assert!(drawn(&mut screen, 80, 24).iter().any(|line| line.contains("q quit  s sort (age)")));
        press(&mut screen, KeyCode::Char('q'));
        assert!(screen.is_over);
    }

    #[test]
    fn a_small_terminal_and_a_broker_that_is_away_are_no_trouble() {
        for (width, height) in [(1, 1), (20, 5), (80, 10), (300, 100)] {
            let mut screen = shown(3);
            screen.shows_help = true;
            drawn(&mut screen, width, height);
        }
        let mut screen = shown(3);
        screen.take(Err("nobody answers".to_owned()));
        assert_eq!(drawn(&mut screen, 80, 24)[23], "nobody answers");
    }
}
