//! Library memory.
//!
//! A buffer is memory the library owns and may keep without a copy: a payload or a result is written into it once and
//! travels from there. It is shared by whoever it was given to; the last one to let go of it frees it.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

use bytes::Bytes;

use crate::ffi::arg;
use crate::ffi::error::forebay_error_t;
use crate::ffi::status::forebay_status_t;
use crate::model::{Failure, Status};

/// Bytes owned by the library.
pub struct forebay_buffer_t(Arc<Memory>);

/// One allocation, not set to anything. Written by C before it is handed over, read by anybody after.
struct Memory {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory is plain bytes, and the contract forbids writing once it is shared.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

/// What the start of every buffer is aligned to, enough for any vector instruction.
const ALIGN: usize = 64;

impl Memory {
    fn new(len: usize) -> Result<Self, Failure> {
        let refused = || Failure::new(Status::Memory, format!("no memory for a buffer of {len} bytes"));
        let layout = Self::layout(len).ok_or_else(refused)?;
        // SAFETY: the layout has at least one byte.
        let start = unsafe { alloc(layout) };
        Ok(Memory { start: NonNull::new(start).ok_or_else(refused)?, len })
    }

    fn layout(len: usize) -> Option<Layout> {
        Layout::from_size_align(len.max(1), ALIGN).ok()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.len) {
            // SAFETY: allocated by `new` with this layout, and nobody else has it.
            unsafe { dealloc(self.start.as_ptr(), layout) };
        }
    }
}

/// A buffer that is shared, as the bytes of a frame.
struct Shared(Arc<Memory>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `len` bytes from `start` live as long as the memory, and are not written once they are shared.
        unsafe { std::slice::from_raw_parts(self.0.start.as_ptr(), self.0.len) }
    }
}

impl forebay_buffer_t {
    /// Its bytes, without a copy.
    pub(super) fn bytes(&self) -> Bytes {
        Bytes::from_owner(Shared(Arc::clone(&self.0)))
    }
}

/// Makes a buffer of `len` bytes, not set to anything; `*data` is where they are, aligned to 64. The caller writes all of
/// them, gives the buffer to a submission or to forebay_job_complete_buffer, does not write them any more after that, and
/// frees the buffer at any time. The bytes live until the buffer is freed.
///
/// FOREBAY_ERR_MEMORY when there is no such room. Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_buffer_new(
    len: usize,
    buffer: *mut *mut forebay_buffer_t,
    data: *mut *mut c_void,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        let (buffer, data) = (arg::out(buffer, "buffer")?, arg::out(data, "data")?);
        let memory = Memory::new(len)?;
        // SAFETY: not NULL, and may be written as the contract says.
        unsafe {
            data.write(memory.start.as_ptr().cast());
            buffer.write(arg::give(forebay_buffer_t(Arc::new(memory))));
        }
        Ok(())
    })
}

/// Lets go of a buffer. What it was given to keeps the bytes as long as it needs them. A `buffer` of NULL is nothing.
///
/// Any thread; nobody else may use the object any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_buffer_free(buffer: *mut forebay_buffer_t) {
    // SAFETY: NULL or a buffer that was handed out and not freed, as the contract says.
    guard!(get(), { unsafe { arg::take_back(buffer) } })
}
