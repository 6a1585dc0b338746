//! Proof that the race detector is on: two threads write one word without a word to each other.

static mut WORD: u64 = 0;

fn main() {
    // SAFETY: none, which is the point.
    let other = std::thread::spawn(|| unsafe { (&raw mut WORD).write_volatile(1) });
    // SAFETY: as above.
    unsafe { (&raw mut WORD).write_volatile(2) };
    other.join().expect("a thread");
}
