//! The application's database lives in memory and dies with the process.

use super::super::language::Language;
use super::super::source_file::SourceFile;
use super::super::tree::Tree;
use super::super::{Pattern, Violation, Violations};
use super::{application_code, commands, regex, settings, start_files};
use crate::report::Severity;
use regex::Regex;
use std::sync::LazyLock;

pub(super) const PATTERN: Pattern = Pattern {
    code: "in-memory-database",
    severity: Severity::Error,
    files,
    why: "the application's database URL is in memory: every restart loses every row",
    check,
};

static URL: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"sqlite(?:\+\w+)?:///?:memory:|sqlite::memory:|jdbc:(?:h2|hsqldb):mem:\w*|jdbc:sqlite::memory:|file::memory:|["']sqlite(?:\+\w+)?://["']"#,
    )
});
/// `storage: ':memory:'` of Sequelize, `database: ':memory:'` of TypeORM, Django's NAME.
static KEY: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?:\b(?:storage|database|filename|dbName)\b|["']NAME["'])["']?\s*[:=]\s*["'](:memory:)["']"#,
    )
});
/// The line says that this is where the application's data goes.
static SETTING: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)(?:database|db|datasource|sqlalchemy|connection|conn)[\w.\-]*(?:url|uri|dsn|string)|\burl\b|create_(?:async_)?engine|new\s+Sequelize|connectionString|^\s*DATABASE\w*",
    )
});
static FALLBACK: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"getenv|environ|\|\||\?\?|:-|unwrap_or|ENV\.fetch|ENV\[|def\s|default\s*=|[Gg]etEnv|\$\{",
    )
});

fn files(file: &SourceFile) -> bool {
    application_code(file) || settings(file) || start_files(file)
}

/// Where the images of databases keep their data.
static DATA_FOLDER: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"/(?:var/lib/(?:postgresql|mysql|mariadb)|data/db|bitnami/(?:postgresql|mysql|mariadb|mongodb))\b[\w/]*",
    )
});
static TMPFS_MOUNT: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"--tmpfs[= ]\s*(/\S+)|\btype=tmpfs\s*\S*\s*(?:dst|destination|target)=(/\S+)")
});

fn check(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    let code = file.code();
    if start_files(file) {
        folders_in_memory(file, tree, violations);
    }
    let urls = URL
        .find_iter(code)
        .map(|found| (found.start(), found.as_str(), true));
    let keys = KEY.captures_iter(code).filter_map(|found| found.get(1));
    let keys = keys.map(|found| (found.start(), found.as_str(), false));
    for (at, url, needs_setting) in urls.chain(keys) {
        let start = code[..at].rfind('\n').map_or(0, |at| at + 1);
        let end = code[at..].find('\n').map_or(code.len(), |len| at + len);
        let line = &code[start..end];
        // What is only compared or documented (`if url == "sqlite://"`) is not a setting.
        let compared = line.contains("==")
            || line.contains("startswith")
            || line.contains("includes(")
            || line.contains("startsWith")
            || line.contains("!=")
            || line.contains(" in ");
        if (needs_setting && !SETTING.is_match(line)) || compared {
            continue;
        }
        let asked = file.conditions(at);
        if asked
            .iter()
            .any(|condition| condition.to_lowercase().contains("test"))
        {
            continue;
        }
        let url = url.trim_matches(['"', '\'']);
        let fallback = FALLBACK.is_match(line) || !asked.is_empty();
        let harm = if fallback {
            format!(
                "if no database is configured, `{url}` is used, and every restart loses every row"
            )
        } else {
            format!("the database is `{url}`: every restart loses every row")
        };
        let mut violation = Violation::new(
            at,
            harm,
            "use a persistent database, and let a missing setting stop the start",
        );
        violation.severity = fallback.then_some(Severity::Warning);
        violations.add(file, violation);
    }
}

/// A database whose data folder a start file keeps in memory.
fn folders_in_memory(file: &SourceFile, tree: &Tree, violations: &mut Violations<'_>) {
    for (command, start) in commands(file, tree) {
        let line = command.text.as_str();
        let mounts = TMPFS_MOUNT.captures(line);
        let is_mount = |folder: &str| {
            let mut mounted = mounts
                .iter()
                .flat_map(|found| found.iter().skip(1).flatten());
            mounted.any(|it| it.as_str().starts_with(folder))
        };
        for folder in DATA_FOLDER.find_iter(line) {
            let at = command.at + folder.start();
            let is_in_memory = match file.language {
                Language::Yaml => is_tmpfs(file.code(), at),
                _ => false,
            };
            if !is_in_memory && !is_mount(folder.as_str()) {
                continue;
            }
            let harm = format!(
                "the database's folder `{}` is in memory {}: every restart loses every row",
                folder.as_str(),
                start.words
            );
            let help = "keep the folder in a named volume";
            let mut violation = Violation::new(at, harm, help);
            violation.severity = start.softer;
            violations.add(file, violation);
        }
    }
}

/// Whether a path in a compose file is one of `tmpfs`, of a service that no test is named by.
fn is_tmpfs(code: &str, at: usize) -> bool {
    let start = code[..at].rfind('\n').map_or(0, |at| at + 1);
    let line = code[start..].lines().next().unwrap_or_default();
    let is_item = |line: &str| line.trim_start().starts_with('-');
    let above = || {
        let lines = code[..start].lines().rev();
        lines.filter(|line| !line.trim().is_empty())
    };
    // `tmpfs: /folder`, or an item of the list `tmpfs:`.
    let direct = line.trim_start().starts_with("tmpfs:");
    let key = above().find(|line| !is_item(line));
    let of_key = is_item(line) && key.is_some_and(|key| key.trim() == "tmpfs:");
    // `type: tmpfs` and `target: /folder` in one item.
    let is_type = |line: &str| line.contains("type:") && line.contains("tmpfs");
    let mut own = above().take(if is_item(line) { 0 } else { 4 });
    let head = own.find(|line| is_item(line) || is_type(line));
    let mut tail = code[start..]
        .lines()
        .skip(1)
        .take(4)
        .take_while(|line| !is_item(line));
    let typed = is_type(line) || head.is_some_and(is_type) || tail.any(is_type);
    let of_mount = line.contains("target:") && typed;
    (direct || of_key || of_mount) && !service(code, start).to_lowercase().contains("test")
}

/// The service of a compose file that a line is in.
fn service(code: &str, at: usize) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let (above, below) = code.split_at(at);
    let above = above
        .rsplit_once("services:")
        .map_or(above, |(_, lines)| lines);
    let mut lines = above.lines().filter(|line| !line.trim().is_empty());
    let of_services = lines.next().map_or(0, indent);
    let is_other = |line: &str| !line.trim().is_empty() && indent(line) <= of_services;
    let mut own = Vec::new();
    for line in above.lines().rev() {
        own.push(line);
        if is_other(line) {
            break;
        }
    }
    own.extend(below.lines().take_while(|line| !is_other(line)));
    own.join("\n")
}
