//! Requests next to a turn, such as for a title, whose answer is delayed.

use tokio::sync::watch;

/// Those that wait, and whether they have to.
#[derive(Default)]
pub(super) struct Aside {
    is_held: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

/// One that waits. A server that hangs up waits no more.
struct Waits<'a>(&'a watch::Sender<usize>);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Aside {
    pub(super) fn hold(&self) {
        self.is_held.send_replace(true);
    }

    pub(super) fn release(&self) {
        self.is_held.send_replace(false);
    }

    pub(super) fn waiting(&self) -> watch::Receiver<usize> {
        self.waiting.subscribe()
    }

    /// Returns when the request may be answered.
    pub(super) async fn pass(&self) {
        let mut is_held = self.is_held.subscribe();
        if !*is_held.borrow_and_update() {
            return;
        }
        self.waiting.send_modify(|count| *count += 1);
        let _waits = Waits(&self.waiting);
        // The sender lives in self, so waiting can't fail.
        let _ = is_held.wait_for(|is_held| !is_held).await;
    }
}
