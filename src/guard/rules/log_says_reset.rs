//! The application says in its log that it drops tables.

use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{at_start, code_that_may_start, commands, regex, start_files, strings};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "log-says-reset",
    severity: Severity::Warning,
    files,
    why: "start-up code logs that it drops or resets the database",
    check,
};

static SAYS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)\[?\bhard[ _-]reset\b|\b(?:dropping|deleting|wiping|erasing|clearing|purging|resetting|recreating|truncating)\s+(?:all\s+|the\s+|existing\s+|old\s+|every\s+|entire\s+|whole\s+|database\s+)*(?:tables?|database|schema|db)\b|\b(?:tables?|database|schema)\s+(?:\w+\s+){0,3}(?:dropped|wiped|erased|truncated)\b",
    )
});
static LOGS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)\b(?:print(?:ln|f)?!?|log(?:ger|ging)?|console|puts|echo|warn(?:ing)?!?|info!?|debug!?|error!?|fmt|slog|System\.out|click\.echo|typer\.echo|tracing)\b",
    )
});

fn files(file: &SourceFile) -> bool {
    code_that_may_start(file) || start_files(file)
}

fn violation(at: usize, said: &str, words: &str) -> Violation {
    Violation::new(
        at,
        format!("the log says \"{}\" {words}", said.trim_start_matches('[')),
        "check what is dropped there, and remove it; if nothing is dropped, remove the message",
    )
}

fn check(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    let echoes = commands(file, tree).filter(|_| !file.language.is_code());
    for (command, _) in echoes {
        if let Some(found) = SAYS.find(&command.text)
            && command.text.contains("echo")
        {
            violations.add(
                file,
                violation(command.at + found.start(), found.as_str(), "at each start"),
            );
        }
    }
    if !file.language.is_code() {
        return;
    }
    for (at, text) in strings(file) {
        let Some(found) = SAYS.find(text) else {
            continue;
        };
        let line = file.text[..at].rfind('\n').map_or(0, |at| at + 1);
        // A call may be broken over lines: `logger.warning(\n "…"`.
        let before = file.bare()[..line].trim_end();
        let open = before.ends_with('(');
        let head = before.rfind('\n').map_or(0, |at| at + 1);
        let call = if open { head } else { line };
        if !LOGS.is_match(&file.bare()[call..at]) {
            continue;
        }
        if let Some(start) = at_start(file, tree, at) {
            violations.add(
                file,
                violation(at + found.start(), found.as_str(), &start.words),
            );
        }
    }
}
