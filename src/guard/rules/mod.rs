//! The rules: one file and one row here per harm.

mod accept_data_loss;
mod delete_database_file;
mod django_flush;
mod drop_all_at_startup;
mod drop_in_init_sql;
mod drop_table_in_code;
mod hbm2ddl_create;
mod in_memory_database;
mod log_says_reset;
mod models_not_imported;
mod rails_schema_load;
mod reset_command_at_start;
mod sync_force;
mod synchronize_true;

use super::Pattern;
use super::commands::Command;
use super::language::Language;
use super::roles::Role;
use super::source_file::SourceFile;
use super::startup::When;
use super::tree::Tree;
use crate::report::Severity;
use regex::Regex;

/// Every rule, in the order of the alphabet.
pub static ALL: &[Pattern] = &[
    accept_data_loss::PATTERN,
    delete_database_file::PATTERN,
    django_flush::PATTERN,
    drop_all_at_startup::PATTERN,
    drop_in_init_sql::PATTERN,
    drop_table_in_code::PATTERN,
    hbm2ddl_create::PATTERN,
    in_memory_database::PATTERN,
    log_says_reset::PATTERN,
    models_not_imported::PATTERN,
    rails_schema_load::PATTERN,
    reset_command_at_start::PATTERN,
    sync_force::PATTERN,
    synchronize_true::PATTERN,
];

/// When a place runs, in words, and how far that softens the finding.
struct Start {
    /// `at each start`, `at each start with …`.
    words: String,
    /// Less than the rule's severity, where a condition is before it.
    softer: Option<Severity>,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is constant")
}

/// Whether and when a place in code runs at start.
fn at_start(file: &SourceFile, tree: &Tree, at: usize) -> Option<Start> {
    // What is behind the `yield` of a lifespan runs when the application stops.
    let function = file
        .functions()
        .iter()
        .rfind(|function| function.body.contains(&at));
    let behind_yield = function.is_some_and(|function| {
        let before = &file.bare()[function.body.start..at];
        file.language == Language::Python && before.lines().any(|line| line.trim() == "yield")
    });
    let moment = if behind_yield { "stop" } else { "start" };
    match tree.startup.when(tree.index(file), file, at) {
        When::Never => None,
        When::Always => Some(Start {
            words: format!("at each {moment}"),
            softer: None,
        }),
        When::If(condition) => Some(Start {
            words: format!("at each {moment} that meets `{condition}`"),
            softer: Some(Severity::Warning),
        }),
    }
}

/// Code of the application, without tests, migrations and what runs by hand.
fn application_code(file: &SourceFile) -> bool {
    file.is_application() && file.language.is_code()
}

/// Code that may run at start, also by a call into a file that is run by hand otherwise; for
/// rules that ask [`at_start`].
fn code_that_may_start(file: &SourceFile) -> bool {
    application_code(file) || (file.role == Role::Seed && file.language.is_code())
}

/// Files that say what runs at start.
fn start_files(file: &SourceFile) -> bool {
    file.role == Role::Startup && !file.language.is_code()
}

/// Settings and start files.
fn settings(file: &SourceFile) -> bool {
    matches!(file.role, Role::Config | Role::Startup)
        && matches!(
            file.language,
            Language::Hash | Language::Yaml | Language::Json | Language::Xml
        )
}

/// What is in the strings of a file, with its place.
fn strings(file: &SourceFile) -> impl Iterator<Item = (usize, &str)> {
    let spans = file.blanked.strings.iter();
    spans.map(|span| (span.start, &file.text[span.clone()]))
}

/// Files with commands that run at start.
fn with_commands(file: &SourceFile) -> bool {
    start_files(file) || code_that_may_start(file)
}

/// The commands of a file that run at start, and when.
fn commands<'t>(
    file: &'t SourceFile,
    tree: &'t Tree,
) -> impl Iterator<Item = (&'t Command, Start)> {
    let index = tree.index(file);
    let own = tree.commands.iter();
    let own = own.filter(move |command| command.file == index);
    own.filter_map(move |command| {
        let start = if file.language.is_code() {
            at_start(file, tree, command.at)?
        } else {
            start_of(command)
        };
        Some((command, start))
    })
}

/// The severity and the words for a command: one that only developers run is a warning.
fn start_of(command: &Command) -> Start {
    if command.development {
        Start {
            words: "at each start on a developer's machine".to_owned(),
            softer: Some(Severity::Warning),
        }
    } else {
        Start {
            words: "at each start or deploy".to_owned(),
            softer: None,
        }
    }
}
