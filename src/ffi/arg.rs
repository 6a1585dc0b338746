//! Arguments from C: NULL, UTF-8 and sizes are checked here, and failures name the argument.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::time::Duration;

use crate::model::{Failure, Status, limits};

fn wrong(name: &str, why: &str) -> Failure {
    Failure::new(Status::Argument, format!("{name} {why}"))
}

/// An object that must be there.
///
/// # Safety
/// `object` is NULL or lives for `'a`.
pub(super) unsafe fn object<'a, T>(object: *const T, name: &str) -> Result<&'a T, Failure> {
    // SAFETY: the caller's promise.
    unsafe { object.as_ref() }.ok_or_else(|| wrong(name, "is NULL"))
}

/// Text that must be there.
///
/// # Safety
/// `text` is NULL or ends with a NUL and lives for `'a`.
pub(super) unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(wrong(name, "is NULL"));
    }
    // SAFETY: the caller's promise, and it is not NULL.
    let bytes = unsafe { CStr::from_ptr(text) };
    bytes.to_str().map_err(|error| {
        let shown: String = bytes.to_string_lossy().chars().take(60).flat_map(char::escape_debug).collect();
        wrong(name, &format!("is not UTF-8 from byte {} on: \"{shown}\"", error.valid_up_to()))
    })
}

/// Text that may be NULL.
///
/// # Safety
/// As for [`text`].
pub(super) unsafe fn text_if_any<'a>(pointer: *const c_char, name: &str) -> Result<Option<&'a str>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { text(pointer, name) }.map(Some)
}

/// Bytes; NULL only with length 0.
///
/// # Safety
/// `data` is NULL or `len` bytes that live for `'a`.
pub(super) unsafe fn bytes<'a>(data: *const c_void, len: usize, name: &str) -> Result<&'a [u8], Failure> {
    // SAFETY: the caller's promise; a byte needs no alignment.
    unsafe { array(data.cast::<u8>(), len, name) }
}

/// An array; NULL only with length 0.
///
/// # Safety
/// `first` is NULL or `len` aligned elements that live for `'a`.
pub(super) unsafe fn array<'a, T>(first: *const T, len: usize, name: &str) -> Result<&'a [T], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        return Err(wrong(name, &format!("is NULL, but its length is {len}")));
    }
    if len > isize::MAX as usize / size_of::<T>() {
        return Err(wrong(name, &format!("has the length {len}, more than memory")));
    }
    if !first.is_aligned() {
        return Err(wrong(name, "is not aligned"));
    }
    // SAFETY: the caller's promise, not NULL, aligned, and not longer than memory.
    Ok(unsafe { std::slice::from_raw_parts(first, len) })
}

/// A place to write to that must be there.
pub(super) fn out<T>(place: *mut T, name: &str) -> Result<Out<T>, Failure> {
    if place.is_null() {
        return Err(wrong(name, "is NULL"));
    }
    Ok(Out(place))
}

/// A place to write to; NULL for a caller who does not want it.
pub(super) fn out_if_any<T>(place: *mut T) -> Out<T> {
    Out(place)
}

/// See [`out`].
pub(super) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Writes, unless the caller does not want it.
    ///
    /// # Safety
    /// The place is NULL or may be written.
    pub(super) unsafe fn write(&self, value: T) {
        // SAFETY: the caller's promise.
        unsafe { self.write_at(0, value) };
    }

    /// Writes to the element `i` of an array.
    ///
    /// # Safety
    /// The place is NULL or an array of more than `i` elements that may be written.
    pub(super) unsafe fn write_at(&self, i: usize, value: T) {
        if !self.0.is_null() {
            // SAFETY: the caller's promise. Unaligned, because nobody checked.
            unsafe { self.0.add(i).write_unaligned(value) };
        }
    }
}

/// A timeout: negative is for ever, 0 does not wait.
pub(super) fn timeout(timeout_ms: i64) -> Option<Duration> {
    u64::try_from(timeout_ms).ok().map(Duration::from_millis)
}

/// A time that is neither negative nor longer than any may be.
pub(super) fn duration_ms(ms: i64, name: &str) -> Result<u64, Failure> {
    let bounded = u64::try_from(ms).ok().filter(|ms| *ms <= limits::INTERVAL_MS_MAX);
    bounded.ok_or_else(|| {
        wrong(name, &format!("is {ms}; right would be 0 to {} milliseconds", limits::INTERVAL_MS_MAX))
    })
}

/// A number that is not larger than it may be.
pub(super) fn at_most(number: u32, max: u32, name: &str) -> Result<(), Failure> {
    if number <= max {
        return Ok(());
    }
    Err(wrong(name, &format!("is {number}; right would be 0 (as the options say) to {max}")))
}

/// A call that does something answers 0 or below: one whose time is over is not done.
pub(super) fn done_in_time(result: Result<(), Failure>, what: &str) -> Result<(), Failure> {
    result.map_err(|failure| match failure.status {
        Status::TimedOut | Status::Interrupted => Failure::new(Status::Unconfirmed, what),
        _ => failure,
    })
}

/// Text for C. Peers may have put anything into it: it is cut at the first NUL.
pub(super) fn c_text(text: &str) -> CString {
    let upto = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..upto]).unwrap_or_default()
}

/// Text that mostly is empty, which takes no memory then.
pub(super) struct SomeText(Option<CString>);

impl SomeText {
    pub(super) fn of(text: &str) -> Self {
        SomeText((!text.is_empty()).then(|| c_text(text)))
    }

    pub(super) fn as_ptr(&self) -> *const c_char {
        self.0.as_deref().unwrap_or(c"").as_ptr()
    }
}

/// Bytes for C, never NULL, so that they may be handed to `memcpy` whatever their length.
pub(super) fn c_bytes(bytes: &[u8]) -> *const c_void {
    const NOTHING: &[u8] = &[0];
    let shown = if bytes.is_empty() { NOTHING } else { bytes };
    shown.as_ptr().cast()
}

/// Writes text with a NUL into a buffer, as much as fits.
///
/// # Safety
/// `buf` is NULL or `cap` bytes that may be written.
pub(super) unsafe fn fill_text(buf: *mut c_char, cap: usize, text: &str) {
    if buf.is_null() || cap == 0 {
        return;
    }
    let len = text.len().min(cap - 1);
    // SAFETY: `len` is less than `cap`, and the caller's promise.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr(), buf.cast::<u8>(), len);
        buf.add(len).write(0);
    }
}

/// Writes bytes with a NUL into a buffer, all or none.
///
/// # Safety
/// `buf` is NULL or `cap` bytes that may be written.
pub(super) unsafe fn fill_whole(buf: *mut c_char, cap: usize, bytes: &[u8]) -> Result<(), Failure> {
    let needed = bytes.len() + 1;
    if buf.is_null() || cap < needed {
        let cap = if buf.is_null() { 0 } else { cap };
        return Err(Failure::new(
            Status::TooLarge,
            format!("buf has {cap} bytes; right would be {needed} with the NUL at its end"),
        ));
    }
    // SAFETY: `cap` is enough, and the caller's promise.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), buf.cast::<u8>(), bytes.len());
        buf.add(bytes.len()).write(0);
    }
    Ok(())
}

/// A number of things, as C sees it. All are bounded far below.
pub(super) fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Room for at least one.
pub(super) fn some_room(cap: usize) -> Result<(), Failure> {
    if cap == 0 { Err(wrong("cap", "is 0; right would be 1 or more")) } else { Ok(()) }
}

/// Hands a new object out.
pub(super) fn give<T>(object: T) -> *mut T {
    Box::into_raw(Box::new(object))
}

/// Takes an object back and drops it; NULL is nothing.
///
/// # Safety
/// `object` is NULL or came from [`give`] and was not taken back.
pub(super) unsafe fn take_back<T>(object: *mut T) {
    if !object.is_null() {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(object) });
    }
}

/// The largest `struct_size` that is believed. A larger one is memory that nobody set.
const STRUCT_SIZE_MAX: usize = 1_024;

/// The size in front of a structure, checked: at least what the first release had.
///
/// # Safety
/// `object` is NULL or begins with a `size_t` that may be read.
unsafe fn struct_size<T>(object: *const T, first_release: usize, name: &str) -> Result<usize, Failure> {
    if object.is_null() {
        return Err(wrong(name, "is NULL"));
    }
    // SAFETY: the caller's promise.
    let size = unsafe { object.cast::<usize>().read_unaligned() };
    if size < first_release || size > STRUCT_SIZE_MAX || !size.is_multiple_of(align_of::<T>()) {
        return Err(wrong(name, &format!("has the struct_size {size}; right would be sizeof *{name}")));
    }
    Ok(size)
}

/// Reads an array of structures that begin with their size. The first element's size is the stride. What a newer
/// program has at the end and this library does not know must be zero.
///
/// # Safety
/// `first` is NULL or `len` structures of the size the first one names; any bit pattern is a `T`.
pub(super) unsafe fn sized_array<T: Copy>(
    first: *const T,
    len: usize,
    first_release: usize,
    name: &str,
) -> Result<Vec<T>, Failure> {
    if len == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the caller's promise.
    let stride = unsafe { struct_size(first, first_release, name)? };
    if len > isize::MAX as usize / stride {
        return Err(wrong(name, &format!("has the length {len}, more than memory")));
    }
    let mut read = Vec::with_capacity(len.min(1 << 16));
    for i in 0..len {
        // SAFETY: element i lies within what the caller promised; `T` may be any bit pattern, zero included.
        let (element, tail) = unsafe {
            let at = first.cast::<u8>().add(i * stride);
            let mut element = std::mem::zeroed::<T>();
            ptr::copy_nonoverlapping(at, (&raw mut element).cast(), stride.min(size_of::<T>()));
            let known = size_of::<T>().min(stride);
            (element, std::slice::from_raw_parts(at.add(known), stride - known))
        };
        if tail.iter().any(|byte| *byte != 0) {
            return Err(Failure::new(
                Status::Unsupported,
                format!("{name} sets a field that came after version {}", env!("CARGO_PKG_VERSION")),
            ));
        }
        read.push(element);
    }
    Ok(read)
}

/// Writes a structure that begins with its size: as much as the caller has room for, zeros where the caller knows
/// more than this library. The caller's `struct_size` stays.
///
/// # Safety
/// `place` is NULL or may be written up to the size it names.
pub(super) unsafe fn write_sized<T: Copy>(
    place: *mut T,
    value: T,
    first_release: usize,
    name: &str,
) -> Result<(), Failure> {
    // SAFETY: the caller's promise.
    let size = unsafe { struct_size(place, first_release, name)? };
    let head = size_of::<usize>();
    let known = size.min(size_of::<T>());
    // SAFETY: `size` bytes may be written, and nothing is written past them.
    unsafe {
        let to = place.cast::<u8>();
        ptr::copy_nonoverlapping((&raw const value).cast::<u8>().add(head), to.add(head), known - head);
        ptr::write_bytes(to.add(known), 0, size - known);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct Old {
        struct_size: usize,
        a: u64,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct New {
        struct_size: usize,
        a: u64,
        b: u64,
    }

    #[test]
    fn an_older_program_is_read_with_zeros_and_a_newer_one_by_its_stride() {
        let old = [Old { struct_size: 16, a: 1 }, Old { struct_size: 16, a: 2 }];
        // SAFETY: the array is what its first size says.
        let read = unsafe { sized_array::<New>(old.as_ptr().cast(), 2, 16, "job").unwrap() };
        assert_eq!(read[1], New { struct_size: 16, a: 2, b: 0 });
        let mut new = [New { struct_size: 24, a: 1, b: 0 }, New { struct_size: 24, a: 2, b: 0 }];
        // SAFETY: as above.
        let read = unsafe { sized_array::<Old>(new.as_ptr().cast(), 2, 16, "job").unwrap() };
        assert_eq!(read[1].a, 2);
        new[1].b = 9;
        // SAFETY: as above.
        let refused = unsafe { sized_array::<Old>(new.as_ptr().cast(), 2, 16, "job").unwrap_err() };
        assert_eq!(refused.status, Status::Unsupported);
    }

    #[test]
    fn sizes_that_nobody_set_are_refused() {
        for size in [0, 8, 15, 17, 2_000, usize::MAX] {
            let job = Old { struct_size: size, a: 1 };
            // SAFETY: one element, of which only the size is read.
            let refused = unsafe { sized_array(&raw const job, 1, 16, "job").unwrap_err() };
            assert_eq!(refused.status, Status::Argument, "{size}");
        }
    }

    #[test]
    fn nothing_is_written_past_the_size() {
        let value = New { struct_size: 0, a: 5, b: 6 };
        let mut place = [New { struct_size: 16, a: 0, b: 77 }];
        // SAFETY: the place is larger than it says.
        unsafe { write_sized(place.as_mut_ptr(), value, 16, "view").unwrap() };
        assert_eq!(place[0], New { struct_size: 16, a: 5, b: 77 });
        let mut wide = [32_usize, 1, 1, 1, 1];
        // SAFETY: the place is larger than it says.
        unsafe { write_sized(wide.as_mut_ptr().cast::<New>(), value, 16, "view").unwrap() };
        assert_eq!(wide, [32, 5, 6, 0, 1]);
    }
}
