//! Ids.
//!
//! A job's id is a UUID of version 7 (RFC 9562), made on the client's side. Submitting the same id with the same content
//! again is the same job, so a program that does not know whether a job was taken submits it again.

use std::ffi::c_char;

use crate::ffi::arg;
use crate::ffi::status::forebay_status_t;
use crate::model::{Failure, JobId, Status};

/// A job's id: 16 bytes in network byte order. This structure is frozen.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct forebay_id_t {
    /// The bytes, the first 6 the Unix time in milliseconds.
    pub bytes: [u8; 16],
}

impl From<JobId> for forebay_id_t {
    fn from(id: JobId) -> Self {
        forebay_id_t { bytes: id.0 }
    }
}

/// Bytes of an id's text with its NUL.
pub const FOREBAY_ID_TEXT_CAP: usize = 37;

/// Makes an id by the local clock, greater than any this process made before.
///
/// FOREBAY_ERR_IO when the system has no random bytes. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_id_new(id: *mut forebay_id_t) -> forebay_status_t {
    guard!(std::ptr::null_mut(), {
        let id = arg::out(id, "id")?;
        let made = crate::api::id_new()?;
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { id.write(made.into()) };
        Ok(())
    })
}

/// Writes an id as text, such as "0198c0de-7a5b-7c1d-8e2f-0123456789ab", with its NUL, into `buf` of `cap` bytes; less of
/// it, still with a NUL, where `cap` is too small. FOREBAY_ID_TEXT_CAP bytes are enough.
///
/// Answers the bytes of the whole text without its NUL: 36. 0 for an `id` of NULL. `buf` may be NULL with a `cap` of 0.
///
/// Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_id_text(id: *const forebay_id_t, buf: *mut c_char, cap: usize) -> usize {
    guard!(get 0, {
        // SAFETY: NULL or an id, as the contract says.
        let Some(id) = (unsafe { id.as_ref() }) else { return 0 };
        let text = JobId(id.bytes).to_string();
        // SAFETY: `buf` has `cap` bytes, as the contract says.
        unsafe { arg::fill_text(buf, cap, &text) };
        text.len()
    })
}

/// Reads an id from its text of 36 characters; upper case is read too.
///
/// FOREBAY_ERR_ARGUMENT when it is none. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_id_parse(text: *const c_char, id: *mut forebay_id_t) -> forebay_status_t {
    guard!(std::ptr::null_mut(), {
        // SAFETY: NULL or text, as the contract says.
        let text = unsafe { arg::text(text, "text") }?;
        let id = arg::out(id, "id")?;
        let parsed = JobId::parse(text).ok_or_else(|| Failure::new(Status::Argument, "not an id"))?;
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe { id.write(parsed.into()) };
        Ok(())
    })
}

/// An id that must be there.
///
/// # Safety
/// `id` is NULL or an id.
pub(super) unsafe fn read(id: *const forebay_id_t, name: &str) -> Result<JobId, Failure> {
    // SAFETY: the caller's promise. An id is bytes and needs no alignment.
    unsafe { arg::object(id, name) }.map(|id| JobId(id.bytes))
}

/// Ids that must be there.
///
/// # Safety
/// `ids` is NULL or `len` ids.
pub(super) unsafe fn read_all(
    ids: *const forebay_id_t,
    len: usize,
    name: &str,
) -> Result<Vec<JobId>, Failure> {
    // SAFETY: the caller's promise. An id is bytes and needs no alignment.
    let ids = unsafe { arg::array(ids, len, name) }?;
    Ok(ids.iter().map(|id| JobId(id.bytes)).collect())
}

const _: () = assert!(size_of::<forebay_id_t>() == 16 && align_of::<forebay_id_t>() == 1);
