//! Runs work that takes milliseconds without waiting. The runtime has few threads, which serve all calls.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `work` on this thread, and lets another thread go on with the runtime's other tasks meanwhile.
pub fn run<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
