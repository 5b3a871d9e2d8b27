//! Progress notifications of a call.

use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::future::OptionFuture;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

/// Time after which the stage is sent again, if it has not changed.
const PROGRESS_EVERY: Duration = Duration::from_secs(4);

/// Runs `work` and reports its stage: when the stage has changed, and every [`PROGRESS_EVERY`]. One notification is
/// sent at a time. Of the changes meanwhile, only the latest stage is sent. `send` gets the number of the notification,
/// from 1, and its text. The last notification is sent before the result is returned, unless `cancel` is cancelled.
///
/// The work goes on while a notification is being sent, because a client that has left never accepts it.
pub(crate) async fn with_progress<T, Sending: Future>(
    mut work: Pin<&mut impl Future<Output = T>>,
    mut stages: watch::Receiver<String>,
    cancel: &CancellationToken,
    mut send: impl FnMut(f64, String) -> Sending,
) -> T {
    let began = Instant::now();
    let mut ticks = interval_at(began + PROGRESS_EVERY, PROGRESS_EVERY);
    let mut sending = pin!(OptionFuture::from(None));
    let mut is_sending = false;
    let mut number = 0.0;
    loop {
        tokio::select! {
            done = &mut work => {
                tokio::select! {
                    _ = sending => {}
                    () = cancel.cancelled() => {}
                }
                return done;
            }
            Some(_) = &mut sending => {
                is_sending = false;
                sending.set(None.into());
                continue;
            }
            _ = ticks.tick(), if !is_sending => {}
            Ok(()) = stages.changed(), if !is_sending => {}
        }
        number += 1.0;
        let mut text = stages.borrow_and_update().clone();
        if began.elapsed() >= PROGRESS_EVERY {
            text = format!("{text}, {} s", began.elapsed().as_secs());
        }
        is_sending = true;
        sending.set(Some(send(number, text)).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_although_no_notification_is_accepted() {
        let (stage, stages) = watch::channel(String::from("starting"));
        let cancel = CancellationToken::new();
        let work = async {
            stage.send_replace("running".into());
            tokio::task::yield_now().await;
            cancel.cancel();
            tokio::task::yield_now().await;
            7
        };
        let work = pin!(work);
        let done = with_progress(work, stages, &cancel, |_, _| std::future::pending::<()>());
        assert_eq!(tokio::time::timeout(Duration::from_secs(60), done).await.expect("ends"), 7);
    }

    #[tokio::test]
    async fn the_last_notification_comes_before_the_result() {
        let (stage, stages) = watch::channel(String::from("starting"));
        let cancel = CancellationToken::new();
        let sent = std::sync::Mutex::new(Vec::new());
        let work = async {
            stage.send_replace("running".into());
            tokio::task::yield_now().await;
        };
        let send = |number, text: String| {
            let sent = &sent;
            async move {
                for _ in 0..5 {
                    tokio::task::yield_now().await;
                }
                sent.lock().unwrap().push((number, text));
            }
        };
        with_progress(pin!(work), stages, &cancel, send).await;
        assert_eq!(*sent.lock().unwrap(), [(1.0, "running".to_owned())]);
    }
}
