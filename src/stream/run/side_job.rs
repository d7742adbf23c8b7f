//! A request next to the turn, such as for a title or a summary, that is answered after the turn is over. Whoever made it
//! then writes what it has: that must not be the conversation as it was before.

use super::case::Moments;
use super::chat::AS_RECORDED;
use super::stage::Stage;
use crate::cli_error;
use crate::model::Call;
use crate::report::{Finding, Lane, Report, Severity, Source, Verdict};
use crate::stream::faults::{NONE, READ_TO_END};
use std::time::Duration;

/// The case's name.
const NAME: &str = "side-job";
/// A turn that is not over by then, while the request waits, waits for it.
const OVER_BY_THEN: Duration = Duration::from_secs(2);
/// A job that begins when the turn is over has asked by then.
const ASKS_BY_THEN: Duration = Duration::from_millis(500);

/// What came of it.
enum Played {
    /// Nothing could be overwritten, and why.
    Ordered(&'static str),
    /// The request was answered after the turn. These parts of the turn were stored, and are gone.
    Late(Vec<&'static str>),
}

impl Stage<'_> {
    /// Plays it, where the server makes such requests.
    pub(super) async fn side_job(&mut self, report: &mut Report) {
        let calls = self.world.gateway.calls_since(self.began);
        let asks_aside = calls.iter().any(|call| call.call == Call::Extra);
        if !asks_aside || !self.plays(NAME) {
            return;
        }
        report.checked += 1;
        let mut case = self.begin_case(NAME, &NONE, &READ_TO_END);
        let mut moments = Moments::default();
        self.world.gateway.hold_asides();
        let played = self.play_side_job(&mut moments).await;
        self.world.gateway.release_asides();
        case.timeline = moments.timeline;
        let (verdict, reason) = match played {
            Ok(Played::Ordered(why)) => (Verdict::Held, why.to_owned()),
            Ok(Played::Late(gone)) if gone.is_empty() => {
                let reason = "question and answer are still stored after the job";
                (Verdict::Held, reason.to_owned())
            }
            Ok(Played::Late(gone)) => {
                let gone = gone.join(" and ");
                let finding = Finding::new(
                    "turn-overwritten",
                    Severity::Error,
                    self.observed().subject(),
                    "a turn is gone when a concurrent job, such as one that creates a title, ends after it",
                    "let the job write only its result, such as the title, and never the conversation that it read earlier",
                );
                let fact = format!(
                    "{gone} of turn 1 was stored, and is gone after the job's request was answered"
                );
                report.add(finding.with(Source::Store, fact).in_case(&case.name));
                (Verdict::Violated, format!("{gone} of turn 1 is gone"))
            }
            Err(error) => (Verdict::Inconclusive, cli_error::with_hint(&error)),
        };
        self.end_case(case, verdict, reason, report);
    }

    async fn play_side_job(&mut self, moments: &mut Moments) -> anyhow::Result<Played> {
        let chat = self.set_up().await?;
        let live = self.begin(&chat, 0, AS_RECORDED).await?;
        live.play.release();
        moments.at(live.sent, Lane::Client, "turn 1 sent");
        let patience = OVER_BY_THEN.max(self.slowest_turn * 2);
        let over = live.watching.until(|seen| seen.over.is_some());
        if tokio::time::timeout(patience, over).await.is_err() {
            let waits = *self.world.gateway.asides().borrow() > 0;
            self.world.gateway.release_asides();
            self.until_over(&live, self.options.response_timeout)
                .await?;
            anyhow::ensure!(waits, "the turn did not end, and no other request waited");
            let why = "the server waits for its other request before it ends the turn";
            return Ok(Played::Ordered(why));
        }
        let calls = self.world.gateway.calls_since(live.sent);
        if live.play.asked() == 0 && calls.iter().any(|call| call.call == Call::Extra) {
            let why = "the server waits for its other request before it asks for the answer";
            return Ok(Played::Ordered(why));
        }
        // A response without a chat is not a turn.
        self.until_over(&live, self.options.response_timeout)
            .await?;
        let mut asides = self.world.gateway.asides();
        let asked = tokio::time::timeout(ASKS_BY_THEN, asides.wait_for(|count| *count > 0));
        let is_asked = asked.await.is_ok();
        anyhow::ensure!(is_asked, "in this turn the server made no other request");
        moments.now(
            Lane::Gateway,
            "a request next to the turn waits for its answer",
        );
        if self.await_row(&live, self.options.settle).await.is_none() {
            anyhow::bail!("the turn was not stored, so there was nothing to overwrite");
        }
        let before = self.parts_of(&live).await?;
        moments.now(Lane::Store, format!("{} stored", before.join(" and ")));
        self.world.gateway.release_asides();
        moments.now(Lane::Gateway, "the request is answered");
        let mut gone = Vec::new();
        // What is wrong may be only late, so it is examined twice.
        for _ in 0..2 {
            tokio::time::sleep(self.options.settle).await;
            let after = self.parts_of(&live).await?;
            gone = before.clone();
            gone.retain(|part| !after.contains(part));
            if gone.is_empty() {
                break;
            }
        }
        if !gone.is_empty() {
            moments.now(Lane::Store, format!("{} gone", gone.join(" and ")));
        }
        Ok(Played::Late(gone))
    }
}
