//! The provider ends with `finish_reason` and no `[DONE]`: is the answer saved?

use super::chat::Vary;
use super::stage::Stage;
use crate::report::{Finding, Report, Severity, Source, Verdict};
use crate::stream::faults::{FINISH_WITHOUT_DONE, READ_TO_END};

impl Stage<'_> {
    pub(super) async fn finish_without_done(&mut self, report: &mut Report) -> anyhow::Result<()> {
        if !self.is_chosen(FINISH_WITHOUT_DONE.name) {
            return Ok(());
        }
        let case = self.begin_case(FINISH_WITHOUT_DONE.name, &FINISH_WITHOUT_DONE, &READ_TO_END);
        let vary = Vary {
            pieces: None,
            fault: &FINISH_WITHOUT_DONE,
            client: &READ_TO_END,
        };
        report.checked += 1;
        let chat = self.set_up().await?;
        self.provoke();
        for index in 0..self.session.turns.len() {
            let live = self.begin(&chat, index, vary).await?;
            live.play.release();
            // A response that breaks off here may still have stored its answer.
            let _ = self.until_over(&live, self.options.response_timeout).await;
            let seen = live.watching.seen();
            if self.await_row(&live, self.options.settle).await.is_some() {
                continue;
            }
            let finding = Finding::new(
                "finish-ignored",
                Severity::Error,
                &self.session.name,
                format!(
                    "an answer is lost when the provider ends with finish_reason and no [DONE]: \
                     turn {} was shown to the user and not stored",
                    live.number
                ),
                "treat `finish_reason` as the end of the answer, and also the end of the provider's body",
            )
            .with(
                Source::Gateway,
                "the provider sent every content chunk and finish_reason \"stop\", then closed",
            )
            .with(
                Source::Stream,
                format!("{} characters were streamed to the client", seen.turn.text.chars().count()),
            )
            .with(
                Source::Store,
                format!("no complete row within {}", humantime::format_duration(self.options.settle)),
            )
            .in_case(&case.name);
            self.calm().await;
            self.end_case(case, Verdict::Violated, "the answer was not stored", report);
            report.add(finding);
            return Ok(());
        }
        self.world.gateway.rest();
        self.calm().await;
        self.end_case(case, Verdict::Held, "the answer was stored", report);
        Ok(())
    }
}
