//! The server's part of the communication with a process that reads a file: start, requests and end of the process.

use std::io;
use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::OwnedSemaphorePermit;

use super::pipe::{self, Reply, Request, Setup};

/// The subcommand of the TUDB binary that runs [`super::child::serve`].
const COMMAND: &str = "sqlite-worker";

/// A process that reads a file and has answered its setup. Dropping the worker kills the process.
pub(super) struct Worker {
    input: Box<dyn AsyncWrite + Send + Sync + Unpin>,
    output: Box<dyn AsyncRead + Send + Sync + Unpin>,
    /// `None` in the tests of the library, where a thread replaces the process.
    process: Option<Child>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Worker").field("process", &self.process).finish_non_exhaustive()
    }
}

/// Returns the path of the running binary. On Linux this path stays valid after a newer file has replaced the binary.
fn program() -> io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

impl Worker {
    /// Starts a process and sends the setup. Also returns the answer to the setup, which may be [`Reply::Failed`].
    pub(super) async fn start(setup: &Setup) -> io::Result<(Worker, Reply)> {
        let mut worker = Worker::spawn()?;
        let reply = worker.exchange(setup, &mut |_| {}).await?;
        Ok((worker, reply))
    }

    fn spawn() -> io::Result<Worker> {
        if cfg!(test) {
            return Worker::in_test();
        }
        let mut command = Command::new(program()?);
        command.arg(COMMAND).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // These variables set the directory of temporary files and the time zone of `localtime`. The process gets no
        // other environment variable.
        for name in ["TMPDIR", "SQLITE_TMPDIR", "TZ"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // SQLite may write temporary files to the working directory. The process gets `/`, so that SQLite writes no
        // file into the working directory of the server.
        #[cfg(unix)]
        command.arg0("tudb").current_dir("/");
        let mut process = command.spawn()?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (input, output) = pipes.ok_or_else(|| io::Error::other("the process has no pipes"))?;
        Ok(Worker { input: Box::new(input), output: Box::new(output), process: Some(process) })
    }

    #[cfg(test)]
    fn in_test() -> io::Result<Worker> {
        Ok(thread::spawn())
    }

    #[cfg(not(test))]
    fn in_test() -> io::Result<Worker> {
        Err(io::Error::other("this is no test"))
    }

    /// Sends a request and waits for the answer. `hear` gets the replies that come before the answer. If the future is
    /// dropped before the answer has come, the caller has to kill the process, because the next request would get this
    /// answer.
    ///
    /// # Errors
    ///
    /// If the request cannot be sent, the process has ended, or a reply cannot be read.
    pub(super) async fn ask(&mut self, request: &Request, hear: &mut (dyn FnMut(Reply) + Send)) -> io::Result<Reply> {
        self.exchange(request, hear).await
    }

    async fn exchange(
        &mut self,
        message: &(impl serde::Serialize + Sync),
        hear: &mut (dyn FnMut(Reply) + Send),
    ) -> io::Result<Reply> {
        self.input.write_all(&pipe::encoded(message)?).await?;
        self.input.flush().await?;
        loop {
            let mut prefix = [0; 4];
            self.output.read_exact(&mut prefix).await?;
            let mut bytes = vec![0; pipe::length(prefix)?];
            self.output.read_exact(&mut bytes).await?;
            match serde_json::from_slice(&bytes)? {
                reply @ (Reply::Done(_) | Reply::Failed(_)) => return Ok(reply),
                other => hear(other),
            }
        }
    }

    /// Kills the process, also during a statement. The permit `place` is released after the process has ended.
    pub(super) fn kill(mut self, place: Option<OwnedSemaphorePermit>) {
        tokio::spawn(async move {
            if let Some(process) = &mut self.process {
                let _ = process.kill().await;
            }
            drop(self);
            drop(place);
        });
    }
}

/// The tests of the library do not run in the TUDB binary, so a thread replaces the process. The thread has no limit on
/// memory, because SQLite's limit applies to a whole process.
#[cfg(test)]
mod thread {
    use std::io::{self, Read, Write};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::runtime::Handle;

    use super::Worker;
    use crate::database::sqlite::child;

    struct Blocking(DuplexStream, Handle);

    impl Read for Blocking {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1.clone().block_on(self.0.read(buffer))
        }
    }

    impl Write for Blocking {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.clone().block_on(self.0.write(bytes))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(super) fn spawn() -> Worker {
        let (input, mut its_input, output, mut its_output) = {
            let ((a, b), (c, d)) = (tokio::io::duplex(1 << 16), tokio::io::duplex(1 << 16));
            (a, Blocking(b, Handle::current()), c, Blocking(d, Handle::current()))
        };
        std::thread::spawn(move || {
            let _ = child::answer_all(&mut its_input, &mut its_output, None);
        });
        Worker { input: Box::new(input), output: Box::new(output), process: None }
    }
}
