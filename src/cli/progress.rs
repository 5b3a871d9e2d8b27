//! What a command says on a terminal while it runs: the stage and the seconds.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::complain;

/// Nothing is said about work that ends sooner.
const FIRST_AFTER: Duration = Duration::from_millis(500);
/// The pause between two lines of the same stage.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Prints the stage and the elapsed seconds to stderr: after half a second, then at each new stage and every five seconds.
/// Prints nothing if stderr is no terminal. Dropping the value stops the lines.
pub(super) struct Progress(JoinHandle<()>);

impl Progress {
    /// `stages` has the name of the stage that runs; `first` is the name until one is set.
    pub(super) fn start(first: &'static str, mut stages: Option<watch::Receiver<String>>) -> Self {
        let began = Instant::now();
        let is_shown = std::io::stderr().is_terminal();
        Progress(tokio::spawn(async move {
            let mut pause = FIRST_AFTER;
            if !is_shown {
                return;
            }
            loop {
                match stages.as_mut() {
                    Some(stages) if pause != FIRST_AFTER => {
                        let _ = tokio::time::timeout(pause, stages.changed()).await;
                    }
                    _ => tokio::time::sleep(pause).await,
                }
                let stage = stages.as_mut().map(|stages| stages.borrow_and_update().clone()).unwrap_or_default();
                let stage = if stage.is_empty() { first } else { stage.as_str() };
                complain(&format!("… {stage} ({:.1} s)", began.elapsed().as_secs_f64()));
                pause = AGAIN_AFTER;
                if stages.as_ref().is_some_and(|stages| stages.has_changed().is_err()) {
                    stages = None;
                }
            }
        }))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.abort();
    }
}
