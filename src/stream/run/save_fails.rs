//! Fault injection: exactly this answer's save fails. Does the final marker still come?

use super::World;
use super::case::Begun;
use super::case::Moments;
use super::chat::Vary;
use super::stage::Stage;
use crate::clock::Tick;
use crate::db::WriteError;
use crate::gate::Fault;
use crate::report::Finding;
use crate::report::Lane;
use crate::report::Report;
use crate::report::Severity;
use crate::report::Source;
use crate::report::Verdict;
use crate::stop::Stop;
use crate::stream::faults::NONE;
use crate::stream::faults::READ_TO_END;
use crate::stream::judge::order::ENOUGH;
use std::time::Duration;

/// The longest that a response may take after its save failed; servers may try again.
const PATIENCE: Duration = Duration::from_secs(8);
/// Output may come a little after the response.
const LOG: Duration = Duration::from_millis(200);

/// Code, harm and help where it is not known whether the save comes too late or its error is dropped.
const DEPENDS_NOT: (&str, &str, &str) = (
    "done-despite-failed-save",
    "the final marker does not depend on the save of the answer: it came although that save failed",
    "commit the message before the final marker, and let a failed save end the stream with an error; \
     --proof gate tells which of the two is missing",
);

/// What one failing save showed.
enum Shown {
    /// The final marker did not come.
    Withheld,
    /// The final marker came all the same.
    Came(Tick),
    /// Nothing can be said, for this reason.
    Open(String),
}

struct Tried {
    shown: Shown,
    moments: Moments,
    sent: Tick,
}

impl Stage<'_> {
    /// `--proof fault`: the order by fault injection alone.
    pub(super) async fn prove_by_fault(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let case = self.begin_case("order", &NONE, &READ_TO_END);
        self.fault_case(case, ENOUGH, DEPENDS_NOT, report).await
    }

    /// Settles what the gate left ambiguous.
    pub(super) async fn settle_by_fault(
        &mut self,
        why: &str,
        case: Begun,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        self.world.progress.note(&format!(
            "{}: ambiguous behind the gate ({why}); settling it by fault injection",
            case.name
        ));
        self.fault_case(case, ENOUGH, DEPENDS_NOT, report).await
    }

    /// Beside a proven order: is a failed save swallowed?
    pub(super) async fn save_fails(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let order_holds = report.cases.iter().any(|case| {
            case.name == format!("{}/order", self.session.name) && case.verdict <= Verdict::Held
        });
        if !order_holds {
            return Ok(());
        }
        let case = self.begin_case("save-fails", &NONE, &READ_TO_END);
        let harm = "the final marker is sent although the save failed: the user sees an answer that is stored nowhere";
        let help =
            "let a failed save end the stream with an error event and without the final marker";
        self.fault_case(case, 1, ("swallows-save-errors", harm, help), report)
            .await
    }

    async fn fault_case(
        &mut self,
        mut case: Begun,
        times: usize,
        (code, harm, help): (&'static str, &str, &str),
        report: &mut Report,
    ) -> anyhow::Result<()> {
        for number in 1..=times {
            self.doing(&format!("a save that fails, {number} of {times}"));
            report.checked += 1;
            let tried = self.failing_turn().await?;
            case.timeline = tried.moments.timeline.clone();
            match tried.shown {
                Shown::Withheld => {}
                Shown::Open(why) => {
                    self.end_case(case, Verdict::Inconclusive, why, report);
                    return Ok(());
                }
                Shown::Came(at) => {
                    let finding = Finding::new(
                        code,
                        Severity::Error,
                        &self.session.name,
                        harm,
                        help,
                    )
                    .with(
                        Source::Store,
                        "a trigger made exactly this answer's save fail, and no row holds it",
                    )
                    .with(
                        Source::Stream,
                        format!("`{}` arrived at {}", self.marker, tried.moments.ms(at)),
                    )
                    .in_case(&case.name);
                    let silent = self.silent_failure(tried.sent, &case.name).await;
                    self.end_case(case, Verdict::Violated, harm, report);
                    report.add(finding);
                    silent.into_iter().for_each(|finding| report.add(finding));
                    return Ok(());
                }
            }
        }
        let limit = match code == DEPENDS_NOT.0 {
            true => {
                " (a trigger fails the statement: a commit that comes after the marker is not found so)"
            }
            false => "",
        };
        let reason = format!(
            "{times} of {times} saves were made to fail, and the final marker did not come{limit}"
        );
        self.end_case(case, Verdict::Held, reason, report);
        Ok(())
    }

    /// The last turn of a chat, its save made to fail.
    async fn failing_turn(&mut self) -> anyhow::Result<Tried> {
        let vary = Vary {
            pieces: None,
            fault: &NONE,
            client: &READ_TO_END,
        };
        let chat = self.set_up().await?;
        let last = self.session.turns.len() - 1;
        for index in 0..last {
            let live = self.begin(&chat, index, vary)?;
            live.play.release();
            self.until_over(&live, PATIENCE).await?;
        }
        let mut moments = Moments::default();
        let live = self.begin(&chat, last, vary)?;
        let sent = live.sent;
        moments.at(sent, Lane::Client, format!("turn {} sent", live.number));
        self.until_withheld(&live).await?;
        let shown = match self.install_fault(&live.nonce).await? {
            Some(why) => {
                live.play.release();
                // Only so that the server is done with this turn before the next.
                let _ = self.until_over(&live, PATIENCE).await;
                Shown::Open(why)
            }
            None => {
                moments.now(Lane::Store, "a trigger makes the save of this answer fail");
                live.play.release();
                let over = live.watching.until(|seen| seen.over.is_some());
                let ended = tokio::time::timeout(PATIENCE, over).await;
                let seen = live.watching.seen();
                let stored = self.complete_row(&live.nonce).await?;
                self.remove_fault().await?;
                moments.now(Lane::Store, "the trigger is taken out");
                if let Some(at) = seen.turn.final_at {
                    moments.at(
                        at,
                        Lane::Client,
                        format!("final marker `{}` received", self.marker),
                    );
                }
                match (seen.turn.final_at, stored, ended) {
                    (_, Some(_), _) => Shown::Open("the row was stored in spite of the trigger: the server writes elsewhere too".into()),
                    (Some(at), None, _) => Shown::Came(at),
                    (None, None, Ok(_)) => {
                        moments.now(Lane::Client, "the response ended without the final marker");
                        Shown::Withheld
                    }
                    (None, None, Err(_)) => Shown::Open("the response did not end after the save had failed".into()),
                }
            }
        };
        self.world.gateway.rest();
        Ok(Tried {
            shown,
            moments,
            sent,
        })
    }

    /// Puts the triggers in; gives the reason when they would show nothing.
    async fn install_fault(&mut self, nonce: &str) -> anyhow::Result<Option<String>> {
        let mapping = self
            .mapping
            .clone()
            .expect("a case is only run with a mapping");
        let fault = match Fault::new(self.world.db()).await {
            Ok(fault) => fault,
            Err(error) if matches!(error.downcast_ref(), Some(WriteError::ReadOnly)) => {
                return Ok(Some(
                    "the store is read-only: no save can be made to fail".into(),
                ));
            }
            Err(error) => return Err(error),
        };
        // Known to the world before it is in the store, so that it is taken out whatever happens.
        self.world.fault = Some(fault);
        let World { fault, db, .. } = &mut *self.world;
        let (fault, db) = (fault.as_mut(), db.as_deref());
        let (fault, db) = fault.zip(db).expect("both were just there");
        let Some((table, column)) = mapping.answers() else {
            return Ok(Some(
                "the store's texts can't be read: no save can be told from another".into(),
            ));
        };
        match fault.install(db, table, column, nonce).await {
            Ok(()) => Ok(None),
            // A trigger fails the statement, not the commit: behind an open transaction it shows nothing.
            Err(WriteError::Busy) => Ok(Some(
                "the server keeps a write transaction open while it streams: a save that fails inside it says \
                 nothing of its commit"
                    .into(),
            )),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove_fault(&mut self) -> anyhow::Result<()> {
        if let Some(fault) = &mut self.world.fault {
            fault.remove().await.map_err(|error| {
                Stop::unreachable(format!("the triggers chatctl_fault_* could not be taken out: {error}"))
                    .hint("the server keeps a transaction open after its save failed; the triggers are taken out once it ends")
            })?;
        }
        self.world.fault = None;
        Ok(())
    }

    /// A save that failed and left no line in the server's output; nothing when there is a line,
    /// or when chatctl does not have the output.
    pub(super) async fn silent_failure(&self, since: Tick, case: &str) -> Option<Finding> {
        if !self.world.is_ours() {
            return None;
        }
        tokio::time::sleep(LOG).await;
        let lines = self.world.output_since(since);
        let telling = [
            "error",
            "exception",
            "fail",
            "traceback",
            "locked",
            "abort",
            "rollback",
            "warn",
        ];
        let told = lines.iter().any(|line| {
            let text = line.text.to_lowercase();
            telling.iter().any(|word| text.contains(word))
        });
        (!told).then(|| {
            Finding::new(
                "save-failed-silently",
                Severity::Error,
                &self.session.name,
                "a save failed and the server's output says nothing of it: at night nobody can find out why answers are gone",
                "log every failed save with its error and the conversation's id",
            )
            .with(
                Source::Log,
                format!("{} lines were written during the turn, none about an error", lines.len()),
            )
            .in_case(case)
        })
    }
}
