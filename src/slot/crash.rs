//! A slot that crashes leaves in its report where it stood, written by a signal handler on a stack of its own. The host reads
//! it when the process is gone. A slot that is asked by a signal does the same and goes on.
//!
//! Invariant: the handlers call what signal-safety(7) allows, and backtrace(3), whose unwinder was loaded beforehand. That of
//! crashes ends by raising the signal again, which then does what it would have done.

use std::ffi::{c_int, c_void};
use std::mem;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

/// Where in the report a crash stands: the number of addresses, the address of the fault, the addresses.
pub(crate) const AT: u64 = 1 << 20;
/// Where it stands after being asked, in the same form.
pub(crate) const ASKED_AT: u64 = 4 << 20;
/// So far behind either stand the process's mappings, as in /proc/self/maps.
pub(crate) const MAPS_BEHIND: u64 = 4_096;
/// What the host asks: the number of a thread, and a number for the question.
pub(crate) const QUESTION_AT: u64 = ASKED_AT - 16;
/// The number of the question that was answered last, written behind its answer.
pub(crate) const ANSWERED_AT: u64 = ASKED_AT - 8;
/// The most addresses.
pub(crate) const FRAMES_MAX: usize = 64;

/// Bytes of the handler's stack: unwinding needs some.
const STACK_LEN: usize = 128 << 10;
/// What ends a process by its own fault.
const SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];

/// By which it is asked: nothing happens to whoever has no handler for it, and hardly anybody has another use for it.
pub(crate) const ASK: c_int = libc::SIGURG;

static REPORT: AtomicI32 = AtomicI32::new(-1);

/// From now on crashes are written into this file, which stays open for good.
pub(crate) fn watch(report: RawFd) {
    REPORT.store(report, Ordering::SeqCst);
    let mut frames = [ptr::null_mut(); 2];
    // SAFETY: room for two addresses. The first call loads the unwinder, which a handler must not do.
    unsafe { libc::backtrace(frames.as_mut_ptr(), 2) };
    let stack: &'static mut [u8] = Box::leak(vec![0; STACK_LEN].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK_LEN };
    // SAFETY: the stack lives for ever; the handler has the signature that SA_SIGINFO asks for.
    unsafe {
        libc::sigaltstack(&raw const stack, ptr::null_mut());
        let mut action: libc::sigaction = mem::zeroed();
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_crash;
        action.sa_sigaction = handler as usize;
        // Once: what goes wrong in the handler ends the process.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND | libc::SA_NODEFER;
        for signal in SIGNALS {
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_ask;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigaction(ASK, &raw const action, ptr::null_mut());
    }
}

extern "C" fn on_crash(signal: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let report = REPORT.load(Ordering::SeqCst);
    // SAFETY: the context is the kernel's.
    unsafe {
        leave(report, AT, context);
        libc::raise(signal);
    }
}

/// The kernel hands a signal for the process to any of its threads, which passes it on to the one that is meant.
extern "C" fn on_ask(signal: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let report = REPORT.load(Ordering::SeqCst);
    let mut question = [0_u32; 2];
    // SAFETY: system calls on memory of this function; errno is the interrupted code's and is put back.
    unsafe {
        let errno = *libc::__errno_location();
        let len = size_of_val(&question);
        let read = libc::pread(report, question.as_mut_ptr().cast(), len, QUESTION_AT as libc::off_t);
        if read == len as isize {
            let [thread, number] = question;
            if thread == libc::gettid().cast_unsigned() {
                leave(report, ASKED_AT, context);
                let number = u64::from(number);
                libc::pwrite(report, (&raw const number).cast(), 8, ANSWERED_AT as libc::off_t);
            } else {
                libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal);
            }
        }
        *libc::__errno_location() = errno;
    }
}

/// Writes where the calling thread stood when its signal came.
///
/// # Safety
/// For a signal handler, with the context that the kernel handed to it.
unsafe fn leave(report: RawFd, at: u64, context: *mut c_void) {
    let mut frames: [*mut c_void; FRAMES_MAX] = [ptr::null_mut(); FRAMES_MAX];
    // SAFETY: room for as many; the unwinder is loaded.
    let found = unsafe { libc::backtrace(frames.as_mut_ptr(), FRAMES_MAX as c_int) };
    let mut words = [0_u64; FRAMES_MAX + 2];
    words[0] = u64::try_from(found).unwrap_or(0);
    // SAFETY: the kernel hands the context of the fault.
    words[1] = unsafe { fault_address(context.cast()) };
    for (word, frame) in words[2..].iter_mut().zip(frames) {
        *word = frame as u64;
    }
    // SAFETY: as many bytes as there are, a file that is open or a number that is none.
    unsafe {
        libc::pwrite(report, words.as_ptr().cast(), size_of_val(&words), at as libc::off_t);
        copy_maps(report, at + MAPS_BEHIND);
    }
}

/// Where the fault was.
///
/// # Safety
/// `context` is what the kernel handed to the handler.
unsafe fn fault_address(context: *const libc::ucontext_t) -> u64 {
    // SAFETY: the caller's promise.
    #[cfg(target_arch = "x86_64")]
    return unsafe { (*context).uc_mcontext.gregs[libc::REG_RIP as usize] as u64 };
    // SAFETY: the caller's promise.
    #[cfg(target_arch = "aarch64")]
    return unsafe { (*context).uc_mcontext.pc };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        // Unknown here: the handler's own functions are shown too.
        let _ = context;
        0
    }
}

/// # Safety
/// For a signal handler: nothing but system calls.
unsafe fn copy_maps(report: RawFd, to: u64) {
    let mut bytes = [0_u8; 4_096];
    let mut at = to as libc::off_t;
    // SAFETY: system calls on memory of this function and on descriptors, whose failures end the copy.
    unsafe {
        let maps = libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        loop {
            let len = libc::read(maps, bytes.as_mut_ptr().cast(), bytes.len());
            if len <= 0 || libc::pwrite(report, bytes.as_ptr().cast(), len as usize, at) != len {
                break;
            }
            at += len as libc::off_t;
        }
        // What an earlier answer left behind it may belong to something else by now.
        libc::pwrite(report, c"".as_ptr().cast(), 1, at);
        libc::close(maps);
    }
}
