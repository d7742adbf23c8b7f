//! A store whose every text is hostile, through every command that looks at it.

use crate::common::stores::{Store, execute};
use crate::common::{chatctl, stores, text};
use chatctl::render::escape;

/// Sets the clipboard, clears the screen, sets the title, and names a person.
const MOVES: &str =
    "\u{1b}]52;c;cm0gLXJmIH4=\u{7}\u{1b}[2J\u{1b}]0;pwned\u{7}\u{9b}2J Margarethe Quintero";
/// What CI systems take for a command, at the beginning of a line however it is wrapped.
const COMMANDS: &str = "::error::planted\n::add-mask::planted\r\n  ::stop-commands::planted ##[error]planted ##vso[task.complete]planted";
/// Joiner, word joiner, soft hyphen, tags, a direction override, Hangul filler.
const HIDES: &str = "a\u{200d}b\u{2060}c\u{ad}d\u{e0041}\u{e0042}e\u{202e}f\u{3164}g";

const OF_VIEWS: &[&str] = &["human", "json", "jsonl", "markdown"];
const OF_REPORTS: &[&str] = &[
    "human", "json", "jsonl", "junit", "sarif", "github", "markdown",
];

/// A chat in which id, title, user, roles and texts are all hostile.
fn store() -> Store {
    let store = Store::sqlite();
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let (moves, commands, hides) = (quoted(MOVES), quoted(COMMANDS), quoted(HIDES));
    // So long that lines are broken, with a command before each of the breaks.
    let long = quoted(&"::warning::planted ".repeat(60));
    let sql = format!(
        "CREATE TABLE conversations (id TEXT PRIMARY KEY, title TEXT, user_id TEXT, created_at TEXT);
         CREATE TABLE messages (id TEXT PRIMARY KEY, conversation_id TEXT, role TEXT, content TEXT, created_at TEXT);
         CREATE TABLE \"::error::planted\" (\"##[error]planted\" TEXT, \"{HIDES}\" TEXT);
         INSERT INTO \"::error::planted\" VALUES ({commands}, {moves});
         INSERT INTO conversations VALUES ({commands}, {commands}, {commands}, '2026-01-01 10:00:00'),
             ({moves}, {moves}, {moves}, '2026-01-01 10:00:00'), ({hides}, {hides}, {hides}, '2026-01-01 10:00:00');
         INSERT INTO messages VALUES ({commands}, {commands}, 'user', {commands}, '2026-01-01 10:00:00'),
             ('a1', {commands}, {moves}, {moves}, '2026-01-01 10:00:01'),
             ('a2', {commands}, {commands}, {long}, '2026-01-01 10:00:02'),
             ({moves}, {moves}, {commands}, {long}, '2026-01-01 10:00:00'),
             ({hides}, {hides}, 'user', {hides}, '2026-01-01 10:00:00'),
             ('a3', {hides}, {hides}, 'planted', '2026-01-01 10:00:01')"
    );
    stores::run(async { execute(&*store.open().await, &sql).await });
    store
}

/// Both streams of a command in a format.
fn told(store: &Store, arguments: &[&str], format: &str, redact: &[&str]) -> (String, String) {
    let mut command = chatctl();
    command.args(["-v", "--database-url", &store.url(), "--format", format]);
    text(&command.args(redact).args(arguments).output().unwrap())
}

/// Runs the look over each command in each format, with and without `--redact`.
fn each(mut look: impl FnMut(&str, &str, &str)) {
    let store = store();
    let query = "SELECT * FROM messages UNION ALL SELECT 1, 2, 3, 4, \"##[error]planted\" FROM \"::error::planted\"";
    for (arguments, formats) in [
        (&["inspect", "tables"][..], OF_VIEWS),
        (&["inspect", "schema"], OF_VIEWS),
        (&["inspect", "mapping"], OF_VIEWS),
        (&["inspect", "conversations"], OF_VIEWS),
        (&["inspect", "show", "::"], OF_VIEWS),
        (&["inspect", "show", "\u{1b}"], OF_VIEWS),
        (&["inspect", "show", "::", "--raw"], OF_VIEWS),
        (&["inspect", "search", "planted"], OF_VIEWS),
        (&["inspect", "sql", query], OF_VIEWS),
        (&["inspect", "sql", "SELECT ::error::planted"], OF_VIEWS),
        (&["inspect", "schema", "::error::nothing"], OF_VIEWS),
        (&["audit", "check"], OF_REPORTS),
        (
            &[
                "audit", "rate", "--window", "1000000h", "--last", "1000000h",
            ],
            OF_REPORTS,
        ),
    ] {
        for format in formats {
            for redact in [&[][..], &["--redact"]] {
                let (out, err) = told(&store, arguments, format, redact);
                assert!(!err.contains("panicked"), "{err}");
                for stream in [&out, &err] {
                    look(
                        &format!("{arguments:?} as {format} {redact:?}"),
                        format,
                        stream,
                    );
                }
                if !redact.is_empty() {
                    for stream in [&out, &err] {
                        assert!(
                            !stream.contains("Quintero"),
                            "{arguments:?} as {format}: {stream}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn nothing_that_is_stored_moves_a_terminal_or_hides() {
    each(|what, _, stream| {
        let found = stream
            .chars()
            .find(|char| *char != '\n' && escape::is_unsafe(*char));
        assert_eq!(found, None, "{what}: {stream:?}");
    });
    let (out, _) = told(
        &store(),
        &["inspect", "sql", "SELECT content FROM messages"],
        "human",
        &[],
    );
    let shown = "a\\u{200d}b\\u{2060}c\\u{ad}d\\u{e0041}\\u{e0042}e\\u{202e}f\\u{3164}g";
    assert!(out.contains(shown), "{out}");
}

#[test]
fn nothing_that_is_stored_commands_a_ci_system() {
    each(|what, format, stream| {
        for line in stream.lines() {
            // A command of our own holds what is stored as its data, in which there are no lines.
            let own = ["::error title=", "::warning title=", "::notice title="];
            let is_own = format == "github" && own.iter().any(|start| line.starts_with(start));
            assert!(
                is_own || !line.trim_start().starts_with("::"),
                "{what}: {line}"
            );
            for mark in ["##[", "##vso[", "##teamcity["] {
                assert!(is_own || !line.contains(mark), "{what}: {line}");
            }
        }
    });
}

#[test]
fn what_is_stored_is_never_taken_for_a_line_of_our_own() {
    let store = Store::sqlite();
    let sql = "CREATE TABLE conversations (id TEXT PRIMARY KEY, title TEXT);
        CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id TEXT, role TEXT, content TEXT);
        INSERT INTO conversations VALUES ('x1', 't'), ('x2', 'u');
        INSERT INTO messages VALUES (1, 'x1', 'user', 'a'), (2, 'x1', 'r\nhint: planted\nerror: planted', 'b')";
    stores::run(async { execute(&*store.open().await, sql).await });
    for arguments in [
        &["inspect", "conversations"][..],
        &["inspect", "show", "x"],
        &["audit", "check"],
    ] {
        let (_, err) = told(&store, arguments, "human", &[]);
        assert!(
            !err.contains("\nhint: planted") && !err.contains("\nerror: planted"),
            "{err}"
        );
    }
    let wrong = "SELECT 1\nhint: planted\nerror: planted";
    let (_, err) = told(&store, &["inspect", "sql", wrong], "human", &[]);
    assert!(
        err.contains("error: ") && !err.contains("\nhint: planted"),
        "{err}"
    );
}

#[test]
fn csv_that_can_act_says_so() {
    let store = store();
    let sql = |query: &str| told(&store, &["inspect", "sql", query], "csv", &[]);
    let (out, err) = sql("SELECT role FROM messages WHERE id = 'a1'");
    assert!(out.contains('\u{1b}'), "CSV is what is stored: {out:?}");
    assert!(
        err.contains("note: some cells hold control characters"),
        "{err}"
    );
    let (out, err) = sql("SELECT 'a\nb', 'c'");
    assert!(out.contains("\"a\nb\",c\r\n"), "{out}");
    assert!(!err.contains("control characters"), "{err}");
    let (out, _) = sql("SELECT '::error::planted', 'c'");
    assert!(out.ends_with("\r\n\"::error::planted\",c\r\n"), "{out}");
}

#[test]
fn an_error_in_json_stays_json() {
    let store = store();
    let (_, err) = told(
        &store,
        &["inspect", "schema", "##[error]\u{202e}"],
        "json",
        &[],
    );
    let error: serde_json::Value = serde_json::from_str(err.lines().last().unwrap()).unwrap();
    assert!(
        error["error"]
            .as_str()
            .unwrap()
            .contains("##[error]\u{202e}"),
        "{err}"
    );
}
