//! The process's own standard input and output.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

/// Moves standard input and output to new descriptors. From here on, what a dependency prints goes to stderr, and a
/// child process (a password command) has an empty input.
///
/// Returns the input, the output for the writer thread, and the output for lines that are written without that thread.
/// The last is `None` if the descriptors could not be moved.
#[cfg(unix)]
pub(super) fn descriptors() -> (std::io::Result<File>, Box<dyn Write + Send>, Option<Arc<File>>) {
    use std::os::fd::AsFd;
    let own = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from);
    // If there is no standard input, an empty one takes its place. It ends the process at once.
    let input = own(std::io::stdin().as_fd()).or_else(|_| File::open("/dev/null"));
    let moved = || -> std::io::Result<File> {
        let output = own(std::io::stdout().as_fd())?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        rustix::stdio::dup2_stdout(std::io::stderr())?;
        Ok(output)
    };
    match moved() {
        Ok(output) => {
            let output = Arc::new(output);
            (input, Box::new(Arc::clone(&output)), Some(output))
        }
        Err(error) => {
            tracing::warn!(%error, "standard output stays where it is");
            (input, Box::new(std::io::stdout()), None)
        }
    }
}

/// A copy of the input, for `has_gone` while the input is not read.
#[cfg(unix)]
pub(super) fn watched(input: &File) -> Option<File> {
    input.try_clone().ok()
}

/// Whether the other end of the input is closed, even if unread bytes are left in it.
#[cfg(unix)]
pub(super) fn has_gone(input: Option<&File>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let Some(input) = input else { return false };
    let mut looked = [PollFd::new(input, PollFlags::empty())];
    poll(&mut looked, Some(&Timespec::default())).is_ok()
        && looked.iter().any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR))
}

#[cfg(not(unix))]
pub(super) fn descriptors() -> (std::io::Result<std::io::Stdin>, Box<dyn Write + Send>, Option<Arc<File>>) {
    (Ok(std::io::stdin()), Box::new(std::io::stdout()), None)
}

#[cfg(not(unix))]
pub(super) fn watched(_input: &std::io::Stdin) -> Option<File> {
    None
}

#[cfg(not(unix))]
pub(super) fn has_gone(_input: Option<&File>) -> bool {
    false
}
