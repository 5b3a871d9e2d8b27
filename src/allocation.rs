//! Ends a future that requests one large piece of memory.
//!
//! The PostgreSQL driver reads each message of the server into memory as a whole. A message may contain a value of a
//! gigabyte: an error quotes the value of a failed cast, and a plan contains the statement's literals. The driver has
//! no limit. It reserves a message's whole length as soon as it has read the length. So the program's allocator records
//! the largest request of each poll, and [`Bounded`] ends its future before the message has arrived. Reserved memory
//! that is not written takes no physical memory.
//!
//! A poll may continue as long as there is something to read. A server on the same machine can send faster than the
//! driver reads. So after a request over the limit, [`recv`] returns `EAGAIN` until the poll ends.
//!
//! The limit is on a single request, not on the sum of requests.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Requests of fewer bytes are not recorded. Nearly all requests have fewer, and access to thread-local storage would
/// slow each of them down.
const NOTED_BYTES: usize = 1 << 20;

thread_local! {
    static LARGEST_BYTES: Cell<usize> = const { Cell::new(0) };
    /// The largest request that the future being polled may make.
    static LIMIT_BYTES: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Replaces the C library's `recv` in this program. The driver reads from sockets through `recv`.
///
/// # Safety
///
/// As for the C library's `recv`.
#[cfg(unix)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recv(
    socket: libc::c_int,
    buffer: *mut libc::c_void,
    length: libc::size_t,
    flags: libc::c_int,
) -> libc::ssize_t {
    if LARGEST_BYTES.try_with(Cell::get).unwrap_or(0) > LIMIT_BYTES.try_with(Cell::get).unwrap_or(usize::MAX) {
        set_errno_again();
        return -1;
    }
    // SAFETY: the caller's promise. The null pointers say that the sender's address is not wanted.
    unsafe { libc::recvfrom(socket, buffer, length, flags, std::ptr::null_mut(), std::ptr::null_mut()) }
}

#[cfg(unix)]
fn set_errno_again() {
    // SAFETY: the pointer is the address of this thread's own `errno`.
    unsafe {
        #[cfg(target_os = "linux")]
        libc::__errno_location().write(libc::EAGAIN);
        #[cfg(target_vendor = "apple")]
        libc::__error().write(libc::EAGAIN);
    }
}

/// The system's allocator, which also records large requests.
struct Noting;

#[global_allocator]
static ALLOCATOR: Noting = Noting;

fn note(bytes: usize) {
    if bytes >= NOTED_BYTES {
        // A thread that ends may have no thread-local storage left. Then its request is not recorded.
        let _ = LARGEST_BYTES.try_with(|largest| largest.set(largest.get().max(bytes)));
    }
}

// SAFETY: every call goes to the system's allocator unchanged; recording a size allocates nothing.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(new_size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// Returns free memory to the operating system. Does nothing except on Linux with glibc.
pub fn give_back() {
    // SAFETY: the call changes no memory that is in use.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// A future was ended because it requested more memory at once than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// Bytes of the request.
    pub bytes: usize,
}

/// Polls a future until it is ready or has requested more memory at once than its limit (at least 1 MiB).
pub struct Bounded<F> {
    future: Pin<Box<F>>,
    limit_bytes: usize,
}

impl<F: Future> Bounded<F> {
    pub fn new(future: F, limit_bytes: usize) -> Self {
        Bounded { future: Box::pin(future), limit_bytes: limit_bytes.max(NOTED_BYTES) }
    }
}

impl<F: Future> Future for Bounded<F> {
    type Output = Result<F::Output, TooLarge>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        LARGEST_BYTES.set(0);
        let outer = LIMIT_BYTES.replace(self.limit_bytes);
        let polled = self.future.as_mut().poll(context);
        LIMIT_BYTES.set(outer);
        let bytes = LARGEST_BYTES.take();
        match polled {
            // The size is checked before the output. Otherwise the result would depend on whether this poll finished
            // the future.
            _ if bytes > self.limit_bytes => Poll::Ready(Err(TooLarge { bytes })),
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn reserving(bytes: usize) -> usize {
        let memory: Vec<u8> = Vec::with_capacity(bytes);
        tokio::task::yield_now().await;
        memory.capacity()
    }

    #[tokio::test]
    async fn a_large_request_ends_the_future_and_a_small_one_does_not() {
        assert_eq!(Bounded::new(reserving(3 << 20), 4 << 20).await, Ok(3 << 20));
        assert_eq!(Bounded::new(reserving(5 << 20), 4 << 20).await, Err(TooLarge { bytes: 5 << 20 }));
        // The request of an earlier poll, or of another future, does not count.
        assert_eq!(Bounded::new(reserving(1), 4 << 20).await, Ok(1));
    }

    /// Reads as the driver does: all available bytes, into a buffer of the message's whole length.
    #[cfg(unix)]
    #[tokio::test]
    async fn nothing_is_read_after_a_large_request() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (peer, _) = listener.accept().await.unwrap();
        let peer = peer.into_std().unwrap();
        peer.set_nonblocking(false).unwrap();
        // The other side sends as fast as it can, until this side is gone.
        std::thread::spawn(move || while std::io::Write::write_all(&mut &peer, &[7; 65_536]).is_ok() {});
        let read = Cell::new(0);
        let (read, socket) = (&read, &socket);
        let reading = |bytes: usize| async move {
            let mut message = Vec::with_capacity(bytes);
            while message.len() < message.capacity() {
                socket.readable().await.unwrap();
                match socket.try_read_buf(&mut message) {
                    Ok(count) => read.set(read.get() + count),
                    Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
                }
            }
        };
        assert_eq!(Bounded::new(reading(3 << 20), 4 << 20).await, Ok(()));
        assert_eq!(read.take(), 3 << 20);
        assert_eq!(Bounded::new(reading(200 << 20), 4 << 20).await, Err(TooLarge { bytes: 200 << 20 }));
        assert_eq!(read.get(), 0);
    }
}
