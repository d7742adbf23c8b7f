//! The events that can happen to a table, with harm and help.

use crate::report::{Finding, Severity, Source};

pub(super) const RECREATED: &str = "table-recreated";
pub(super) const TRUNCATED: &str = "table-truncated";
pub(super) const RESTORED: &str = "table-restored";
pub(super) const MISSING: &str = "table-missing";
pub(super) const REPLACED: &str = "file-replaced";
pub(super) const REWOUND: &str = "sequence-rewound";
pub(super) const SCHEMA: &str = "schema-changed";

/// The codes of the findings that evidence leads to.
pub const ALL: &[&str] = &[
    RECREATED, TRUNCATED, RESTORED, MISSING, REPLACED, REWOUND, SCHEMA,
];

/// What an event is about that concerns no single table.
pub(super) const DATABASE: &str = "the database";

/// The harm of a table of which only signs show that it is another one.
const MAYBE_RECREATED: &str = "may be a new table: it may have been dropped and created again";

/// Why a table without its sentinel is the same all the same.
pub(super) const UNMARKED: &str = "its sentinel was removed or replaced, but the table is the same (`chatctl audit arm` marks it again)";

/// A code, the harm, and the act.
const TEXTS: &[(&str, &str, &str)] = &[
    (
        RECREATED,
        "is not the old table: it was dropped and created again",
        "look for `drop_all`, DROP TABLE or a reset in code that runs at start (`chatctl migrate guard` finds \
            it), and restore the rows from a backup",
    ),
    (
        TRUNCATED,
        "was emptied as a whole",
        "look for TRUNCATE in start-up code and in jobs, and restore the rows from a backup",
    ),
    (
        RESTORED,
        "was restored from a dump of the old table",
        "make sure that the dump was taken after the last message; messages written in between are gone",
    ),
    (
        MISSING,
        "no longer exists",
        "find out what dropped it, and restore it from a backup",
    ),
    (
        REPLACED,
        "is in another file than before",
        "put the file on a volume that outlives the server, and find the start-up code that deletes or copies it",
    ),
    (
        REWOUND,
        "will assign ids that were already used: an old link or a cached page shows another chat",
        "set the sequence to the highest id that was ever assigned",
    ),
    (
        SCHEMA,
        "has a different schema than before",
        "nothing, if it was an intended migration",
    ),
];

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// None for what is harmless.
    pub(super) code: Option<&'static str>,
    pub(super) severity: Severity,
    why: String,
}

impl Event {
    pub(super) fn of(code: &'static str, severity: Severity, why: impl Into<String>) -> Self {
        Self {
            code: Some(code),
            severity,
            why: why.into(),
        }
    }

    /// Something harmless that explains what changed.
    pub(super) fn harmless(why: impl Into<String>) -> Self {
        Self {
            code: None,
            severity: Severity::Note,
            why: why.into(),
        }
    }

    pub(super) fn finding(&self, subject: &str, facts: &[String]) -> Option<Finding> {
        let (code, harm, help) = TEXTS.iter().find(|(code, ..)| Some(*code) == self.code)?;
        let harm = match (self.code, self.severity) {
            (Some(RECREATED), Severity::Warning) => MAYBE_RECREATED,
            _ => *harm,
        };
        let harm = format!("{} {harm}", named(subject));
        let finding = Finding::new(code, self.severity, subject, harm, *help)
            .with(Source::Catalog, self.why.clone());
        Some(facts.iter().fold(finding, |finding, fact| {
            finding.with(Source::Catalog, fact.clone())
        }))
    }

    pub(super) fn note(&self, subject: &str) -> String {
        format!("{}: {}.", named(subject), self.why)
    }
}

/// The subject in a sentence: a table has a name.
fn named(subject: &str) -> String {
    if subject == DATABASE {
        subject.to_owned()
    } else {
        format!("`{subject}`")
    }
}
