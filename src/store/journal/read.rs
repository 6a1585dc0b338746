//! Reading a store back. Changes nothing, so that `forebay store check` may do it too.

use crate::core::record::Record;
use crate::model::{Failure, Status};
use crate::store::codec::{CodecError, Decoder, Kind};
use crate::store::disk::Disk;
use crate::store::io_failure;
use crate::store::journal::frame::{Frame, seed};
use crate::store::journal::segment::{BODY_AT, Header, Number, Place, Read, name_of, number_in, spare_in};
use crate::store::journal::walk::{Tail, Walk, has_batches};

/// A store as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) broker: [u8; 16],
    pub(super) salt: [u8; 16],
    /// The last epoch anything speaks of.
    pub(super) epoch: u32,
    /// The lsn that comes next.
    pub(super) lsn: u64,
    /// Those needed, oldest first; the last one goes on at its `used_end`.
    pub(super) segments: Vec<FoundSegment>,
    /// Files of the store that are not needed.
    pub(super) left_over: Vec<String>,
    pub(super) cut: Cut,
    /// Records that count, those copied forward included.
    pub(super) records: u64,
}

/// A segment that is needed.
#[derive(Debug)]
pub(super) struct FoundSegment {
    pub(super) number: Number,
    pub(super) len: u64,
    /// Where its last batch ends.
    pub(super) used_end: usize,
}

/// What was cut off at the end: a batch that a crash interrupted, and whose records nobody was told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The file, and where in it.
    pub file: String,
    /// Where it was cut.
    pub offset: u64,
    /// Bytes of what is whole of it; 0 when nothing was cut.
    pub bytes: u64,
    /// Records of what is whole of it.
    pub records: u64,
}

/// Which files there are.
struct Names {
    numbers: Vec<Number>,
    left_over: Vec<String>,
}

/// Reads the store and hands over every record that counts, in order. `None`: there is none yet; `left_over` of one
/// whose making was interrupted is handed back instead.
///
/// # Errors
/// `ERR_STORE` with file and offset when something that was synced is not as it was, `ERR_UNSUPPORTED` for a later
/// version's, `ERR_IO`.
pub(super) fn read<D: Disk>(
    disk: &mut D,
    mut take: impl FnMut(Record, Place),
) -> Result<Result<Found, Vec<String>>, Failure> {
    let mut buffer = Vec::new();
    let Names { mut numbers, mut left_over } = names(disk)?;
    let Some(newest) = newest(disk, &mut numbers, &mut left_over, &mut buffer)? else {
        return Ok(Err(left_over));
    };
    let (salt, broker) = (newest.salt, newest.broker);
    let needed_from = oldest_needed(&buffer, &newest);
    let first = numbers.iter().position(|number| u64::from(number.get()) >= needed_from);
    let needed = numbers.split_off(first.unwrap_or(numbers.len()));
    left_over.extend(numbers.into_iter().map(name_of));
    for (number, wanted) in needed.iter().zip(needed_from..) {
        if u64::from(number.get()) != wanted {
            return Err(missing(wanted));
        }
    }
    let mut found = Found {
        broker,
        salt,
        epoch: newest.epoch,
        lsn: 0,
        segments: Vec::new(),
        left_over,
        cut: Cut::default(),
        records: 0,
    };
    let mut decoder = Decoder::default();
    let mut before: Option<(Number, usize)> = None;
    for &number in &needed {
        // The newest is in the buffer already, unless another one was read since.
        let header = if needed.len() == 1 { newest.clone() } else { load(disk, number, &mut buffer)? };
        if header.salt != salt {
            return Err(damaged(&name_of(number), 0, "it belongs to another store"));
        }
        if let Some((before, end)) = before.filter(|_| header.first_lsn != found.lsn) {
            let why = format!("the segment after it goes on at record {}", header.first_lsn);
            return Err(damaged(&name_of(before), end, &why));
        }
        let end =
            read_segment(&buffer, &header, number == newest.number, &mut decoder, &mut found, &mut take)?;
        before = Some((number, end));
    }
    Ok(Ok(found))
}

fn read_segment(
    buffer: &[u8],
    header: &Header,
    is_newest: bool,
    decoder: &mut Decoder,
    found: &mut Found,
    take: &mut impl FnMut(Record, Place),
) -> Result<usize, Failure> {
    let number = header.number;
    let mut walk = Walk::new(buffer, header, seed(&found.salt, u64::from(number.get())));
    let mut frames: Vec<Frame> = Vec::new();
    while walk.next_batch(&mut frames) {
        for frame in &frames {
            let record =
                decode(decoder, frame, buffer).map_err(|why| unreadable(&name_of(number), frame.at, why))?;
            let place = Place { segment: number, offset: frame.at as u32, len: frame.payload.len() as u32 };
            take(record, place);
        }
        found.records += frames.len() as u64;
    }
    // The place behind the witness, if it is there: `next_batch` has looked for it.
    (found.lsn, found.epoch) = (walk.lsn(), walk.epoch());
    if is_newest {
        match walk.tail() {
            Tail::Cut { bytes, records } => {
                found.cut = Cut { file: name_of(number), offset: walk.at() as u64, bytes, records };
            }
            Tail::Damaged { proof_at } => {
                let why =
                    format!("what stands at byte {proof_at} was written after the batch that should be here");
                return Err(damaged(&name_of(number), walk.at(), &why));
            }
        }
    }
    found.segments.push(FoundSegment { number, len: buffer.len() as u64, used_end: walk.at() });
    Ok(walk.at())
}

fn decode(decoder: &mut Decoder, frame: &Frame, buffer: &[u8]) -> Result<Record, CodecError> {
    let kind = Kind::from_number(frame.kind).ok_or(CodecError::Version(frame.version))?;
    decoder.decode(kind, frame.version, &buffer[frame.payload.clone()])
}

fn names<D: Disk>(disk: &mut D) -> Result<Names, Failure> {
    let mut found = Names { numbers: Vec::new(), left_over: Vec::new() };
    let names = disk.names().map_err(|error| io_failure("cannot list the files", &error))?;
    for name in names {
        if let Some(number) = number_in(&name) {
            found.numbers.push(number);
        } else if spare_in(&name).is_some() {
            found.left_over.push(name);
        }
    }
    found.numbers.sort_unstable();
    Ok(found)
}

/// Reads the whole segment and its header, which must be there.
fn load<D: Disk>(disk: &mut D, number: Number, buffer: &mut Vec<u8>) -> Result<Header, Failure> {
    let name = name_of(number);
    load_bytes(disk, &name, buffer)?;
    match Header::decode(buffer) {
        Read::Header(header) if header.number == number => Ok(header),
        Read::Header(header) => {
            let why = format!("its header is that of segment {}", header.number);
            Err(damaged(&name, 0, &why))
        }
        Read::Later(format) => Err(later(&name, format)),
        Read::Bad => Err(damaged(&name, 0, "it has no whole header")),
    }
}

fn load_bytes<D: Disk>(disk: &mut D, name: &str, buffer: &mut Vec<u8>) -> Result<(), Failure> {
    let mut all = || {
        let len = disk.len(name)? as usize;
        buffer.resize(len, 0);
        disk.read(name, 0, buffer)
    };
    all().map_err(|error| io_failure(format_args!("cannot read {name}"), &error))
}

/// The newest segment whose making was finished, its bytes in `buffer`. One that was not is left over.
fn newest<D: Disk>(
    disk: &mut D,
    numbers: &mut Vec<Number>,
    left_over: &mut Vec<String>,
    buffer: &mut Vec<u8>,
) -> Result<Option<Header>, Failure> {
    let Some(&last) = numbers.last() else { return Ok(None) };
    let name = name_of(last);
    load_bytes(disk, &name, buffer)?;
    match Header::decode(buffer) {
        Read::Header(header) if header.number == last => return Ok(Some(header)),
        Read::Later(format) => return Err(later(&name, format)),
        Read::Header(_) | Read::Bad => {}
    }
    // Its header is synced before anything else is written to it.
    numbers.pop();
    let used = match numbers.last() {
        None => buffer.iter().skip(BODY_AT).any(|byte| *byte != 0),
        Some(&before) => {
            let bytes = std::mem::take(buffer);
            let salt = load(disk, before, buffer)?.salt;
            has_batches(&bytes, seed(&salt, u64::from(last.get())))
        }
    };
    if used {
        return Err(damaged(&name, 0, "it has no whole header, and batches behind it"));
    }
    left_over.push(name);
    match numbers.last() {
        None => Ok(None),
        Some(&before) => load(disk, before, buffer).map(Some),
    }
}

/// The oldest segment needed, as the newest one knows it.
fn oldest_needed(buffer: &[u8], newest: &Header) -> u64 {
    let mut walk = Walk::new(buffer, newest, seed(&newest.salt, u64::from(newest.number.get())));
    let mut frames = Vec::new();
    while walk.next_batch(&mut frames) {}
    walk.oldest()
}

/// Something that was synced is not as it was.
pub(super) fn damaged(file: &str, offset: usize, why: &str) -> Failure {
    Failure::new(
        Status::Store,
        format!(
            "{file} is damaged at byte {offset}: {why}; nothing was changed, and a copy of the folder is the way back"
        ),
    )
}

fn unreadable(file: &str, offset: usize, why: CodecError) -> Failure {
    match why {
        CodecError::Version(_) => {
            Failure::new(Status::Unsupported, format!("{file} at byte {offset}: {why}; start that one"))
        }
        _ => damaged(file, offset, &why.to_string()),
    }
}

fn later(file: &str, format: u32) -> Failure {
    Failure::new(
        Status::Unsupported,
        format!("{file} has format {format}, written by a later forebay; this one reads format 1"),
    )
}

fn missing(number: u64) -> Failure {
    Failure::new(
        Status::Store,
        format!(
            "the file {number:08x}.log is missing; nothing was changed, and a copy of the folder is the way back"
        ),
    )
}
