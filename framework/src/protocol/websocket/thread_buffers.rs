//! One read buffer and one write buffer per thread, so that an idle connection holds none.

use std::cell::RefCell;

/// The size of the read buffer, in bytes. A socket's default receive buffer holds more; a larger
/// read buffer was not faster.
const READ: usize = 64 * 1024;

thread_local! {
    static READING: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
    static WRITING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Calls `read` with this thread's read buffer, which contains old bytes.
pub(super) fn with_input<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    READING.with_borrow_mut(|bytes| read(bytes))
}

/// Calls `write` with this thread's write buffer, which is empty.
pub(super) fn with_output<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    WRITING.with_borrow_mut(|output| {
        output.clear();
        let written = write(output);
        // The thread must not keep the memory of one huge message.
        if output.capacity() > 4 * READ {
            *output = Vec::new();
        }
        written
    })
}
