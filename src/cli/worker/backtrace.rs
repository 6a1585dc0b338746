//! Where a process stood when it crashed: the addresses it left, by the names of functions.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};

use crate::slot::crash;

/// The most of a process's mappings that is read.
const MAPS_LEN_MAX: usize = 1 << 20;
/// The largest file whose names are looked for.
const FILE_LEN_MAX: u64 = 1 << 30;

/// One function on the way to the crash.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its name as the linker knows it, and how far into it.
    name: Option<(String, u64)>,
    /// The file's name.
    file: String,
    /// Where in the file.
    offset: u64,
}

/// A file's part in a process's memory.
struct Mapping<'a> {
    start: u64,
    end: u64,
    offset: u64,
    path: &'a str,
}

/// What a file says of its functions.
#[derive(Default)]
struct Names {
    /// Where parts of the file lie by its own addresses: offset, length, address.
    segments: Vec<(u64, u64, u64)>,
    /// Address, length, name.
    functions: Vec<(u64, u64, String)>,
}

/// The functions from the crash outward; none when the process left nothing.
pub(super) fn of_crash(report: &File) -> Vec<Frame> {
    left_at(report, crash::AT)
}

/// The functions from where it stood outward when it was asked for the `number`-th time; `None` when there is no answer yet.
pub(super) fn of_answer(report: &File, number: u32) -> Option<Vec<Frame>> {
    let mut answered = [0; 8];
    report.read_exact_at(&mut answered, crash::ANSWERED_AT).ok()?;
    (u64::from_ne_bytes(answered) == u64::from(number)).then(|| left_at(report, crash::ASKED_AT))
}

/// Puts the `number`-th question: where does this thread stand?
pub(super) fn ask(report: &File, thread: u32, number: u32) -> io::Result<()> {
    let mut question = [0; 8];
    question[..4].copy_from_slice(&thread.to_ne_bytes());
    question[4..].copy_from_slice(&number.to_ne_bytes());
    report.write_all_at(&question, crash::QUESTION_AT)
}

fn left_at(report: &File, at: u64) -> Vec<Frame> {
    let mut words = [0; (crash::FRAMES_MAX + 2) * 8];
    if report.read_exact_at(&mut words, at).is_err() {
        return Vec::new();
    }
    let words: Vec<u64> =
        words.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default())).collect();
    let mut maps = vec![0; MAPS_LEN_MAX];
    let len = report.read_at(&mut maps, at + crash::MAPS_BEHIND).unwrap_or(0);
    let len = maps[..len].iter().position(|byte| *byte == 0).unwrap_or(len);
    let maps = String::from_utf8_lossy(&maps[..len]).into_owned();
    let mappings: Vec<Mapping<'_>> = maps.lines().filter_map(mapping).collect();
    let count = usize::try_from(words[0]).unwrap_or(0).min(crash::FRAMES_MAX);
    let (fault, addresses) = (words[1], &words[2..2 + count]);
    // What comes before is the handler itself.
    let first = addresses.iter().position(|address| *address == fault).unwrap_or(0);
    let mut known = BTreeMap::new();
    let frame = |(i, address): (usize, &u64)| {
        // Where a call returns to may be in the next function already.
        frame(&mappings, &mut known, address - u64::from(i > 0))
    };
    let mut frames: Vec<Frame> = addresses[first..].iter().enumerate().filter_map(frame).collect();
    // Whoever called the plugin is of no interest.
    if let Some(last) = frames.iter().rposition(|frame| !is_ours(&frame.file) && !is_libc(&frame.file)) {
        frames.truncate(last + 1);
    }
    frames
}

/// Whether a file is forebay's own.
fn is_ours(file: &str) -> bool {
    file == "forebay" || file.starts_with("libforebay.")
}

/// Whether a file is the C library.
fn is_libc(file: &str) -> bool {
    file.starts_with("libc.") || file.starts_with("libc-")
}

/// The functions, a line each, as they stand in logs and histories.
pub(super) fn lines(frames: &[Frame]) -> String {
    frames.iter().enumerate().map(|(i, frame)| format!("\n#{i} {frame}")).collect()
}

/// The function to name in one sentence: the first that is not the C library's own, as abort is.
pub(super) fn culprit(frames: &[Frame]) -> Option<String> {
    let frame = frames.iter().find(|frame| !is_libc(&frame.file))?;
    frame.name.as_ref().map(|(name, _)| format!("{name} ({})", frame.file))
}

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some((name, into)) => write!(f, "{name}+{into:#x} in {}+{:#x}", self.file, self.offset),
            None => write!(f, "{}+{:#x}", self.file, self.offset),
        }
    }
}

/// A line of /proc/PID/maps that is a file's.
fn mapping(line: &str) -> Option<Mapping<'_>> {
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let offset = words.nth(1)?;
    let path = words.nth(2)?.trim_start();
    path.starts_with('/').then_some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        offset: hex(offset)?,
        path,
    })
}

fn frame(mappings: &[Mapping<'_>], known: &mut BTreeMap<String, Names>, address: u64) -> Option<Frame> {
    let mapping = mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&address))?;
    let offset = address - mapping.start + mapping.offset;
    let file = Path::new(mapping.path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    if is_ours(&file) {
        // It is large, and reading it would hold the verdict up.
        return Some(Frame { name: None, file, offset });
    }
    let names = known.entry(mapping.path.to_owned()).or_insert_with(|| names(mapping.path));
    Some(Frame { name: names.at(offset), file, offset })
}

/// The functions of a file; none when it cannot be read.
fn names(path: &str) -> Names {
    if !fs::metadata(path).is_ok_and(|about| about.len() <= FILE_LEN_MAX) {
        return Names::default();
    }
    let bytes = fs::read(path).unwrap_or_default();
    let Ok(file) = object::File::parse(&*bytes) else { return Names::default() };
    let segments = file.segments().map(|segment| {
        let (offset, len) = segment.file_range();
        (offset, len, segment.address())
    });
    let is_function =
        |symbol: &object::Symbol<'_, '_>| symbol.kind() == SymbolKind::Text && symbol.size() > 0;
    let function = |symbol: object::Symbol<'_, '_>| {
        symbol.name().ok().map(|name| (symbol.address(), symbol.size(), name.to_owned()))
    };
    let functions = file.symbols().chain(file.dynamic_symbols()).filter(is_function).filter_map(function);
    Names { segments: segments.collect(), functions: functions.collect() }
}

impl Names {
    /// The function at this place of the file.
    fn at(&self, offset: u64) -> Option<(String, u64)> {
        let holds = |(from, len, _): &&(u64, u64, u64)| (*from..from + len).contains(&offset);
        let (from, _, address) = self.segments.iter().find(holds)?;
        let at = offset - from + address;
        let holds = |(start, len, _): &&(u64, u64, String)| (*start..start + len).contains(&at);
        self.functions.iter().find(holds).map(|(start, _, name)| (name.clone(), at - start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps_are_read() {
        let line =
            "7f3a10000000-7f3a10002000 r-xp 00001000 08:01 1234                       /tmp/a b/libodd.so";
        let found = mapping(line).unwrap();
        assert_eq!((found.start, found.end, found.offset), (0x7f3a_1000_0000, 0x7f3a_1000_2000, 0x1000));
        assert_eq!(found.path, "/tmp/a b/libodd.so");
        assert!(mapping("7ffd0000-7ffd1000 rw-p 00000000 00:00 0                  [stack]").is_none());
    }

    #[test]
    fn a_function_of_this_very_program_has_its_name() {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mappings: Vec<Mapping<'_>> = maps.lines().filter_map(mapping).collect();
        let here: extern "C" fn() = named_for_the_test;
        let found = frame(&mappings, &mut BTreeMap::new(), here as usize as u64 + 1).unwrap();
        assert!(found.to_string().starts_with("named_for_the_test+0x1 in "), "{found}");
        assert!(culprit(&[found]).unwrap().starts_with("named_for_the_test ("));
    }

    #[unsafe(no_mangle)]
    extern "C" fn named_for_the_test() {
        std::hint::black_box(std::process::id());
    }
}
