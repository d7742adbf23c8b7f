//! The file of a SQLite database is deleted where the application starts.

use super::super::language::Language;
use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{at_start, code_that_may_start, commands, regex, start_files, start_of};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "delete-database-file",
    severity: Severity::Error,
    files,
    why: "start-up code deletes the database file",
    check,
};

static DELETE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?:([\w.]+)\.unlink\s*\(|\b(?:os\.remove|os\.unlink|shutil\.rmtree|(?:fs|fsp|promises)\.(?:unlinkSync|unlink|rmSync|rm)|unlinkSync|rmSync|unlink|File\.delete|FileUtils\.rm(?:_f|_rf)?|os\.Remove(?:All)?|(?:fs::)?remove_file|Files\.delete(?:IfExists)?)\s*\(?)([^\n;]*)",
    )
});
static DATABASE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)\.(?:db|sqlite|sqlite3|db3)\b|\b(?:db|database|sqlite)_?(?:path|file|filename|name|url)?\b|\b\w+_(?:db|database)_?(?:path|file)\b|\b(?:db|database|sqlite)(?:Path|File|FileName)\b",
    )
});
/// Side files and copies hold nothing that the database does not.
static HARMLESS: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?i)-wal|-shm|journal|\.lock|lock_?file|tmp|temp|backup|\.bak|cache|old|Thumbs\.db")
});
static RM: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?:^|[;&|\s])(rm\s+[^;&|]*\.(?:db|sqlite3?|db3)(?:\s|$|[;&|*]))"));

fn files(file: &SourceFile) -> bool {
    code_that_may_start(file) || start_files(file)
}

const HELP: &str = "remove the call; keep the file, and change its tables by migrations";

fn check(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    for command in commands(file, tree) {
        // An image is built from a clean folder; what is removed there was never in use.
        let build = command.text.trim_start().starts_with("RUN ");
        if let Some(found) = RM.captures(&command.text)
            && !build
            && !HARMLESS.is_match(&found[1])
        {
            let start = start_of(command);
            let at = found.get(1).map_or(0, |group| group.start());
            let harm = format!("`{}` deletes the database {}", found[1].trim(), start.words);
            let mut violation = Violation::new(command.at + at, harm, HELP);
            violation.severity = start.softer;
            violations.add(file, violation);
        }
    }
    if !file.language.is_code() {
        return;
    }
    for found in DELETE.captures_iter(file.code()) {
        let whole = found.get(0).expect("group 0 is the match");
        let blank = file.bare()[whole.start()..].starts_with(' ');
        let receiver = found.get(1).map_or("", |receiver| receiver.as_str());
        let arguments = found[2].split(')').next().unwrap_or_default();
        // `Path(DB_FILE).unlink()` has its operand before the name.
        let operand = if file.language == Language::Python && !receiver.is_empty() {
            receiver
        } else {
            arguments
        };
        if blank || !DATABASE.is_match(operand) || HARMLESS.is_match(file.line_at(whole.start())) {
            continue;
        }
        if let Some(start) = at_start(file, tree, whole.start()) {
            let operand = operand.trim();
            let harm = format!(
                "the code deletes the database file `{operand}` {}",
                start.words
            );
            // `if os.path.exists(DB_PATH): os.remove(DB_PATH)` is not a condition of anybody's choice.
            let exists = start.words.contains("xists") || start.words.contains("is_file");
            let mut violation = Violation::new(whole.start(), harm, HELP);
            violation.severity = start.softer.filter(|_| !exists);
            violations.add(file, violation);
        }
    }
}
