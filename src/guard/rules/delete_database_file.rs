//! The file of a SQLite database is deleted, emptied or overwritten where the application starts.

use super::super::commands::Command;
use super::super::language::Language;
use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{Start, at_start, commands, regex, with_commands};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "delete-database-file",
    severity: Severity::Error,
    files: with_commands,
    why: "start-up code deletes or overwrites the database file",
    check,
};

static DELETE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?:((?:[\w.]*\([^()\n]*\)|[\w.]+))\.unlink\s*\(|\b(?:os\.remove|os\.unlink|shutil\.rmtree|(?:fs|fsp|promises)\.(?:unlinkSync|unlink|rmSync|rm)|unlinkSync|rmSync|unlink|File\.delete|FileUtils\.rm(?:_f|_rf)?|os\.Remove(?:All)?|(?:fs::)?remove_file|Files\.delete(?:IfExists)?)\s*\(?)([^\n;]*)",
    )
});
static DATABASE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)\.(?:db|sqlite|sqlite3|db3)\b|\b(?:db|database|sqlite)_?(?:path|file|filename|name|url)?\b|\b\w+_(?:db|database)_?(?:path|file)\b|\b(?:db|database|sqlite)(?:Path|File|FileName)\b",
    )
});
/// Side files and copies hold nothing that the database does not.
static HARMLESS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)-wal|-shm|journal|\.lock|lock_?file|tmp|temp|backup|\.bak|cache|old|snapshot|archive|prev|copy|export|Thumbs\.db",
    )
});
static RM: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?:^|[;&|\s])(rm\s+[^;&|]*\.(?:db|sqlite3?|db3)(?:\s|$|[;&|*]))"));

/// `> chat.db`, and `cp seed.db chat.db`: their last group is the file.
static EMPTIES: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?:^|[;&|\s:])(>\s*([^\s;&|>]*\.(?:db|sqlite3?|db3)))(?:\s|$|[;&|])"));
static COPIES: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?:^|[;&|\s])(cp\s(?:-\w+\s|--\w+\s)*\s*([^\s;&|]+)\s+([^\s;&|]*\.(?:db|sqlite3?|db3)))(?:\s|$|[;&|])",
    )
});
/// The name of a file that an application begins with.
static FIRST: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)seed|template|initial|default|example|empty|fixture|sample|demo|blank|(?:^|[/_.-])base(?:[/_.-]|$)",
    )
});

const HELP: &str = "remove the call; keep the file, and change its tables by migrations";

fn check(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    for (command, start) in commands(file, tree) {
        // An image is built from a clean folder; what is removed there was never in use.
        let build = command.text.trim_start().starts_with("RUN ");
        if let Some(found) = RM.captures(&command.text)
            && !build
            && !HARMLESS.is_match(&found[1])
        {
            let at = found.get(1).map_or(0, |group| group.start());
            let harm = format!("`{}` deletes the database {}", found[1].trim(), start.words);
            let mut violation = Violation::new(command.at + at, harm, HELP);
            violation.severity = start.softer;
            violations.add(file, violation);
        }
        if !build && !file.language.is_code() {
            overwritten(file, command, &start, violations);
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

/// A command that writes over the database, unless it looks first whether there is one.
fn overwritten(
    file: &SourceFile,
    command: &Command,
    start: &Start,
    violations: &mut Violations<'_>,
) {
    let emptied = EMPTIES.captures(&command.text);
    let emptied = emptied.and_then(|found| Some((found.get(1)?, found.get(2)?, None)));
    let copied = COPIES.captures(&command.text);
    let copied = copied.and_then(|found| {
        let is_first = FIRST.is_match(&found[2]);
        let keeps = found[1].contains(" -n") || found[1].contains("--no-clobber");
        // Which of two files is the copy, their names don't say.
        let softer = (!is_first).then_some(Severity::Warning);
        (!keeps).then(|| Some((found.get(1)?, found.get(3)?, softer)))?
    });
    for (act, target, softer) in emptied.into_iter().chain(copied) {
        let at = command.at + act.start();
        if HARMLESS.is_match(target.as_str()) || looks_first(file, at, target.as_str()) {
            continue;
        }
        let harm = format!(
            "`{}` overwrites the database {}",
            act.as_str().trim(),
            start.words
        );
        let help =
            "write the file only where there is none: `[ -f chat.db ] || cp seed.db chat.db`";
        let mut violation = Violation::new(at, harm, help);
        violation.severity = start.softer.or(softer);
        violations.add(file, violation);
    }
}

/// Whether a command runs only where the file is missing: by a test on its line, or by an `if` around it.
fn looks_first(file: &SourceFile, at: usize, target: &str) -> bool {
    // Whether a line tests for the file, and whether it asks for its absence.
    let tests = |line: &str| {
        let mut words = line.split([' ', '\t', '"', '\'', ';']);
        let is_test = line.contains('[') || line.contains("test ");
        let is_named = words.any(|word| word == target);
        (is_test && is_named).then(|| line.contains("! "))
    };
    let before = file.code().get(..at).unwrap_or_default();
    let (earlier, line) = before.rsplit_once('\n').unwrap_or(("", before));
    if let Some(absent) = tests(line) {
        let otherwise = line.contains("||") || line.contains("else");
        return absent != otherwise;
    }
    let (mut closed, mut otherwise) = (0, false);
    for line in earlier.lines().rev().map(str::trim) {
        let is_around = closed == 0;
        match line.split([' ', ';', '[']).next() {
            Some("fi") => closed += 1,
            Some("if") if !is_around => closed -= 1,
            Some("if" | "elif") if tests(line) == Some(!otherwise) => return true,
            Some("else" | "elif") if is_around => otherwise = true,
            Some("if") => otherwise = false,
            Some(_) | None => {}
        }
    }
    false
}
