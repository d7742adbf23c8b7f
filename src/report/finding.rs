//! Findings: code, harm, help and evidence.

use serde::{Deserialize, Serialize};

/// How bad a finding is. Only `Error` fails a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Probably wrong, or wrong in circumstances that did not occur.
    Warning,
    /// A broken promise, with evidence.
    Error,
}

/// The source of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Rows read from the store.
    Store,
    /// Bytes that the client received.
    Stream,
    /// The store's catalogue.
    Catalog,
    /// The server's own output.
    Log,
    /// Requests that the server sent to its provider.
    Gateway,
    /// A file of the user.
    File,
}

impl Source {
    /// The word used in every format.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Stream => "stream",
            Self::Catalog => "catalog",
            Self::Log => "log",
            Self::Gateway => "gateway",
            Self::File => "file",
        }
    }
}

/// One fact with its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub source: Source,
    /// The fact, one line or a short block.
    pub fact: String,
}

/// One item of a finding, as a row of a table; unknown values are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FindingRow {
    /// The kind of defect.
    pub cause: &'static str,
    /// The conversation's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The conversation's title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The user's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The message's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was created, as RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Further facts about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fact: Option<String>,
}

impl FindingRow {
    /// The row in one line. User-written text is in quotes.
    pub fn line(&self) -> String {
        let named =
            |what: &str, key: &Option<String>| key.as_ref().map(|key| format!("{what} `{key}`"));
        let title = self.title.as_ref().filter(|title| !title.is_empty());
        let title = title.map(|title| format!("titled \"{title}\""));
        let parts = [
            self.time.clone(),
            named("user", &self.user),
            named("conversation", &self.conversation),
            named("message", &self.message),
            // Behind the keys: `--redact` hides all that follows a quote.
            title,
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        match (parts.is_empty(), &self.fact) {
            (true, fact) => fact.clone().unwrap_or_default(),
            (false, None) => parts.join(", "),
            (false, Some(fact)) => format!("{}: {fact}", parts.join(", ")),
        }
    }
}

/// The place of a finding; empty fields are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The case it was seen in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// A file of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in that file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in that line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

/// A problem that a person should know, and how to fix it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Kebab-case, never reused; `chatctl explain CODE` explains it.
    pub code: &'static str,
    /// Only `Error` fails the run.
    pub severity: Severity,
    /// Its subject: a session, a table, a file.
    pub subject: String,
    /// The harm, in the indicative, naming the object.
    pub harm: String,
    /// The fix, in the imperative.
    pub help: String,
    /// Where to look.
    pub place: Location,
    /// The facts it rests on.
    pub evidence: Vec<Evidence>,
    /// Its items, if each is known; the evidence names the first of them.
    pub rows: Vec<FindingRow>,
}

impl Finding {
    /// A finding without evidence yet.
    pub fn new(
        code: &'static str,
        severity: Severity,
        subject: impl Into<String>,
        harm: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity,
            subject: subject.into(),
            harm: harm.into(),
            help: help.into(),
            place: Location::default(),
            evidence: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Adds a fact with its source.
    #[must_use]
    pub fn with(mut self, source: Source, fact: impl Into<String>) -> Self {
        self.evidence.push(Evidence {
            source,
            fact: fact.into(),
        });
        self
    }

    /// Sets the case in which it was seen.
    #[must_use]
    pub fn in_case(mut self, case: impl Into<String>) -> Self {
        self.place.case = Some(case.into());
        self
    }
}
