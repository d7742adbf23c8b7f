//! What a run was asked for by name. It is never a pass if it is missing.

use super::{Case, Report, Verdict};
use std::collections::BTreeSet;

/// The case that shows the order.
pub const ORDER: &str = "order";
/// The case of a share that has none of a session's.
pub const NO_CASE: &str = "no-case";
/// The case of a session whose order was not proven, where that is demanded.
pub const REQUIRE_PROVEN: &str = "require-proven";

/// What a run was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Names of cases, as a report has them, with or without the session.
    pub named: Vec<String>,
    /// Texts that the names of cases contain.
    pub texts: Vec<String>,
    /// Whether only a proof passes.
    pub proof: bool,
}

impl Asked {
    /// What the arguments in a report ask for.
    pub(super) fn by(arguments: &[String]) -> Self {
        let all = |flag: &str| -> Vec<String> {
            let values = arguments.iter().filter_map(|word| word.strip_prefix(flag));
            values.map(str::to_owned).collect()
        };
        Self {
            named: all("--case="),
            texts: all("--cases="),
            proof: all("--require=").contains(&"proven".to_owned()),
        }
    }

    /// Adds an undecided case for all that was asked for and is not in the report.
    pub fn add_missing(&self, report: &mut Report) {
        for named in &self.named {
            let is_it = |case: &Case| case.name == *named || within(case) == Some(named);
            if !report.cases.iter().any(is_it) {
                let (session, what) = named.split_once('/').unwrap_or(("case", named));
                let reason = "it was not played: this run has no such case, or ended before it; a report \
                    without --case lists all cases, and --suite full has more than quick";
                report.cases.push(Case::unplayed(session, what, reason));
            }
        }
        for text in &self.texts {
            let has_it = |case: &Case| within(case).is_some_and(|what| what.contains(text));
            if !report.cases.iter().any(has_it) {
                let reason = format!(
                    "--cases `{text}` matches no case: for these sessions the suite has no case with this text \
                        in its name, or the run ended before it"
                );
                report.cases.push(Case::unplayed("case", text, reason));
            }
        }
        if self.proof {
            for session in sessions(report) {
                demand_proof(report, &session);
            }
        }
    }
}

/// Adds an undecided case if nothing wrong was seen in a session, but its order was not proven.
pub fn demand_proof(report: &mut Report, session: &str) {
    if report.session_verdict(session) == Verdict::Held {
        let reason = "nothing wrong was seen, but the order was not proven, and --require proven demands a proof";
        let case = Case::unplayed(session, REQUIRE_PROVEN, reason);
        report.cases.push(case);
    }
}

impl Case {
    /// A case that was asked for and was not played.
    pub fn unplayed(session: &str, what: &str, reason: impl Into<String>) -> Self {
        Self {
            name: format!("{session}/{what}"),
            session: session.to_owned(),
            fault: "none".to_owned(),
            client: "none".to_owned(),
            verdict: Verdict::Inconclusive,
            reason: reason.into(),
            took: Default::default(),
            timeline: Default::default(),
            metrics: Default::default(),
        }
    }
}

/// The sessions that have a case.
pub(super) fn sessions(report: &Report) -> BTreeSet<String> {
    let cases = report.cases.iter();
    cases.map(|case| case.session.clone()).collect()
}

/// The name of a case within its session.
pub(super) fn within(case: &Case) -> Option<&str> {
    case.name.strip_prefix(&case.session)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::Asked;
    use crate::report::{Case, Report, Verdict};

    fn report(cases: &[(&str, Verdict)]) -> Report {
        let mut report = Report::new("verify-stream");
        for (name, verdict) in cases {
            let (session, what) = name.split_once('/').unwrap();
            let case = Case::unplayed(session, what, "it is so");
            report.cases.push(Case {
                verdict: *verdict,
                ..case
            });
        }
        report
    }

    #[test]
    fn what_was_asked_for_and_is_missing_never_passes() {
        let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let played = [("a/order", Verdict::Held), ("a/left-at-1", Verdict::Held)];
        for (arguments, added) in [
            (&["--case=order", "--case=a/order"][..], &[][..]),
            (&["--case=b/order", "--case=x"], &["b/order", "case/x"]),
            (&["--cases=left-at", "--cases=lift"], &["case/lift"]),
            (&["--require=proven"], &["a/require-proven"]),
            (&["--require=held", "--seed=1"], &[]),
        ] {
            let mut report = report(&played);
            Asked::by(&words(arguments)).add_missing(&mut report);
            let names: Vec<_> = report.cases[2..].iter().map(|it| &it.name[..]).collect();
            assert_eq!(names, added, "{arguments:?}");
            let passes = report.verdict() == Verdict::Held;
            assert_eq!(passes, added.is_empty(), "{arguments:?}");
        }
        let mut proven = report(&[("a/order", Verdict::Proven), ("a/b", Verdict::Held)]);
        Asked::by(&words(&["--require=proven"])).add_missing(&mut proven);
        assert_eq!(proven.verdict(), Verdict::Proven);
    }
}
