//! A first turn that is not judged: servers load, connect and compile when they are first asked.

use super::chat::Vary;
use super::stage::Stage;
use crate::stream::faults::{NONE, READ_TO_END};

/// So many times as long as any other turn may it take.
pub const FIRST_TURN: u32 = 4;

impl Stage<'_> {
    /// Holds it. What goes wrong in it is of no interest, since the next turn tells it too; only one
    /// that has no end must not be waited for once more.
    pub(super) async fn warm_up(&self) -> anyhow::Result<()> {
        self.doing("a first turn that is not judged");
        let Ok(chat) = self.set_up().await else {
            return Ok(());
        };
        let vary = Vary {
            pieces: None,
            fault: &NONE,
            client: &READ_TO_END,
        };
        let live = self.begin(&chat, 0, vary)?;
        live.play.release();
        let patience = self.options.response_timeout * FIRST_TURN;
        let over = live.watching.until(|seen| seen.over.is_some());
        let ended = tokio::time::timeout(patience, over).await;
        self.world.gateway.rest();
        if ended.is_err() {
            let how = format!(
                "the response of the first turn did not end within {} (--response-timeout gives it more)",
                humantime::format_duration(patience)
            );
            return Err(self.unanswered(&live, &live.watching.seen(), &how));
        }
        Ok(())
    }
}
