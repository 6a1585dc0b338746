//! A run as a picture: its graph with states and times, in the language of Graphviz or as SVG.

use std::collections::HashMap;
use std::fmt::Write;

use forebay::api::pipeline::{self, Drawn};
use serde_json::Value;

use crate::cli::ask::{rows, text};
use crate::cli::time;

/// The box of a step, and the room between two, in pixels.
const WIDTH: usize = 150;
const HEIGHT: usize = 56;
const GAP_X: usize = 60;
const GAP_Y: usize = 20;
const MARGIN: usize = 20;
/// Characters of a name that fit into a box.
const NAME_LEN: usize = 20;

/// The run in the language of Graphviz.
pub(super) fn dot(run: &Value) -> String {
    let steps: Vec<Drawn> = rows(run, "step_list")
        .iter()
        .map(|step| Drawn {
            name: text(step, "name").to_owned(),
            label: format!("{}\n{}", text(step, "name"), state(step)),
            fill: fill(step),
            needs: needs(step).map(|(name, is_input)| (name.to_owned(), is_input)).collect(),
        })
        .collect();
    pipeline::dot(text(run, "name"), &steps)
}

/// The run as SVG: steps stand to the right of what they need, under each other in the order of the pipeline.
pub(super) fn svg(run: &Value) -> String {
    let steps = rows(run, "step_list");
    let columns = columns(steps);
    let mut heights: Vec<usize> = Vec::new();
    let mut places = Vec::with_capacity(steps.len());
    for &column in &columns {
        if heights.len() <= column {
            heights.resize(column + 1, 0);
        }
        let (x, y) = (MARGIN + column * (WIDTH + GAP_X), MARGIN + 24 + heights[column] * (HEIGHT + GAP_Y));
        heights[column] += 1;
        places.push((x, y));
    }
    let width = 2 * MARGIN + heights.len().max(1) * (WIDTH + GAP_X) - GAP_X;
    let height = MARGIN + 24 + heights.iter().max().copied().unwrap_or(0) * (HEIGHT + GAP_Y);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n"
    );
    let title = format!(
        "{}: {}, {}",
        text(run, "name"),
        text(run, "outcome"),
        time::span(run["duration_ms"].as_u64().unwrap_or(0))
    );
    let _ = writeln!(
        svg,
        "<text x=\"{MARGIN}\" y=\"{}\" font-weight=\"bold\">{}</text>",
        MARGIN,
        escaped(&title)
    );
    let index: HashMap<&str, usize> =
        steps.iter().enumerate().map(|(at, step)| (text(step, "name"), at)).collect();
    for (at, step) in steps.iter().enumerate() {
        for (name, is_input) in needs(step) {
            let Some(&from) = index.get(name) else { continue };
            let (x1, y1) = (places[from].0 + WIDTH, places[from].1 + HEIGHT / 2);
            let (x2, y2) = (places[at].0, places[at].1 + HEIGHT / 2);
            let (middle, dash) = (x1.midpoint(x2), if is_input { "" } else { " stroke-dasharray=\"4\"" });
            let _ = writeln!(
                svg,
                "<path d=\"M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}\" fill=\"none\" stroke=\"#667\"{dash}/>"
            );
        }
    }
    for (step, (x, y)) in steps.iter().zip(&places) {
        let name: String = text(step, "name").chars().take(NAME_LEN).collect();
        let _ = writeln!(
            svg,
            "<g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\" fill=\"{}\" stroke=\"#667\"/>\
             <text x=\"{}\" y=\"{}\">{}</text><text x=\"{}\" y=\"{}\" fill=\"#445\">{}</text></g>",
            escaped(&format!("{} {}", text(step, "name"), super::note(step))),
            fill(step),
            x + 10,
            y + 22,
            escaped(&name),
            x + 10,
            y + 42,
            escaped(&state(step)),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// For each step one more than the largest of what it needs. Steps may be declared in any order.
fn columns(steps: &[Value]) -> Vec<usize> {
    let index: HashMap<&str, usize> =
        steps.iter().enumerate().map(|(at, step)| (text(step, "name"), at)).collect();
    let needs: Vec<Vec<usize>> = steps
        .iter()
        .map(|step| needs(step).filter_map(|(name, _)| index.get(name).copied()).collect())
        .collect();
    let mut missing: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut dependents = vec![Vec::new(); steps.len()];
    for (at, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|&need| dependents[need].push(at));
    }
    let mut columns = vec![0; steps.len()];
    let mut ready: Vec<usize> = (0..steps.len()).filter(|&at| missing[at] == 0).collect();
    while let Some(done) = ready.pop() {
        for &at in &dependents[done] {
            columns[at] = columns[at].max(columns[done] + 1);
            missing[at] -= 1;
            if missing[at] == 0 {
                ready.push(at);
            }
        }
    }
    columns
}

/// What a step needs, and whether it takes the result.
fn needs(step: &Value) -> impl Iterator<Item = (&str, bool)> {
    let inputs = rows(step, "inputs");
    rows(step, "needs").iter().filter_map(|need| Some((need.as_str()?, inputs.contains(need))))
}

/// How a step stands, and how long it took.
fn state(step: &Value) -> String {
    match (step["started_ms"].as_u64(), step["ended_ms"].as_u64()) {
        (Some(from), Some(to)) => {
            format!("{} {}", text(step, "outcome"), time::span(to.saturating_sub(from)))
        }
        _ => text(step, "outcome").to_owned(),
    }
}

fn fill(step: &Value) -> &'static str {
    match text(step, "outcome") {
        "DONE" => "#cdeccd",
        "RUNNING" => "#cfe3ff",
        "WAITING" => "#f2f2f2",
        "REJECTED" | "CANCELLED" => "#e4dccf",
        _ => "#f6c9c4",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
