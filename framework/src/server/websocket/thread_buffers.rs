//! One buffer per thread for reading and one for writing, so that an idle socket holds none.

use std::cell::RefCell;

/// A socket's default receive buffer holds more; a larger scratch was not faster.
const READ: usize = 64 * 1024;

thread_local! {
    static READING: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
    static WRITING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends this thread's reading buffer, full of old bytes.
pub(super) fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    READING.with_borrow_mut(|scratch| read(scratch))
}

/// Lends this thread's writing buffer, empty.
pub(super) fn with_output<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    WRITING.with_borrow_mut(|output| {
        output.clear();
        let written = write(output);
        // One huge message shall not stay with the thread.
        if output.capacity() > 4 * READ {
            *output = Vec::new();
        }
        written
    })
}
