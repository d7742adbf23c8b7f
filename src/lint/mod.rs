//! Findings on the text of a migration alone: no database is opened, nothing is run.
//!
//! What a text destroys for certain, without a word about it in the file, is an error; what is
//! risky, a warning. The proof stays what `migrate up` measures; this says earlier, and of
//! databases that `up` cannot reach, where to look. A rule is a row of [`ALL`] and a file in
//! `rules/`; for PostgreSQL the rules of squawk are asked too.

mod ignores;
mod place;
pub mod rules;
mod schema;
mod script;
pub mod squawk;
#[cfg(test)]
mod tests;

use crate::report::{Finding, Severity, Source};
use crate::sql::{AllowLoss, Dialect, SplitError};
use place::Places;
use script::{RuleContext, Script};

pub use rules::ALL;
pub use schema::Schema;
pub use squawk::ServerVersion;

/// The code of a comment that looks like a directive and is none.
pub const INVALID_DIRECTIVE: &str = "invalid-directive";

/// The code of an ignore that silences nothing; `migrate guard` has the same.
pub const UNUSED_IGNORE: &str = "unused-ignore";

/// The code of what cannot be read, be it a statement or a whole file.
pub const UNPARSABLE: &str = "unparsable-statement";

/// One kind of harm.
#[derive(Debug)]
pub struct Rule {
    /// Kebab-case, never reused; also the name of its file.
    pub code: &'static str,
    /// How bad it is where nothing softens it; a violation may say less.
    pub severity: Severity,
    /// Whose SQL it is about.
    pub dialects: &'static [Dialect],
    /// The harm in one sentence, for lists.
    pub why: &'static str,
    /// Looks at one statement.
    pub check: fn(&RuleContext<'_>, &mut Violations<'_>),
}

/// What a rule found in a statement.
#[derive(Debug)]
pub struct Violation {
    /// The harm, in the indicative, naming the object.
    pub harm: String,
    /// The act, in the imperative.
    pub help: String,
    /// Less than the rule's severity, where circumstances soften it.
    pub severity: Option<Severity>,
}

impl Violation {
    /// A violation with the rule's own severity.
    pub fn new(harm: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            harm: harm.into(),
            help: help.into(),
            severity: None,
        }
    }

    /// Softens the severity.
    #[must_use]
    pub fn only(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }
}

/// A finding that still knows where in the text it is.
#[derive(Debug)]
struct Found {
    at: usize,
    finding: Finding,
}

/// Collects what the rules find.
#[derive(Debug)]
pub struct Violations<'a> {
    rule: &'a Rule,
    places: &'a Places<'a>,
    found: Vec<Found>,
}

impl Violations<'_> {
    /// Adds a finding about a statement. A rule adds at most one for each.
    pub fn add(&mut self, context: &RuleContext<'_>, violation: Violation) {
        let statement = &context.step().statement;
        let severity = violation.severity.unwrap_or(self.rule.severity);
        let finding = Finding::new(self.rule.code, severity, "", violation.harm, violation.help)
            .with(Source::File, excerpt(statement.text));
        self.found
            .push(self.places.found(statement.span.start, finding));
    }
}

/// A text to be looked at, and where it is.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The file's name, as it is to be shown.
    pub file: &'a str,
    /// What is executed: a stretch of the file.
    pub text: &'a str,
    /// The line and column in the file at which the text starts, from 1.
    pub start: (u32, u32),
    /// The folder's format says that the file runs outside of a transaction.
    pub no_transaction: bool,
    /// Losses that are acknowledged next to the file.
    pub acknowledged: &'a [AllowLoss],
}

/// What a user can set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose SQL it is.
    pub dialect: Dialect,
    /// The PostgreSQL that it is for.
    pub server: ServerVersion,
    /// Codes of commands that read the same comments: an ignore of theirs is not ours to judge.
    pub foreign: Vec<&'static str>,
}

/// What was found in one text.
#[derive(Debug)]
pub struct Checked {
    /// How many statements were read.
    pub statements: usize,
    /// The findings, in the order of the text.
    pub findings: Vec<Finding>,
}

/// Applies every rule to a text. `schema` is what the files before it made; it learns this one.
pub fn check(input: &Input<'_>, settings: &Settings, schema: &mut Schema) -> Checked {
    let places = Places::new(input);
    let script = Script::read(input, settings.dialect);
    let mut found = Vec::new();
    found.extend(script.error.iter().map(|error| unreadable(&places, error)));
    for rule in ALL {
        if !rule.dialects.contains(&settings.dialect) {
            continue;
        }
        let mut violations = Violations {
            rule,
            places: &places,
            found: Vec::new(),
        };
        for index in 0..script.steps.len() {
            (rule.check)(&RuleContext::new(&script, schema, index), &mut violations);
        }
        found.extend(violations.found);
    }
    if settings.dialect == Dialect::Postgres {
        found.extend(squawk::check(&script, &places, settings.server));
    }
    let mut found = ignores::apply(&script, &places, found, &settings.foreign);
    for error in &script.directives.errors {
        let finding = Finding::new(
            INVALID_DIRECTIVE,
            Severity::Error,
            "",
            format!("the comment has no effect: {}", error.message),
            match &error.suggestion {
                Some(suggestion) => format!("write `{suggestion}`"),
                None => "write it as `chatctl explain invalid-directive` shows".to_owned(),
            },
        );
        found.push(places.found(places.offset(error.line, error.column), finding));
    }
    found.sort_by_key(|found| (found.at, found.finding.code));
    schema.learn(&script);
    Checked {
        statements: script.steps.len(),
        findings: found.into_iter().map(|found| found.finding).collect(),
    }
}

/// What cannot be cut into statements. Nothing behind the place was examined.
fn unreadable(places: &Places<'_>, error: &SplitError) -> Found {
    let finding = Finding::new(
        UNPARSABLE,
        Severity::Error,
        "",
        format!(
            "the file cannot be split into statements, so it may destroy anything: {}",
            error.message
        ),
        "fix this place: nothing in the file was checked",
    )
    .with(Source::File, places.line_at(error.offset));
    places.found(error.offset, finding)
}

/// A statement as a report shows it: its start, when it is long.
fn excerpt(statement: &str) -> String {
    const LINES: usize = 6;
    const CHARACTERS: usize = 400;
    let lines: Vec<_> = statement
        .lines()
        .take(LINES)
        .map(|line| line.trim_end())
        .collect();
    let text = lines.join("\n");
    let short: String = text.chars().take(CHARACTERS).collect();
    let cut = short.len() < text.len() || statement.lines().count() > LINES;
    format!("{short}{}", if cut { " …" } else { "" })
}
