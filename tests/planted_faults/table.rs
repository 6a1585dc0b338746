//! The table of docs/RELIABILITY.md: what is planted, and what found it. `FOREBAY_BLESS=1` writes it anew.

use std::fmt;
use std::fs;

use forebay::model::PLANTED;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/RELIABILITY.md");
/// Of what a rule says, so much is shown.
const WHY_LEN_MAX: usize = 120;
const HEAD: &str = "| planted | | found by | seed | what it says |\n|---|---|---|---|---|\n";
/// Begins the line in which a process says what it found.
const MARK: &str = "FOUND ";

/// What found a bug, the first seed that did, and the rule it named.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    by: String,
    seed: String,
    why: String,
}

impl Found {
    /// `why` as one line, without ids and what stands in brackets.
    pub(crate) fn new(by: &str, seed: &str, why: &str) -> Found {
        let first = why.lines().next().unwrap_or_default();
        let first =
            first.trim_start_matches("assertion `left == right` failed: ").trim_start_matches("broken: ");
        let mut depth = 0_u32;
        let mut is_outside = |c: char| {
            depth += u32::from("([{".contains(c));
            let is_outside = depth == 0;
            depth -= u32::from(depth > 0 && ")]}".contains(c));
            is_outside
        };
        let said: String = first.chars().filter(|c| is_outside(*c)).collect();
        let said = said.split([';', '|']).next().unwrap_or_default();
        let words = said.split_whitespace().filter(|word| !["Some", "Some,"].contains(word));
        let mut why = String::new();
        for word in words.map(|word| if word.len() > 30 { "..." } else { word }) {
            if why.len() + word.len() > WHY_LEN_MAX {
                why += " ...";
                break;
            }
            why = format!("{why} {word}");
        }
        let why = why.trim_matches([' ', ':', ',']).to_owned();
        Found { by: by.to_owned(), seed: seed.to_owned(), why }
    }

    pub(crate) fn line(&self) -> String {
        format!("{MARK}{self}")
    }

    pub(crate) fn of_line(line: &str) -> Option<Found> {
        let mut parts = line.strip_prefix(MARK)?.splitn(3, " | ");
        let mut part = || parts.next().map(str::to_owned);
        Some(Found { by: part()?, seed: part()?, why: part()? })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} | {} | {}", self.by, self.seed, self.why)
    }
}

/// Prints the table and holds the page to it. Only what is planted: which seed finds it changes with every change of
/// the code.
pub(crate) fn hold(results: &[Option<Found>]) {
    let mut table = HEAD.to_owned();
    for ((name, what), found) in PLANTED.iter().zip(results) {
        let found = found.as_ref().map_or("nothing | | ".to_owned(), Found::to_string);
        table += &format!("| {name} |{what} | {found} |\n");
    }
    println!("\n{table}");
    let page = fs::read_to_string(PAGE).expect("the page is there");
    let from = page.find(HEAD).expect("the page has the table");
    let to = page[from..].find("\n\n").map_or(page.len(), |len| from + len + 1);
    if std::env::var_os("FOREBAY_BLESS").is_some() {
        let page = [&page[..from], &table, &page[to..]].concat();
        fs::write(PAGE, page).expect("the page can be written");
        return;
    }
    let planted = |table: &str| -> Vec<String> {
        table.lines().map(|line| line.splitn(4, '|').take(3).collect::<String>()).collect()
    };
    assert!(
        planted(&page[from..to]) == planted(&table),
        "docs/RELIABILITY.md lists other bugs; FOREBAY_BLESS=1 with the same command writes it"
    );
}
