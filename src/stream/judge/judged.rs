//! The result of a case: its verdict, the reason, and the findings.

use crate::model::ProviderEnd;
use crate::report::{Finding, Severity, Source, Verdict};

/// Of a conversation that has messages and no row of its own, or none that names its user as
/// others do: what was seen.
pub(super) const NO_HEAD: &str = "other conversations have a row of their own, and this one has only messages, or a \
    row without the user that others name";
/// The same: what to do.
pub(super) const MAKE_HEAD: &str =
    "make the conversation's row, with its user, before the provider is called";

/// What it shows.
#[derive(Debug)]
pub struct Judged {
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Judged {
    /// What was searched for could not be seen.
    pub(in crate::stream) fn unseen(reason: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Inconclusive,
            reason: reason.into(),
            findings: Vec::new(),
        }
    }

    /// Violated by an error among the findings. Without one it is held, unless there is a doubt.
    pub(super) fn by(
        findings: Vec<Finding>,
        reason: String,
        doubt: Option<impl Into<String>>,
    ) -> Self {
        let is_error = findings.iter().any(|it| it.severity == Severity::Error);
        let (verdict, reason) = match doubt {
            _ if is_error => (Verdict::Violated, reason),
            Some(doubt) => {
                let doubt = doubt.into();
                (Verdict::Inconclusive, format!("{reason}; {doubt}"))
            }
            None => (Verdict::Held, reason),
        };
        Self {
            verdict,
            reason,
            findings,
        }
    }
}

/// Whether the server asked its provider, and all that it asked for came to an end.
pub(super) fn asked(provider: ProviderEnd) -> Result<(), Judged> {
    match provider {
        ProviderEnd::NotAsked => Err(Judged::unseen("the server did not ask its provider")),
        ProviderEnd::Open => Err(Judged::unseen(
            "the server's request to its provider did not end, so the save may still come",
        )),
        ProviderEnd::Whole | ProviderEnd::HungUp { .. } => Ok(()),
    }
}

/// Why a store that still changed proves nothing against the server.
pub(super) const LATE: &str = "it came after the settling time: a longer --settle includes it";

/// What is stored of a case that happened as it was meant to.
pub(super) fn met<'s, T>(
    met: &Result<(), String>,
    stored: &'s Result<T, String>,
) -> Result<&'s T, Judged> {
    match met {
        Ok(()) => read(stored),
        Err(why) => Err(Judged::unseen(why)),
    }
}

/// What is stored, if the store could be read.
pub(super) fn read<T>(stored: &Result<T, String>) -> Result<&T, Judged> {
    stored
        .as_ref()
        .map_err(|why| Judged::unseen(format!("the store could not be read: {why}")))
}

/// What was seen in a case, as its findings name it.
pub(super) trait OfCase {
    /// The session, and its table.
    fn subject(&self) -> &str;
    /// The case's name in the report.
    fn case(&self) -> &str;
    /// What was done, where a fact needs it.
    fn done(&self) -> Option<String>;
}

/// A finding of a case: its harm and what to do, and the fact that shows it.
pub(super) fn finding(
    seen: &impl OfCase,
    code: &'static str,
    severity: Severity,
    (harm, help): (&str, &str),
    (source, fact): (Source, &str),
) -> Finding {
    let fact = match seen.done() {
        Some(done) => format!("{done}: {fact}"),
        None => fact.to_owned(),
    };
    Finding::new(code, severity, seen.subject(), harm, help)
        .with(source, fact)
        .in_case(seen.case())
}

/// The same, of what is an error in any case.
pub(super) fn wrong(
    seen: &impl OfCase,
    code: &'static str,
    says: (&str, &str),
    fact: (Source, &str),
) -> Finding {
    finding(seen, code, Severity::Error, says, fact)
}
