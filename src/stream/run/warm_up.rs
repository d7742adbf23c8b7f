//! A first turn that is not judged: servers load, connect and compile when they are first asked.

use super::chat::Vary;
use super::exchange::ResponseProgress;
use super::live::Live;
use super::stage::Stage;
use crate::report::{Finding, Report, Severity, Source};
use crate::stream::detect;
use crate::stream::faults::{NONE, READ_TO_END};

/// So many times as long as any other turn may it take.
pub const FIRST_TURN: u32 = 4;

impl Stage<'_> {
    /// Holds it. What goes wrong in it is of no interest, since the next turn tells it too; only one
    /// that has no end must not be waited for once more.
    pub(super) async fn warm_up(&mut self, report: &mut Report) -> anyhow::Result<()> {
        self.doing("a first turn that is not judged");
        let Ok(chat) = self.set_up().await else {
            return Ok(());
        };
        let vary = Vary {
            pieces: None,
            fault: &NONE,
            client: &READ_TO_END,
        };
        let live = self.begin(&chat, 0, vary).await?;
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
        if let Some(detected) = self.detect_profile(&live, &live.watching.seen()) {
            report.add(detected);
        }
        Ok(())
    }

    /// Reads the streams to come as this response is written, when nobody said how.
    pub(super) fn detect_profile(
        &mut self,
        live: &Live,
        seen: &ResponseProgress,
    ) -> Option<Finding> {
        if !self.session.detects {
            return None;
        }
        let beginning = seen.beginning.lock().expect("nobody panics with it");
        let found = live
            .answer
            .as_ref()
            .and_then(|answer| detect::detect(&beginning, answer, &live.nonce));
        let found = found.filter(|found| found.name != self.profile.name)?;
        self.profile = found;
        let own = self.session.final_marker.clone();
        self.marker = own.unwrap_or_else(|| found.marker());
        let text = String::from_utf8_lossy(&beginning);
        let start: String = text.chars().take(120).collect();
        let media_type = seen.head.as_ref();
        let media_type = media_type.and_then(|head| head.content_type.as_deref());
        Some(
            Finding::new(
                "profile-detected",
                Severity::Note,
                &self.session.name,
                format!(
                    "no profile is named; the first response is in the format of `{}`",
                    found.name
                ),
                format!(
                    "name it: --profile {0}, or `profile = \"{0}\"` in the session",
                    found.name
                ),
            )
            .with(
                Source::Stream,
                format!(
                    "content type `{}`; it begins {}",
                    media_type.unwrap_or("none"),
                    start.trim_end().escape_debug()
                ),
            ),
        )
    }
}
