//! The picture: how many jobs a second each contender did with 1 KiB over ipc, for each number in flight.

use std::path::Path;

use plotters::prelude::*;

use crate::cell::Wiring;
use crate::measure::Cell;
use crate::middle::{Middle, grouped};

const WIDTH: u32 = 960;
const ROW: u32 = 26;
const FOREBAY: RGBColor = RGBColor(0xc2, 0x41, 0x0c);
const CEILING: RGBColor = RGBColor(0x94, 0xa3, 0xb8);
const PEER: RGBColor = RGBColor(0x33, 0x6b, 0x9b);

/// Draws the cells of 1 KiB with the usual wiring, one below the other; nothing if there are none.
pub(crate) fn draw(cells: &[Cell], file: &Path) {
    let shown: Vec<&Cell> =
        cells.iter().filter(|cell| cell.wiring == Wiring::USUAL && cell.load.size == 1 << 10).collect();
    if shown.is_empty() {
        return;
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).expect("a folder for the picture");
    }
    if let Err(error) = panels(&shown, file) {
        panic!("cannot draw {}: {error}", file.display());
    }
    println!("\nThe picture is {}", file.display());
}

fn panels(cells: &[&Cell], file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let heights: Vec<u32> = cells.iter().map(|cell| ROW * cell.rows.len() as u32 + 70).collect();
    let area = SVGBackend::new(file, (WIDTH, heights.iter().sum())).into_drawing_area();
    area.fill(&WHITE)?;
    let mut rest = area;
    for (cell, height) in cells.iter().zip(heights) {
        let (panel, below) = rest.split_vertically(height);
        self::panel(cell, &panel)?;
        rest = below;
    }
    rest.present()?;
    Ok(())
}

/// One cell: a bar for each contender, the median's, with a line from the slowest round to the fastest.
fn panel(
    cell: &Cell,
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
) -> Result<(), Box<dyn std::error::Error>> {
    let rates: Vec<(&str, Middle)> =
        cell.rows.iter().map(|row| (row.name, row.middle(|round| round.per_s))).collect();
    let most = rates.iter().map(|(_, rate)| rate.max).fold(1.0, f64::max);
    let count = rates.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(format!("Echo of {}, ipc: jobs/s", cell.load.title()), ("sans-serif", 18))
        .margin(8)
        .margin_left(110)
        .margin_right(90)
        .x_label_area_size(24)
        .build_cartesian_2d(0.0..most * 1.02, 0.0..count)?;
    chart
        .configure_mesh()
        .disable_y_axis()
        .disable_y_mesh()
        .x_labels(8)
        .x_label_formatter(&|x| grouped(*x))
        .draw()?;
    for (at, (name, rate)) in rates.iter().enumerate() {
        let (top, bottom) = (count - at as f64 - 0.15, count - at as f64 - 0.85);
        let middle = count - at as f64 - 0.5;
        let colour = colour(name);
        chart.draw_series([Rectangle::new([(0.0, bottom), (rate.median, top)], colour.filled())])?;
        chart.draw_series([PathElement::new(vec![(rate.min, middle), (rate.max, middle)], BLACK)])?;
        let label = ("sans-serif", 14).into_font();
        let (x, y) = chart.backend_coord(&(0.0, middle));
        area.draw(&Text::new((*name).to_owned(), shifted(area, x - 100, y - 7), label.clone()))?;
        let (x, _) = chart.backend_coord(&(rate.max, middle));
        area.draw(&Text::new(grouped(rate.median), shifted(area, x + 6, y - 7), label))?;
    }
    Ok(())
}

/// A place of the whole picture as one of this part of it.
fn shifted(area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>, x: i32, y: i32) -> (i32, i32) {
    let (left, top) = area.get_base_pixel();
    (x - left, y - top)
}

fn colour(name: &str) -> RGBColor {
    match name {
        "forebay" => FOREBAY,
        "proxy" | "credit" | "coalescing" => CEILING,
        _ => PEER,
    }
}
