//! Fault injection: exactly this answer's save fails. Does the final marker still come?

use super::case::{Begun, Moments};
use super::chat::AS_RECORDED;
use super::reading::Reading;
use super::stage::Stage;
use super::{Proof, World};
use crate::cli_error::CliError;
use crate::clock::Tick;
use crate::db::WriteError;
use crate::gate;
use crate::gate::{AnyGate, CommitFault, Fault, Lasts, Triggers};
use crate::report::{Finding, Lane, Report, Severity, Source, Verdict};
use crate::store::Origin;
use crate::stream::faults::{NONE, READ_TO_END};
use crate::stream::judge::order::ENOUGH;
use crate::stream::session::FinalMarker;
use std::time::Duration;

/// Why it is not known whether the client was told of a save that failed.
pub(super) const UNREAD: &str = "the response before the marker can't be read, so it is not known whether it \
    reported an error (stream-text-unread)";
/// Why it is not known whether an answer is stored whose save failed.
const KEPT: &str = "no row holds the answer whose save was made to fail, but a reload shows it: the server may \
    keep it elsewhere until it can be saved, or only in its memory";
/// Output may come a little after the response.
const LOG: Duration = Duration::from_millis(200);

/// What a server is able to do after its save was made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// It continues.
    Works,
    /// It answers no chat any more.
    Hangs,
}

/// What makes a save fail.
#[derive(Clone, Copy)]
enum Means {
    /// The gate makes its commit fail.
    Gate(CommitFault),
    /// Triggers make its statement fail.
    Trigger(&'static Triggers),
}

impl Means {
    fn word(self) -> &'static str {
        match self {
            Self::Gate(_) => "the gate",
            Self::Trigger(_) => "a trigger",
        }
    }
}

/// What one failing save showed.
enum SaveFailure {
    /// The response ended, and the final marker did not come.
    Withheld,
    /// The client was sent an error before the final marker came.
    Reported,
    /// The final marker came all the same.
    Came(Tick),
    /// Neither came.
    Hangs,
    /// The final marker came, and the store could not be read then, for this reason.
    Unread { at: Tick, why: String },
    /// Nothing can be said, for this reason.
    Open(String),
}

impl SaveFailure {
    /// What the client of a server saw that does not promise too much.
    fn saw(&self) -> &'static str {
        match self {
            Self::Reported => "the client was sent an error before the final marker",
            Self::Withheld | Self::Came(_) | Self::Hangs | Self::Unread { .. } | Self::Open(_) => {
                "the final marker did not come"
            }
        }
    }
}

struct Tried {
    means: Means,
    shown: SaveFailure,
    /// Whether the store could be written to afterwards.
    freed: bool,
    moments: Moments,
    sent: Tick,
    /// What is in its answer and nowhere else.
    nonce: String,
}

/// The final marker is sent for an answer that is stored nowhere.
pub(super) fn swallowed(session: &str, marker: &FinalMarker, case: &str) -> Finding {
    Finding::new(
        "swallows-save-errors",
        Severity::Error,
        session,
        format!("`{marker}` is sent although the save failed: the user sees an answer that is stored nowhere"),
        format!("let a failed save end the stream with an error event and without `{marker}`"),
    )
    .in_case(case)
}

/// How a response ended that had no final marker.
pub(super) fn without_marker(final_at: Option<Tick>, ended: bool) -> Option<&'static str> {
    match (final_at, ended) {
        (Some(_), _) => None,
        (None, true) => Some("the response ended without the final marker"),
        (None, false) => {
            Some("neither the final marker nor the end of the response came; the client hangs up")
        }
    }
}

impl Stage<'_> {
    /// What becomes of a save that fails. It is of no use where the order is violated already; where
    /// it can't be looked at, the report says so.
    pub(super) async fn save_fails(&mut self, report: &mut Report) -> anyhow::Result<Server> {
        if !self.is_chosen("save-fails") {
            return Ok(Server::Works);
        }
        let is_known = |finding: &Finding| {
            finding.subject == self.session.name
                && ["saved-after-done", "swallows-save-errors"].contains(&finding.code)
        };
        if report.findings.iter().any(is_known) {
            return Ok(Server::Works);
        }
        if self.is_elsewhere {
            let why = "the answer is also stored outside the table that chatctl found";
            report.add(Finding {
                help: "declare in chatctl.toml where answers are stored".to_owned(),
                ..self.untried(why)
            });
            return Ok(Server::Works);
        }
        let times = match (self.options.proof, self.world.is_ours()) {
            (Proof::Fault, _) => ENOUGH,
            (Proof::Auto, true) => 1,
            (Proof::Auto, false) => {
                let why = "chatctl did not start the server, so it does not make its saves fail";
                report.add(self.untried(why));
                return Ok(Server::Works);
            }
            (Proof::Gate, _) => {
                report.add(self.untried("--proof gate skips it"));
                return Ok(Server::Works);
            }
            (Proof::Observe, _) => {
                report.add(self.untried("--proof observe writes nothing"));
                return Ok(Server::Works);
            }
        };
        let Some(means) = self.means() else {
            let engine = self.world.target.engine();
            report.add(self.untried(&format!(
                "no gate withholds commits, and no trigger is written for {engine}"
            )));
            return Ok(Server::Works);
        };
        let case = self.begin_case("save-fails", &NONE, &READ_TO_END);
        self.provoke();
        let server = self.fail(case, (times, means), report).await;
        self.calm().await;
        server
    }

    async fn fail(
        &mut self,
        mut case: Begun,
        (times, means): (usize, Means),
        report: &mut Report,
    ) -> anyhow::Result<Server> {
        let mut server = Server::Works;
        let mut saw = SaveFailure::Withheld.saw();
        for number in 1..=times {
            self.doing(&format!("a save that fails, {number} of {times}"));
            report.checked += 1;
            let mut tried = self.failing_turn(means).await?;
            let hangs = matches!(tried.shown, SaveFailure::Hangs);
            let broken = match self.free(means, tried.freed).await {
                Ok(()) => self.next_chat().await,
                Err(why) => Some(why.to_string()),
            };
            if let Some(why) = &broken {
                server = Server::Hangs;
                tried
                    .moments
                    .now(Lane::Server, format!("the next chat: {why}"));
            }
            if let SaveFailure::Unread { at, why } = tried.shown {
                // A commit that failed can leave a rollback journal that only a writer may roll back.
                // The server did that when it served the next chat.
                tried.shown = match self.complete_row(&tried.nonce).await {
                    Ok(None) => SaveFailure::Came(at),
                    Ok(Some(_)) => SaveFailure::Open(
                        "the store could not be read at the final marker, and holds the answer now: \
                         the server saved it again later"
                            .to_owned(),
                    ),
                    Err(_) => SaveFailure::Open(format!(
                        "the store could not be read afterwards: {why}"
                    )),
                };
            }
            if hangs || !tried.freed || broken.is_some() {
                report.add(self.hanging(hangs, tried.freed, broken, &case.name));
            }
            case.timeline = tried.moments.timeline.clone();
            saw = tried.shown.saw();
            let open = match tried.shown {
                SaveFailure::Came(at) => {
                    let silent = self.silent_failure(tried.sent, &case.name).await;
                    let finding = self.came(at, &tried, report, &case.name);
                    let reason = "a save was made to fail, and the final marker came anyway";
                    self.end_case(case, Verdict::Violated, reason, report);
                    report.add(finding);
                    silent.into_iter().for_each(|finding| report.add(finding));
                    return Ok(server);
                }
                SaveFailure::Withheld | SaveFailure::Reported if server == Server::Hangs => {
                    format!("{saw}, and the server no longer answers any chat")
                }
                SaveFailure::Withheld | SaveFailure::Reported if tried.freed => continue,
                SaveFailure::Withheld | SaveFailure::Reported => {
                    format!("{saw}, and the server kept its transaction open")
                }
                SaveFailure::Hangs => format!(
                    "the final marker did not come, and the response did not end within {} after the save had failed",
                    humantime::format_duration(self.patience())
                ),
                SaveFailure::Unread { why, .. } | SaveFailure::Open(why) => why,
            };
            self.end_case(case, Verdict::Inconclusive, open, report);
            return Ok(server);
        }
        let limit = match self.options.proof {
            Proof::Fault => "; when a successful save is committed was not tested",
            Proof::Auto | Proof::Gate | Proof::Observe => "",
        };
        let saves = match times {
            1 => "the save was".to_owned(),
            times => format!("{times} saves were"),
        };
        let reason = format!("{saves} made to fail, and {saw}{limit}");
        self.end_case(case, Verdict::Held, reason, report);
        Ok(server)
    }

    /// The finding where the final marker came although the save failed. Whether the error is
    /// dropped or the save comes too late is known where the order is.
    fn came(&self, at: Tick, tried: &Tried, report: &Report, case: &str) -> Finding {
        let order = format!("{}/order", self.session.name);
        let order = report.cases.iter().find(|case| case.name == order);
        let finding = match order {
            Some(_) => swallowed(&self.session.name, &self.marker, case),
            None => Finding::new(
                "done-despite-failed-save",
                Severity::Error,
                &self.session.name,
                "the final marker does not depend on the save of the answer: it came although that save failed",
                "commit the message before the final marker, and let a failed save end the stream with an error; \
                 --proof gate shows which of the two is missing",
            )
            .in_case(case),
        };
        let finding = finding
            .with(
                Source::Store,
                format!(
                    "{} made exactly this answer's save fail, and no row holds it",
                    tried.means.word()
                ),
            )
            .with(
                Source::Stream,
                format!("`{}` arrived at {}", self.marker, tried.moments.ms(at)),
            );
        match order {
            Some(order) if order.verdict != Verdict::Proven => finding.with(
                Source::Store,
                "the order is not proven: the save may come after the marker, too",
            ),
            _ => finding,
        }
    }

    /// A failed save that the user is told nothing of, or that stops the server.
    pub(super) fn hanging(
        &self,
        response: bool,
        freed: bool,
        broken: Option<String>,
        case: &str,
    ) -> Finding {
        let harm = match (response, &broken) {
            (_, Some(_)) => "after a failed save the server no longer answers any chat",
            (true, None) => {
                "after a save that failed the response does not end: the user waits, and sees no error"
            }
            (false, None) => {
                "after a save that failed the server keeps its transaction open for a while: nobody else can write"
            }
        };
        let severity = match broken {
            Some(_) => Severity::Error,
            None => Severity::Warning,
        };
        let help = "roll back when a save fails, return its connection, and end the stream with an error event";
        let finding = Finding::new(
            "failed-save-hangs",
            severity,
            &self.session.name,
            harm,
            help,
        );
        let mut finding = finding;
        if response {
            let patience = humantime::format_duration(self.patience());
            let marker = &self.marker;
            finding = finding.with(
                Source::Stream,
                format!("neither `{marker}` nor the end of the response came within {patience}"),
            );
        }
        if !freed {
            finding = finding.with(
                Source::Store,
                "the store could not be written to after the response had ended",
            );
        }
        match broken {
            Some(why) => finding.with(Source::Stream, format!("the next chat: {why}")),
            None => finding.with(Source::Store, "the next chat was answered and stored"),
        }
        .in_case(case)
    }

    /// The note that nobody looked.
    fn untried(&self, why: &str) -> Finding {
        Finding::new(
            "failed-save-untried",
            Severity::Note,
            &self.session.name,
            format!("what happens to an answer whose save fails was not tested: {why}"),
            if self.world.is_ours() {
                "use --proof auto or --proof fault, on a test database"
            } else {
                "let chatctl start the server (--start), or use --proof fault on a test database"
            },
        )
    }

    /// Lets saves succeed again, where they could not be let before.
    async fn free(&mut self, means: Means, freed: bool) -> anyhow::Result<()> {
        if freed {
            Ok(())
        } else {
            self.remove_fault(means).await
        }
    }

    /// Holds one more chat; the reason when it is not as it was before.
    pub(super) async fn next_chat(&mut self) -> Option<String> {
        let next = async {
            let chat = self.set_up().await?;
            let live = self.begin(&chat, 0, AS_RECORDED).await?;
            live.play.release();
            self.until_over(&live, self.patience()).await?;
            let row = self.await_row(&live, self.options.settle).await;
            anyhow::Ok(row.is_some())
        };
        let next = next.await;
        self.world.gateway.rest();
        match next {
            Ok(true) => None,
            Ok(false) => Some("its answer was not stored".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// The longest that a response may take after its save failed; servers may try again.
    pub(super) fn patience(&self) -> Duration {
        self.times.patience().min(self.options.response_timeout)
    }

    /// The last turn of a chat, its save made to fail.
    async fn failing_turn(&mut self, means: Means) -> anyhow::Result<Tried> {
        let mut moments = Moments::default();
        let (chat, live) = self.last_turn(&mut moments).await?;
        let sent = live.sent;
        let nonce = live.nonce.clone();
        let (shown, freed) = match self.install_fault(means, &nonce).await? {
            Some(why) => {
                live.play.release();
                // Only so that the server is done with this turn before the next.
                let _ = self.until_over(&live, self.patience()).await;
                (SaveFailure::Open(why), true)
            }
            None => {
                let word = means.word();
                moments.now(
                    Lane::Store,
                    format!("{word} makes the save of this answer fail"),
                );
                live.play.release();
                let over = live.watching.until(|seen| seen.over.is_some());
                let ended = tokio::time::timeout(self.patience(), over).await.is_ok();
                let seen = live.watching.seen();
                if let Some(at) = seen.turn.final_at {
                    moments.at(
                        at,
                        Lane::Client,
                        format!("final marker `{}` received", self.marker),
                    );
                }
                let expected = live.expected.clone();
                // A server may give back what it holds only when its client is gone.
                drop(live);
                if let Some(how) = without_marker(seen.turn.final_at, ended) {
                    moments.now(Lane::Client, how);
                }
                let stored = self.complete_row(&nonce).await;
                if let (Some(_), Ok(None) | Err(_), Means::Gate(_)) =
                    (seen.turn.final_at, &stored, means)
                {
                    // A save that comes after the marker still has to meet the fault.
                    tokio::time::sleep(self.options.settle).await;
                }
                let is_promised = seen.turn.promised_at().is_some();
                // A place that was declared is not doubted: a server shows what it remembers, too.
                let mapping = self.mapping.as_ref();
                let is_guessed =
                    mapping.is_some_and(|mapping| matches!(mapping.origin, Origin::Detected(_)));
                let is_kept = is_promised
                    && is_guessed
                    && self.reload_shows(&chat, &expected).await == Some(true);
                let freed = self.remove_fault(means).await;
                if freed.is_ok() {
                    moments.now(Lane::Store, "saves work again");
                }
                let is_unmet = match (means, &self.world.gate) {
                    (Means::Gate(_), Some(AnyGate::Commits(gate))) => gate.faults_done() == 0,
                    (Means::Gate(_), _) | (Means::Trigger(_), _) => false,
                };
                let shown = match (seen.turn.final_at, stored) {
                    (_, Ok(Some(_))) => SaveFailure::Open(format!(
                        "the row was stored although {word} makes its save fail: the server writes elsewhere too"
                    )),
                    (Some(_), Ok(None)) if seen.turn.promised_at().is_none() => {
                        SaveFailure::Reported
                    }
                    (Some(_), Ok(None) | Err(_)) if is_unmet => SaveFailure::Open(
                        "no commit carried this answer past the gate, so no save was made to fail"
                            .to_owned(),
                    ),
                    (Some(_), Ok(None)) if self.reading != Reading::Text => {
                        SaveFailure::Open(format!("the final marker came, and {UNREAD}"))
                    }
                    (Some(_), Ok(None) | Err(_)) if is_kept => SaveFailure::Open(KEPT.to_owned()),
                    (Some(at), Ok(None)) => SaveFailure::Came(at),
                    // Behind an error the marker promises nothing, whatever the store holds.
                    (Some(_), Err(_)) if seen.turn.promised_at().is_none() => SaveFailure::Reported,
                    (Some(at), Err(error)) => SaveFailure::Unread {
                        at,
                        why: format!("{error:#}"),
                    },
                    (None, _) if ended => SaveFailure::Withheld,
                    (None, _) => SaveFailure::Hangs,
                };
                (shown, freed.is_ok())
            }
        };
        self.world.gateway.rest();
        Ok(Tried {
            means,
            shown,
            freed,
            moments,
            sent,
            nonce,
        })
    }

    /// What can make a save fail here: the gate that withholds commits, else a trigger.
    fn means(&self) -> Option<Means> {
        if let Some(AnyGate::Commits(gate)) = &self.world.gate {
            let faults = [CommitFault::CommitError, CommitFault::IoError];
            let fault = faults.into_iter().find(|fault| gate.can(*fault));
            return fault.map(Means::Gate);
        }
        gate::triggers(self.world.target.engine()).map(Means::Trigger)
    }

    /// Makes the save of this nonce fail from now on; gives the reason when that would show nothing.
    async fn install_fault(&mut self, means: Means, nonce: &str) -> anyhow::Result<Option<String>> {
        match (means, &mut self.world.gate) {
            (Means::Gate(fault), Some(AnyGate::Commits(gate))) => {
                gate.arm(nonce, fault, Lasts::UntilOpened).await?;
                Ok(None)
            }
            (Means::Gate(_), _) => Ok(Some("the gate is gone".to_owned())),
            (Means::Trigger(triggers), _) => self.install_trigger(triggers, nonce).await,
        }
    }

    /// Puts the triggers in; gives the reason when they would show nothing.
    async fn install_trigger(
        &mut self,
        triggers: &'static Triggers,
        nonce: &str,
    ) -> anyhow::Result<Option<String>> {
        let mapping = self
            .mapping
            .clone()
            .expect("a case is only run with a mapping");
        let fault = match Fault::new(triggers, self.world.db()).await {
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
                "the store's texts can't be read: one save can't be distinguished from another"
                    .into(),
            ));
        };
        match fault.install(db, table, column, nonce).await {
            Ok(()) => Ok(None),
            // A trigger fails the statement, not the commit: behind an open transaction it shows nothing.
            Err(WriteError::Busy) => Ok(Some(
                "the server keeps a write transaction open while it streams: a save that fails inside it says \
                    nothing about its commit"
                    .into(),
            )),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove_fault(&mut self, means: Means) -> anyhow::Result<()> {
        if let Means::Gate(_) = means {
            if let Some(AnyGate::Commits(gate)) = &mut self.world.gate {
                gate.open().await?;
            }
            return Ok(());
        }
        if let Some(fault) = &mut self.world.fault {
            fault.remove().await.map_err(|error| {
                CliError::unreachable(format!("the triggers chatctl_fault_* could not be removed: {error}"))
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
        let telling = "error exception fail traceback locked abort rollback warn";
        let told = lines.iter().any(|line| {
            let text = line.text.to_lowercase();
            telling.split(' ').any(|word| text.contains(word))
        });
        (!told).then(|| {
            Finding::new(
                "save-failed-silently",
                Severity::Error,
                &self.session.name,
                "a save failed, and the server's output does not mention it: nobody can find out why an answer is missing",
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
