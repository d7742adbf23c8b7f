//! The rules of squawk, for PostgreSQL: table locks, and changes that break running clients.
//!
//! squawk knows nothing of rows that are lost, and these rules know nothing of locks, so the two
//! hardly meet; where they do, only one speaks. Its codes appear as `squawk/<rule>`.

use super::place::Places;
use super::script::Script;
use super::{Found, UNPARSABLE};
use crate::report::{Finding, Severity, Source};
use crate::sql::Kind;
use squawk_linter::{Linter, LinterSettings, Rule, Version, Violation};
use squawk_syntax::SourceFile;
use std::str::FromStr;

/// The page of `chatctl explain` for all of them.
pub const FAMILY: &str = "squawk";

/// The rules that are shown, in the order of the alphabet. A code has to be a constant, and a
/// table of constants also says what is left out: see [`LEFT_OUT`].
static SHOWN: &[(Rule, &str)] = &[
    (
        Rule::AddingFieldWithDefault,
        "squawk/adding-field-with-default",
    ),
    (
        Rule::AddingForeignKeyConstraint,
        "squawk/adding-foreign-key-constraint",
    ),
    (
        Rule::AddingNotNullableField,
        "squawk/adding-not-nullable-field",
    ),
    (Rule::AddingRequiredField, "squawk/adding-required-field"),
    (
        Rule::AddingSerialPrimaryKeyField,
        "squawk/adding-serial-primary-key-field",
    ),
    (
        Rule::BanAlterDomainWithAddConstraint,
        "squawk/ban-alter-domain-with-add-constraint",
    ),
    (Rule::BanAlterIdentity, "squawk/ban-alter-identity"),
    (Rule::BanCharField, "squawk/ban-char-field"),
    (
        Rule::BanCreateDomainWithConstraint,
        "squawk/ban-create-domain-with-constraint",
    ),
    (Rule::BanDropConstraint, "squawk/ban-drop-constraint"),
    (Rule::BanDropDefault, "squawk/ban-drop-default"),
    (Rule::BanDropDomain, "squawk/ban-drop-domain"),
    (Rule::BanDropExtension, "squawk/ban-drop-extension"),
    (Rule::BanDropFunction, "squawk/ban-drop-function"),
    (
        Rule::BanDropGeneratedExpression,
        "squawk/ban-drop-generated-expression",
    ),
    (Rule::BanDropNotNull, "squawk/ban-drop-not-null"),
    (Rule::BanDropSequence, "squawk/ban-drop-sequence"),
    (Rule::BanDropType, "squawk/ban-drop-type"),
    (Rule::BanDropView, "squawk/ban-drop-view"),
    (
        Rule::BanDuplicateColumnAssignments,
        "squawk/ban-duplicate-column-assignments",
    ),
    (Rule::BanSetSchema, "squawk/ban-set-schema"),
    (Rule::ChangingColumnType, "squawk/changing-column-type"),
    (
        Rule::ConstraintMissingNotValid,
        "squawk/constraint-missing-not-valid",
    ),
    (
        Rule::DisallowedUniqueConstraint,
        "squawk/disallowed-unique-constraint",
    ),
    (Rule::IdentifierTooLong, "squawk/identifier-too-long"),
    (Rule::PreferBigintOverInt, "squawk/prefer-bigint-over-int"),
    (
        Rule::PreferBigintOverSmallint,
        "squawk/prefer-bigint-over-smallint",
    ),
    (Rule::PreferIdentity, "squawk/prefer-identity"),
    (Rule::PreferRepack, "squawk/prefer-repack"),
    (Rule::PreferRobustStmts, "squawk/prefer-robust-stmts"),
    (Rule::PreferTextField, "squawk/prefer-text-field"),
    (Rule::PreferTimestampTz, "squawk/prefer-timestamp-tz"),
    (Rule::RenamingColumn, "squawk/renaming-column"),
    (Rule::RenamingObject, "squawk/renaming-object"),
    (Rule::RenamingTable, "squawk/renaming-table"),
    (
        Rule::RequireConcurrentIndexCreation,
        "squawk/require-concurrent-index-creation",
    ),
    (
        Rule::RequireConcurrentIndexDeletion,
        "squawk/require-concurrent-index-deletion",
    ),
    (
        Rule::RequireConcurrentPartitionDetach,
        "squawk/require-concurrent-partition-detach",
    ),
    (
        Rule::RequireConcurrentReindex,
        "squawk/require-concurrent-reindex",
    ),
    (
        Rule::RequireEnumValueOrdering,
        "squawk/require-enum-value-ordering",
    ),
    (Rule::UnusedIgnore, "squawk/unused-ignore"),
];

/// Rules that squawk has on by default and that are not shown.
static LEFT_OUT: &[Rule] = &[
    // An own rule says it with the table's name, and knows the rows that are acknowledged.
    Rule::BanDropColumn,
    Rule::BanDropDatabase,
    Rule::BanDropSchema,
    Rule::BanDropTable,
    Rule::BanTruncateCascade,
    // `ends-transaction` and `needs-no-transaction` say it of chatctl's own transaction.
    Rule::BanConcurrentIndexCreationInTransaction,
    Rule::BanUncommittedTransaction,
    Rule::TransactionNesting,
    // chatctl sets both for each migration that it runs.
    Rule::RequireLockTimeout,
    Rule::RequireStatementTimeout,
];

/// The PostgreSQL that a migration is for.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerVersion(Version);

impl FromStr for ServerVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let version = text
            .parse()
            .map_err(|_| format!("`{text}` is not a version such as `16` or `16.4`"))?;
        Ok(Self(version))
    }
}

/// Every code of the family that can be shown.
pub fn codes() -> impl Iterator<Item = &'static str> {
    SHOWN.iter().map(|(_, code)| *code)
}

/// Whether a finding can have this code.
pub fn is_code(code: &str) -> bool {
    codes().any(|known| known == code)
}

/// What squawk says of a text.
pub(super) fn check(script: &Script<'_>, places: &Places<'_>, server: ServerVersion) -> Vec<Found> {
    let parsed = SourceFile::parse(script.text);
    let mut linter = Linter::with_rules(&[], LEFT_OUT);
    linter.settings = LinterSettings {
        pg_version: server.0,
        assume_in_transaction: !script.no_transaction,
    };
    let said = linter.lint(&parsed, script.text);
    let mut found: Vec<Found> = said
        .iter()
        .filter_map(|violation| {
            let (_, code) = SHOWN.iter().find(|(rule, _)| *rule == violation.code)?;
            Some(of_violation(code, violation, script, places))
        })
        .collect();
    // What the own reading does not know has its finding already, and one error brings others
    // along.
    let first = parsed.errors().into_iter().find(|error| {
        script.error.is_none() && !is_unknown(script, usize::from(error.range().start()))
    });
    found.extend(first.map(|error| {
        let at = usize::from(error.range().start());
        let finding = Finding::new(
            UNPARSABLE,
            Severity::Warning,
            "",
            format!(
                "a parser for PostgreSQL does not understand the statement: {}",
                fragment(error.message())
            ),
            "fix it; if the server accepts it, write `-- chatctl: ignore unparsable-statement reason=\"…\"`",
        )
        .with(Source::File, places.line_at(at));
        places.found(at, finding)
    }));
    found
}

/// Whether the statement that begins before this offset is unparsable by the own reading.
fn is_unknown(script: &Script<'_>, at: usize) -> bool {
    let begun = script
        .steps
        .iter()
        .rfind(|step| step.statement.span.start <= at);
    begun.is_some_and(|step| step.facts.kind == Kind::Other)
}

fn of_violation(
    code: &'static str,
    violation: &Violation,
    script: &Script<'_>,
    places: &Places<'_>,
) -> Found {
    let at = usize::from(violation.text_range.start());
    let message = fragment(&violation.message);
    let table = script
        .step_at(at)
        .and_then(|step| step.facts.table.as_ref());
    let harm = match table {
        Some(table) => format!("`{table}`: {message}"),
        None => message,
    };
    let rule = violation.code;
    let help = match &violation.help {
        Some(help) => fragment(help),
        None => format!("read https://squawkhq.com/docs/{rule} for the safe way"),
    };
    let finding = Finding::new(code, Severity::Warning, "", harm, help)
        .with(Source::File, places.line_at(at));
    places.found(at, finding)
}

/// A sentence as the other findings are written: without its capital and its full stop.
fn fragment(sentence: &str) -> String {
    let sentence = sentence.trim();
    let sentence = sentence.strip_suffix('.').unwrap_or(sentence);
    let mut characters = sentence.chars();
    match (characters.next(), characters.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            let rest = &sentence[first.len_utf8()..];
            format!("{}{rest}", first.to_lowercase())
        }
        _ => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{LEFT_OUT, SHOWN, fragment};
    use squawk_linter::Linter;

    #[test]
    fn every_rule_is_shown_under_its_name_or_left_out_on_purpose() {
        for rule in Linter::with_default_rules().rules {
            let shown = SHOWN.iter().find(|(known, _)| *known == rule);
            assert_ne!(shown.is_some(), LEFT_OUT.contains(&rule), "{rule}");
            if let Some((_, code)) = shown {
                assert_eq!(*code, format!("squawk/{rule}"));
            }
        }
        assert!(SHOWN.is_sorted_by_key(|(_, code)| code));
    }

    #[test]
    fn a_sentence_becomes_a_fragment() {
        assert_eq!(fragment("Use `x` here."), "use `x` here");
        assert_eq!(fragment("IF EXISTS is missing."), "IF EXISTS is missing");
        assert_eq!(fragment("`x` is long."), "`x` is long");
    }
}
