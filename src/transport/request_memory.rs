//! Bounds the memory of the requests that wait or run. Each request holds a share until its handler ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a request besides its text: its task, and its entry in the audit trail.
const REQUEST_BYTES: usize = 12_000;
/// Copies of a request's text in memory: in the parsed message, in the call and in the audit record.
const COPIES: usize = 3;
/// Bytes of a JSON value in memory.
const VALUE_BYTES: usize = 200;

/// Returns the bytes that a request of this length and number of values may take in memory.
pub(super) fn weight(line_bytes: usize, values: usize) -> usize {
    REQUEST_BYTES + COPIES * line_bytes + VALUE_BYTES * values
}

/// The bytes reserved by all requests, and their limit.
pub(super) struct RequestMemory {
    bytes: Arc<AtomicUsize>,
    limit: usize,
}

/// The bytes reserved by one request. They are released when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Share {
    _reserved: Arc<Reserved>,
}

struct Reserved {
    bytes: usize,
    of: Arc<AtomicUsize>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl RequestMemory {
    pub(super) fn new(limit: usize) -> Self {
        RequestMemory { bytes: Arc::default(), limit }
    }

    /// Whether no request waits or runs.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) == 0
    }

    /// Reserves `bytes`. Returns `None` if the sum would be over the limit.
    pub(super) fn take(&self, bytes: usize) -> Option<Share> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        // If the sum is over the limit, this value is dropped, and its bytes are released again.
        let taken = Reserved { bytes, of: Arc::clone(&self.bytes) };
        (before.saturating_add(bytes) <= self.limit).then(|| Share { _reserved: Arc::new(taken) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_bounded_in_sum_and_given_back() {
        let held = RequestMemory::new(100);
        let first = held.take(60).unwrap();
        assert!(held.take(41).is_none());
        let second = held.take(40).unwrap();
        let copy = first.clone();
        drop(first);
        assert!(held.take(1).is_none(), "a copy holds the share");
        drop(copy);
        assert!(held.take(60).is_some());
        drop(second);
        assert!(held.is_empty());
    }
}
