//! What a command found: verdicts, findings with their evidence, timelines.
//!
//! Names only the nouns of `model` and does no input or output. The exit code
//! is computed from a [`Report`] before any renderer sees it.

mod asked;
mod finding;
mod merge;
mod reader;
mod timeline;
mod verdict;
mod view;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, SystemTime};

pub use asked::{Asked, NO_CASE, ORDER, REQUIRE_PROVEN, demand_proof};
pub use finding::{Evidence, Finding, FindingRow, Location, Severity, Source};
pub use merge::merge;
pub use reader::read;
pub use timeline::{ClientMoment, CommitEvent, CommitMoment, Lane, Moment, Timeline};
pub use verdict::Verdict;
pub use view::{Align, Column, Head, Holds, Line, Note, Piece, Sheet, Text, Tool, Transcript};

/// The name of the JSON shape; it changes only when a reader of the old shape would break.
pub const SCHEMA: &str = "chatctl.report/1";

/// Everything that one run of a command found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The sub-command, as typed: `verify-stream`.
    pub command: &'static str,
    /// The version of chatctl that ran it.
    pub version: &'static str,
    /// Wall-clock time of the start.
    pub started_at: SystemTime,
    /// How long the command ran.
    pub took: Duration,
    /// The examined store; absent if the command reads none.
    pub store: Option<StoreLine>,
    /// How to repeat the run; absent if that is not possible.
    pub replay: Option<Replay>,
    /// The examined cases, one verdict each.
    pub cases: Vec<Case>,
    /// The findings of all cases.
    pub findings: Vec<Finding>,
    /// Whether migrations are pending: `migrate plan` and `migrate status`.
    pub pending: bool,
    /// How many things were examined (trials, rows, files), for the summary.
    pub checked: u64,
    /// The count of each code, if one finding covers many things.
    pub found: Vec<Found>,
    /// How many cases were skipped, because they don't fit the examined store.
    pub skipped: u64,
}

/// The count of a code at one level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The level.
    pub severity: Severity,
    pub code: &'static str,
    pub count: u64,
}

/// The kind of a value in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// The key of a row in the store, or of its user.
    Id,
    /// A text that is in the store.
    Text,
    /// A fact that may quote stored text.
    Fact,
}

/// The store of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreLine {
    /// `sqlite`, `postgres`, `mysql`.
    pub backend: String,
    /// The URL with its password masked.
    pub url: String,
    /// The mapping in use and how it was found; empty where the command reads no chats.
    pub mapping: String,
}

/// How to repeat a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The seed of all its choices.
    pub seed: u64,
    /// Its arguments, without secrets.
    pub arguments: Vec<String>,
    /// Which share of its cases was run, such as `2/4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
}

/// One case: session × gateway fault × client behaviour.
#[derive(Debug, Clone)]
pub struct Case {
    /// Unique in the report: `hello/order`.
    pub name: String,
    /// The session's name.
    pub session: String,
    /// The gateway fault, `none` without one.
    pub fault: String,
    /// The client behaviour: `read-to-end`, `close-at-final`.
    pub client: String,
    /// The verdict of the case.
    pub verdict: Verdict,
    /// The reason for the verdict, in one sentence.
    pub reason: String,
    /// How long the case took.
    pub took: Duration,
    /// What happened, in order, on one clock; the trial that decided the verdict.
    pub timeline: Timeline,
    /// Figures with their unit in the name: `hold_ms`.
    pub metrics: BTreeMap<&'static str, f64>,
}

impl Report {
    /// An empty report that starts now.
    pub fn new(command: &'static str) -> Self {
        Self {
            command,
            version: env!("CARGO_PKG_VERSION"),
            started_at: SystemTime::now(),
            took: Duration::ZERO,
            store: None,
            replay: None,
            cases: Vec::new(),
            findings: Vec::new(),
            pending: false,
            checked: 0,
            found: Vec::new(),
            skipped: 0,
        }
    }

    /// The worst of all sessions and findings; an error-level finding is a violation.
    ///
    /// A report that examined nothing is inconclusive.
    pub fn verdict(&self) -> Verdict {
        let from_findings = (self.errors() > 0).then_some(Verdict::Violated);
        self.cases
            .iter()
            .map(|case| self.session_verdict(&case.session))
            .chain(from_findings)
            .max()
            .unwrap_or(Verdict::Inconclusive)
    }

    /// The worst of a session's cases; but if the order is proven, cases that are `held` by a
    /// weaker method keep it proven.
    pub fn session_verdict(&self, session: &str) -> Verdict {
        let verdicts = || {
            let cases = self.cases.iter().filter(|case| case.session == session);
            cases.map(|case| case.verdict)
        };
        match verdicts().max() {
            Some(Verdict::Held) if verdicts().any(|verdict| verdict == Verdict::Proven) => {
                Verdict::Proven
            }
            worst => worst.unwrap_or(Verdict::Inconclusive),
        }
    }

    /// Findings of level error.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// Findings of level warning.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// Visits the values in the rows of findings: keys, titles, users, and other text that may
    /// quote stored data. The evidence of a row changes with it.
    pub fn each_value(&mut self, mut change: impl FnMut(Value, &mut String)) {
        for finding in &mut self.findings {
            for row in &mut finding.rows {
                let line = row.line();
                let values = [
                    (Value::Id, &mut row.conversation),
                    (Value::Text, &mut row.title),
                    (Value::Id, &mut row.user),
                    (Value::Id, &mut row.message),
                    (Value::Fact, &mut row.fact),
                ];
                for (what, value) in values {
                    if let Some(value) = value {
                        change(what, value);
                    }
                }
                let told = finding.evidence.iter_mut().filter(|it| it.fact == line);
                told.for_each(|evidence| evidence.fact = row.line());
            }
        }
    }

    /// Visits all texts that may quote stored or sent data: facts with their source, reasons, and
    /// events.
    pub fn each_fact(&mut self, mut change: impl FnMut(Option<Source>, &mut String)) {
        for case in &mut self.cases {
            change(None, &mut case.reason);
            case.timeline.each_text(&mut |text| change(None, text));
        }
        for evidence in self.findings.iter_mut().flat_map(|it| &mut it.evidence) {
            change(Some(evidence.source), &mut evidence.fact);
        }
    }

    /// Adds a finding unless one with the same code, subject and case is there already;
    /// then only its evidence is added, so that five trials don't report one bug five times.
    pub fn add(&mut self, finding: Finding) {
        let known = self.findings.iter_mut().find(|known| {
            known.code == finding.code
                && known.subject == finding.subject
                && known.place.case == finding.place.case
        });
        match known {
            Some(known) => {
                if finding.severity > known.severity {
                    known.severity = finding.severity;
                    known.harm = finding.harm;
                    known.help = finding.help;
                }
                for evidence in finding.evidence {
                    if !known.evidence.contains(&evidence) {
                        known.evidence.push(evidence);
                    }
                }
                known.rows.extend(finding.rows);
            }
            None => self.findings.push(finding),
        }
    }

    /// Adds the findings of several cases of one kind, one per code: it names the first case, and
    /// its evidence names all of them.
    pub fn add_by_code(&mut self, found: Vec<Finding>) {
        let mut by_code: BTreeMap<&str, Finding> = BTreeMap::new();
        for finding in found {
            match by_code.entry(finding.code) {
                Entry::Vacant(entry) => {
                    entry.insert(finding);
                }
                Entry::Occupied(mut entry) => {
                    let first = entry.get_mut();
                    first.severity = first.severity.max(finding.severity);
                    first.evidence.extend(finding.evidence);
                }
            }
        }
        by_code.into_values().for_each(|finding| self.add(finding));
    }
}

#[cfg(test)]
mod tests {
    use super::{Finding, Report, Severity, Verdict};

    #[test]
    fn a_report_without_cases_shows_nothing() {
        assert_eq!(
            Report::new("verify-stream").verdict(),
            Verdict::Inconclusive
        );
    }

    #[test]
    fn an_error_outweighs_every_case() {
        let mut report = Report::new("verify-stream");
        report.add(Finding::new(
            "never-saved",
            Severity::Error,
            "message",
            "h",
            "h",
        ));
        assert_eq!(report.verdict(), Verdict::Violated);
    }

    #[test]
    fn the_same_finding_is_reported_once() {
        let mut report = Report::new("verify-stream");
        for _ in 0..5 {
            report.add(Finding::new(
                "never-saved",
                Severity::Error,
                "message",
                "h",
                "h",
            ));
        }
        assert_eq!(report.errors(), 1);
    }
}
