//! Rounds of one session, and what goes from one to the next.

use super::account::Shows;
use super::hold::Held;
use super::round::Round;
use super::tally::Tally;
use super::ways::Way;
use super::{Options, preflight};
use crate::report::{Case, Finding, Report, Severity, Source, Verdict};
use crate::stream::run::Stage;
use crate::{clock, stop, store};

/// How many conversations are asked for after each restart.
const KEPT: usize = 50;
/// How often a round is tried in which the server was killed too late.
const TRIES: usize = 10;

/// One session's experiment.
pub(super) struct Experiment<'s, 'w> {
    pub(super) stage: &'s mut Stage<'w>,
    pub(super) options: &'s Options,
    /// Conversations of the rounds before.
    pub(super) held: Vec<Held>,
    /// Why no table is known that holds the messages.
    pub(super) elsewhere: Option<String>,
    /// Whether a message was seen in the store.
    pub(super) stored: bool,
    /// Whether a text was seen there, be it in a table that nobody can read messages from.
    pub(super) in_store: bool,
    /// What histories show beside the conversation that is asked for.
    pub(super) shows: Shows,
    tally: Tally,
}

impl<'s, 'w> Experiment<'s, 'w> {
    pub(super) fn new(stage: &'s mut Stage<'w>, options: &'s Options) -> Self {
        Self {
            stage,
            options,
            held: Vec::new(),
            elsewhere: None,
            stored: false,
            in_store: false,
            shows: Shows::One,
            tally: Tally::default(),
        }
    }

    /// Goes through every round. Tells whether there still is a server.
    pub(super) async fn run(mut self, report: &mut Report) -> anyhow::Result<bool> {
        let goes_on = self.rounds(report).await?;
        for finding in self.tally.findings() {
            report.add(finding);
        }
        Ok(goes_on)
    }

    async fn rounds(&mut self, report: &mut Report) -> anyhow::Result<bool> {
        for number in 1..=self.options.rounds {
            for way in &self.options.ways {
                let first = report.cases.is_empty();
                let goes_on = self.round(number, way, report).await;
                if first {
                    self.preflight().await?;
                }
                match goes_on {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    // Before anything was shown there is nothing but the error to tell.
                    Err(error) if first => return Err(error),
                    Err(error) => {
                        self.broke_off(number, way, &error, report);
                        return Ok(true);
                    }
                }
            }
        }
        Ok(true)
    }

    async fn round(
        &mut self,
        number: usize,
        way: &'static Way,
        report: &mut Report,
    ) -> anyhow::Result<bool> {
        let name = format!("{}/round-{number}/{}", self.stage.session().name, way.name);
        self.stage.doing(&format!("round {number}, {}", way.name));
        let began = clock::now();
        let mut round = Round::new(way);
        let mut ran = round.run(self).await;
        for _ in 1..TRIES {
            if ran.is_err() || round.down || !round.is_late() {
                break;
            }
            round = round.again();
            ran = round.run(self).await;
        }
        let worst = round.findings.iter().map(|finding| finding.severity).max();
        let broken = worst == Some(Severity::Error);
        let (verdict, reason) = match (ran, broken) {
            (Err(error), false) if round.findings.is_empty() && !round.stopped => {
                return Err(error);
            }
            (_, true) => (Verdict::Violated, self.worst(&round.findings)),
            (Err(error), false) => (Verdict::Inconclusive, with_hint(&error)),
            (Ok(reason), false) => match &self.elsewhere {
                Some(why) => (Verdict::Inconclusive, why.clone()),
                None => match round.too_late() {
                    Some(why) => (Verdict::Inconclusive, why),
                    None => (Verdict::Held, reason),
                },
            },
        };
        report.checked += round.checked;
        report.cases.push(Case {
            name: name.clone(),
            session: self.stage.session().name.clone(),
            fault: "none".into(),
            client: "read-to-end".into(),
            verdict,
            reason,
            took: clock::now() - began,
            timeline: std::mem::take(&mut round.moments.timeline),
            metrics: round.metrics(),
        });
        let findings = round.findings.into_iter();
        let findings = findings.map(|finding| finding.in_case(&name)).collect();
        self.tally.round(way.name, findings);
        self.stage.look_at_log(report);
        // The oldest have seen the most restarts, and the newest were just written.
        while self.held.len() > KEPT {
            self.held.remove(KEPT / 2);
        }
        Ok(!round.down)
    }

    /// Looks for the chat in all of the store, where no table is known that holds it.
    pub(super) async fn look_anywhere(&mut self, chat: &Held) {
        if self.elsewhere.is_none() {
            return;
        }
        for said in &chat.said {
            // It may be where nobody may look.
            self.in_store |= self.stage.stands_anywhere(&said.tag).await.unwrap_or(true);
        }
    }

    /// A history was seen to show others' messages before a restart: it's compared without them.
    pub(super) fn all_show_others(&mut self) {
        if self.shows == Shows::One {
            self.shows = Shows::Others;
            self.stage.note(
                "the history of a conversation shows messages of other conversations too, before a restart as after \
                 it: only its own are compared",
            );
        }
    }

    fn worst(&self, findings: &[Finding]) -> String {
        let worst = findings
            .iter()
            .find(|finding| finding.severity == Severity::Error);
        worst
            .map(|finding| format!("{} ({})", finding.harm, finding.code))
            .unwrap_or_default()
    }

    fn broke_off(&self, number: usize, way: &Way, error: &anyhow::Error, report: &mut Report) {
        let session = self.stage.session().name.clone();
        report.cases.push(Case {
            name: format!("{session}/round-{number}/{}", way.name),
            session,
            fault: "none".into(),
            client: "read-to-end".into(),
            verdict: Verdict::Inconclusive,
            reason: with_hint(error),
            took: std::time::Duration::ZERO,
            timeline: Default::default(),
            metrics: Default::default(),
        });
    }

    /// What the store's settings and its login's rights would allow.
    async fn preflight(&mut self) -> anyhow::Result<()> {
        let findings = match (self.stage.store(), self.stage.mapping()) {
            (Some(db), Some(mapping)) => preflight::findings(db, mapping).await?,
            _ => Vec::new(),
        };
        for finding in findings {
            self.tally.beside(finding);
        }
        Ok(())
    }

    /// The finding on a store that has no tables for chats although the server runs.
    pub(super) async fn no_tables(&self, error: &anyhow::Error) -> anyhow::Result<Option<Finding>> {
        let Some(db) = self.stage.store() else {
            return Ok(None);
        };
        let schema = db.schema().await?;
        if self.stage.mapping().is_some() || store::by_names(&schema).is_some() {
            return Ok(None);
        }
        let names: Vec<_> = schema.iter().map(|table| table.name.as_str()).collect();
        let finding = Finding::new(
            "models-not-imported",
            Severity::Error,
            &self.stage.session().name,
            "the server runs without tables for its chats: no message can be stored",
            "import every model before `create_all`, or let a migration make the tables",
        )
        .with(
            Source::Catalog,
            format!("the store has the tables {}", names.join(", ")),
        )
        .with(Source::Stream, format!("{error:#}"));
        Ok(Some(finding))
    }
}

/// An error and what to do about it, for a report: there is no other place for its hint.
pub(super) fn with_hint(error: &anyhow::Error) -> String {
    match stop::classify(error).1 {
        Some(hint) => format!("{error:#}; {hint}"),
        None => format!("{error:#}"),
    }
}
