//! Finds start-up code that destroys tables, or that never makes them, in a source tree.
//!
//! Reading only: nothing is run, and no database is opened. What a rule says is what the code
//! says; whether the code is deployed so, the reader must know. A rule is a row of [`ALL`] and
//! a file in `rules/`.

pub mod blank;
pub mod commands;
pub mod functions;
pub mod ignores;
pub mod language;
pub mod modules;
pub mod python;
pub mod registered;
pub mod roles;
pub mod rules;
mod scan;
pub mod shape;
pub mod source_file;
pub mod spawned;
pub mod startup;
mod syntax;
pub mod tree;

use crate::cli_error::CliError;
use crate::report::{Case, Finding, Report, Severity, Source, Timeline, Verdict};
use crate::text::plural;
use source_file::SourceFile;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tree::Tree;

pub use rules::ALL;

/// One kind of harm.
#[derive(Debug)]
pub struct Pattern {
    /// Kebab-case, never reused; also the name of its file.
    pub code: &'static str,
    /// How bad it is where nothing softens it; a violation may say less.
    pub severity: Severity,
    /// Whether a file is examined.
    pub files: fn(&SourceFile) -> bool,
    /// The harm in one sentence, for lists.
    pub why: &'static str,
    /// Looks at one file.
    pub check: fn(&SourceFile, &Tree, &mut Violations<'_>),
}

/// One place that a rule found.
#[derive(Debug)]
pub struct Violation {
    /// Where it is, in bytes.
    pub at: usize,
    /// What it is about, when that is more than the place.
    pub subject: Option<String>,
    /// The harm, in the indicative, naming the object.
    pub harm: String,
    /// The act, in the imperative.
    pub help: String,
    /// Less than the rule's severity, where circumstances soften it.
    pub severity: Option<Severity>,
    /// Further facts from the files.
    pub facts: Vec<String>,
}

impl Violation {
    /// A violation with the rule's own severity.
    pub fn new(at: usize, harm: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            at,
            subject: None,
            harm: harm.into(),
            help: help.into(),
            severity: None,
            facts: Vec::new(),
        }
    }

    /// Softens the severity.
    #[must_use]
    pub fn only(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn fact(mut self, fact: impl Into<String>) -> Self {
        self.facts.push(fact.into());
        self
    }
}

/// Collects what the rules find.
#[derive(Debug)]
pub struct Violations<'a> {
    pattern: &'a Pattern,
    findings: Vec<Finding>,
}

impl Violations<'_> {
    /// Adds a finding about a place in a file.
    pub fn add(&mut self, file: &SourceFile, violation: Violation) {
        let (line, column) = file.position(violation.at);
        // The place belongs to the subject: a report joins findings that have one subject.
        let place = format!("{}:{line}:{column}", file.path);
        let mut finding = Finding::new(
            self.pattern.code,
            violation.severity.unwrap_or(self.pattern.severity),
            violation.subject.unwrap_or(place),
            violation.harm,
            violation.help,
        )
        .with(Source::File, file.line_at(violation.at));
        for fact in violation.facts {
            finding = finding.with(Source::File, fact);
        }
        finding.place.file = Some(file.path.clone());
        finding.place.line = Some(line);
        finding.place.column = Some(column);
        self.findings.push(finding);
    }
}

/// What a reading of a source tree found.
#[derive(Debug)]
pub struct Found {
    /// How many files were read.
    pub files: usize,
    /// The findings, in the order of files and lines.
    pub findings: Vec<Finding>,
    /// Files that could not be read, with the reason.
    pub unread: Vec<String>,
}

/// Reads the source below the paths and applies every rule.
///
/// # Errors
/// A path that is not there is a usage error.
pub fn inspect(paths: &[PathBuf]) -> Result<Found, CliError> {
    let tree = Tree::read(paths)?;
    let mut findings = Vec::new();
    for pattern in ALL {
        let mut violations = Violations {
            pattern,
            findings: Vec::new(),
        };
        for file in &tree.files {
            if (pattern.files)(file) {
                (pattern.check)(file, &tree, &mut violations);
            }
        }
        findings.extend(violations.findings);
    }
    let mut findings = ignores::apply(&tree, findings);
    let key = |finding: &Finding| {
        let place = &finding.place;
        (place.file.clone(), place.line, place.column, finding.code)
    };
    findings.sort_by_key(key);
    Ok(Found {
        files: tree.files.len(),
        findings,
        unread: tree.unread,
    })
}

impl Found {
    /// The findings as a report. Without a finding the verdict is `held`: code that was read
    /// and not recognized as harmful is not proof. A file that could not be read leaves it open.
    pub fn into_report(self, took: Duration) -> Report {
        let errors = self
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        let (verdict, reason) = if errors {
            let reason = "start-up code destroys tables, or never creates some of them".to_owned();
            (Verdict::Violated, reason)
        } else if let Some(first) = self.unread.first() {
            let files = plural(self.unread.len() as u64, "file");
            let reason = format!("{files} could not be read, the first is {first}");
            (Verdict::Inconclusive, reason)
        } else if self.files == 0 {
            let reason = "there is no source file that could be read".to_owned();
            (Verdict::Inconclusive, reason)
        } else {
            let reason = format!(
                "nothing destructive was found in {}",
                plural(self.files as u64, "file")
            );
            (Verdict::Held, reason)
        };
        let mut report = Report::new("migrate guard");
        report.started_at -= took;
        report.took = took;
        report.checked = u64::try_from(self.files).unwrap_or(u64::MAX);
        report.cases.push(Case {
            name: "source".to_owned(),
            session: "source".to_owned(),
            fault: "none".to_owned(),
            client: "none".to_owned(),
            verdict,
            reason,
            took,
            timeline: Timeline::default(),
            metrics: BTreeMap::new(),
        });
        for finding in self.findings {
            report.add(finding);
        }
        report
    }
}
