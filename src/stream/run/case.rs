//! A case in progress: its clock, its timeline, and its way into the report.

use super::choice;
use super::stage::Stage;
use crate::clock::Tick;
use crate::model::ProviderEnd;
use crate::report::{Case, ClientMoment, CommitMoment, Lane, Report, Timeline, Verdict};
use crate::stream::faults::{ClientBehaviour, GatewayFault};
use crate::stream::judge::Judged;
use crate::text::{on_one_line, plural};
use crate::{cli_error, clock};
use std::collections::BTreeMap;

/// A case that was begun.
pub(super) struct Begun {
    pub(super) name: String,
    pub(super) fault: String,
    client: &'static str,
    began: Tick,
    ended: Option<Tick>,
    pub(super) timeline: Timeline,
    pub(super) metrics: BTreeMap<&'static str, f64>,
}

/// Moments of one trial, on the run's clock.
pub struct Moments {
    began: Tick,
    /// What happened so far.
    pub timeline: Timeline,
    /// When the server asked for its first commit.
    pub(super) asked: Option<Tick>,
    /// Whether the server knew, before the final marker, that a commit with the answer was done.
    pub(super) carried: bool,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            began: clock::now(),
            timeline: Timeline::default(),
            asked: None,
            carried: false,
        }
    }
}

impl Moments {
    /// Something that happened at a moment.
    pub fn at(&mut self, at: Tick, lane: Lane, what: impl Into<String>) {
        self.timeline.add(at.saturating_sub(self.began), lane, what);
    }

    /// What was done to a commit.
    pub(super) fn commit(&mut self, at: Tick, what: String, commit: CommitMoment) {
        let at = at.saturating_sub(self.began);
        self.timeline.add_commit(at, what, commit);
    }

    /// Where the client ends the turn.
    pub(super) fn ends(&mut self, what: &str, client: ClientMoment) {
        let at = clock::now().saturating_sub(self.began);
        self.timeline.add_client(at, what, client);
    }

    /// Something that happens now.
    pub fn now(&mut self, lane: Lane, what: impl Into<String>) {
        self.at(clock::now(), lane, what);
    }

    /// Milliseconds since the beginning, for a text.
    pub(super) fn ms(&self, at: Tick) -> String {
        format!(
            "{:.1} ms",
            at.saturating_sub(self.began).as_secs_f64() * 1000.0
        )
    }
}

impl Begun {
    /// It is over, and is judged later.
    pub(super) fn over(&mut self) {
        self.ended = Some(clock::now());
    }

    pub(super) fn metric(&mut self, name: &'static str, value: std::time::Duration) {
        self.metrics.insert(name, value.as_secs_f64() * 1000.0);
    }
}

impl Stage<'_> {
    pub(super) fn begin_case(
        &self,
        what: &str,
        fault: &GatewayFault,
        client: &ClientBehaviour,
    ) -> Begun {
        debug_assert!(choice::is_case(what), "--case must know `{what}`");
        self.doing(what);
        Begun {
            name: format!("{}/{what}", self.session.name),
            fault: fault.name.to_owned(),
            client: client.name,
            began: clock::now(),
            ended: None,
            timeline: Timeline::default(),
            metrics: BTreeMap::new(),
        }
    }

    pub(super) fn end_case(
        &self,
        begun: Begun,
        verdict: Verdict,
        reason: impl Into<String>,
        report: &mut Report,
    ) {
        report.cases.push(Case {
            name: begun.name,
            session: self.session.name.clone(),
            fault: begun.fault,
            client: begun.client.into(),
            verdict,
            reason: on_one_line(&reason.into()),
            took: begun.ended.unwrap_or_else(clock::now) - begun.began,
            timeline: begun.timeline,
            metrics: begun.metrics,
        });
    }

    /// A case that could not be played to its end. Only its reason can hold the hint of the error.
    pub(super) fn end_failed(&self, begun: Begun, error: &anyhow::Error, report: &mut Report) {
        let reason = cli_error::with_hint(error);
        self.end_case(begun, Verdict::Inconclusive, reason, report);
    }

    /// Ends a case with what was seen in it, or with the error that kept it from being played.
    pub(super) fn end_judged<T>(
        &self,
        mut case: Begun,
        mut moments: Moments,
        seen: anyhow::Result<T>,
        judge: fn(&T) -> Judged,
        report: &mut Report,
    ) {
        let judged = match seen {
            Ok(seen) => {
                let judged = judge(&seen);
                moments.now(Lane::Store, judged.reason.as_str());
                judged
            }
            Err(error) => Judged::unseen(cli_error::with_hint(&error)),
        };
        case.timeline = moments.timeline;
        self.end_all([(case, judged)], report);
    }

    /// Ends cases that are judged together: what several of them found is one finding a code.
    pub(super) fn end_all(
        &self,
        cases: impl IntoIterator<Item = (Begun, Judged)>,
        report: &mut Report,
    ) {
        let mut findings = Vec::new();
        for (case, judged) in cases {
            self.end_case(case, judged.verdict, judged.reason, report);
            findings.extend(judged.findings);
        }
        report.add_by_code(findings);
    }
}

/// How the server's requests to its provider ended, for a timeline.
pub(super) fn told(provider: ProviderEnd) -> String {
    match provider {
        ProviderEnd::NotAsked => "the provider was not asked".to_owned(),
        ProviderEnd::Open => "the provider's answer is still being sent".to_owned(),
        // The buffers of the connection may hold what the server never takes.
        ProviderEnd::Whole => {
            "the provider's whole answer was sent, and the server had not hung up".to_owned()
        }
        ProviderEnd::HungUp { chunks } => {
            format!(
                "the server closed its connection to the provider after {}",
                plural(chunks as u64, "chunk")
            )
        }
    }
}
