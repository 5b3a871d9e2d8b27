//! Ends a future that asks for one large piece of memory.
//!
//! The PostgreSQL driver reads a whole message of the server into memory, and a message may hold a value of a gigabyte
//! (an error that quotes what could not be cast, a plan with a long literal). The driver has no limit of its own, but it
//! reserves a message's whole length as soon as it has read the length. So the program's allocator notes the largest
//! request of each poll, and [`Bounded`] gives its future up before the message has come: memory that was reserved and
//! not written costs nothing.
//!
//! It bounds a single request, not a sum, and it stops nothing within a poll.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Requests below this size are not noted: nearly all are, and a look at thread-local storage would cost each of them.
const NOTED_BYTES: usize = 1 << 20;

thread_local! {
    static LARGEST_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, with a note of large requests.
struct Noting;

#[global_allocator]
static ALLOCATOR: Noting = Noting;

fn note(bytes: usize) {
    if bytes >= NOTED_BYTES {
        // A thread that ends has no storage left; its request is not noted.
        let _ = LARGEST_BYTES.try_with(|largest| largest.set(largest.get().max(bytes)));
    }
}

// SAFETY: every call goes to the system's allocator unchanged; noting a size allocates nothing.
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

/// A future was given up because it asked for more memory at once than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// Bytes of the request.
    pub bytes: usize,
}

/// Drives a future until it is ready, or until one request for memory in a poll was over the limit.
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
        let polled = self.future.as_mut().poll(context);
        let bytes = LARGEST_BYTES.get();
        match polled {
            // Whether the future had to wait in between is chance; the answer must not be.
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
}
