//! The direction of dependencies, as `src/lib.rs` describes it, and the form of imports.
//!
//! Reads text, with each `use` joined to one line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder or file below `src/`, and the modules of the program that it may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("clock.rs", &[]),
    ("closed.rs", &[]),
    ("input.rs", &[]),
    ("itself.rs", &[]),
    ("redact.rs", &[]),
    ("mask.rs", &["model", "redact"]),
    ("pager.rs", &[]),
    ("spool.rs", &[]),
    ("outlet.rs", &["pager", "spool"]),
    ("temporary.rs", &[]),
    (
        "sink.rs",
        &["outlet", "pager", "spool", "stop", "temporary"],
    ),
    (
        "screen.rs",
        &[
            "mask", "model", "outlet", "redact", "render", "report", "stop",
        ],
    ),
    (
        "told.rs",
        &[
            "config", "mask", "outcome", "render", "report", "sink", "stop",
        ],
    ),
    ("report", &["model"]),
    ("model", &[]),
    ("outcome.rs", &["report"]),
    ("stop.rs", &["outcome"]),
    ("explain", &[]),
    ("stream/sse.rs", &["model"]),
    ("stream/cassette", &["input", "stream"]),
    ("stream/session", &["input", "stream", "stop"]),
    ("stream/profiles", &["model", "stream"]),
    ("stream/faults", &["stream"]),
    ("stream/turn.rs", &["model", "stream"]),
    ("stream/judge", &["model", "report", "stream"]),
    ("stream/kept.rs", &["model"]),
    ("stream/marks.rs", &[]),
    ("stream/shipped.rs", &["stream", "stop"]),
    (
        "stream/setup",
        &[
            "config", "db", "gate", "gateway", "http", "mask", "progress", "stop", "stream",
        ],
    ),
    (
        "db",
        &["input", "mask", "model", "sql", "stop", "temporary"],
    ),
    ("http", &["clock", "itself", "mask", "stop", "trace"]),
    ("trace", &["clock"]),
    ("gateway", &["clock", "model", "stop", "stream"]),
    ("store", &["db", "model", "stop"]),
    (
        "gate",
        &["clock", "db", "http", "itself", "sql", "stop", "trace"],
    ),
    (
        "stream/run",
        &[
            "clock", "db", "gate", "gateway", "http", "mask", "model", "progress", "report",
            "stop", "store", "stream",
        ],
    ),
    (
        "audit/restart",
        &[
            "audit", "clock", "db", "http", "mask", "model", "report", "stop", "store", "stream",
        ],
    ),
    ("audit/evidence/judge", &["report"]),
    ("audit/evidence", &["db", "model"]),
    ("audit/arm.rs", &["db", "model"]),
    ("audit/live.rs", &["db", "model", "stop", "store"]),
    (
        "audit/checks",
        &["audit", "db", "model", "report", "sql", "stop", "store"],
    ),
    ("audit/fingerprint.rs", &["store"]),
    ("audit/turns.rs", &["model"]),
    ("audit/expected.rs", &["sql"]),
    ("audit/rate", &["audit", "model", "report"]),
    ("audit", &["input", "model", "report", "stop"]),
    ("sql", &[]),
    ("guard", &["input", "report", "stop"]),
    ("migrate/plan", &["stop", "migrate"]),
    ("migrate/preserve", &["model"]),
    ("migrate/source", &["input", "sql", "stop"]),
    ("migrate/history", &["sql", "stop"]),
    ("migrate/drift.rs", &[]),
    (
        "migrate",
        &["clock", "db", "model", "sql", "stop", "temporary"],
    ),
    ("lint", &["report", "sql"]),
    ("demo", &["clock", "db", "http", "model", "stream"]),
    ("progress.rs", &["mask", "render"]),
    ("render", &["explain", "report", "model", "outcome"]),
    ("config", &["input", "mask", "stop", "store", "stream"]),
    (
        "commands",
        &[
            "audit",
            "clock",
            "commands",
            "config",
            "db",
            "demo",
            "explain",
            "gate",
            "gateway",
            "guard",
            "http",
            "input",
            "itself",
            "lint",
            "mask",
            "migrate",
            "model",
            "outcome",
            "progress",
            "report",
            "sink",
            "sql",
            "stop",
            "store",
            "stream",
            "temporary",
        ],
    ),
];

/// A crate, and where alone it may be named.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("sqlx", &["db"]),
    ("reqwest", &["http"]),
    ("axum", &["gateway", "demo"]),
    ("comfy_table", &["render"]),
    ("indicatif", &["progress.rs"]),
    ("rusqlite", &["db"]),
    (
        "blake3",
        &[
            "audit/checks/duplicate_conversation.rs",
            "audit/key.rs",
            "redact.rs",
            "store/decode.rs",
        ],
    ),
    ("ignore", &["guard/tree.rs"]),
    ("lz4_flex", &["audit/file"]),
    (
        "siphasher",
        &["audit/key.rs", "db/session/witness/digest.rs"],
    ),
    ("squawk_linter", &["lint/squawk.rs"]),
    ("squawk_syntax", &["lint/squawk.rs"]),
    ("eventsource_stream", &["stream/sse.rs"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

/// The lines of a file that are code, without its tests. A `use` over several lines is one line.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        match lines.last_mut() {
            Some((_, open)) if is_use(open) && !open.ends_with(';') => open.push_str(line.trim()),
            _ => lines.push((number, line.to_owned())),
        }
    }
    lines
        .into_iter()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]" || line.starts_with("    "))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .collect()
}

/// Whether a line begins an import.
fn is_use(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("use ") || line.starts_with("pub") && line.contains(" use ")
}

/// The modules of the program that a line names: of `crate::a` and `crate::{a, b}`.
fn modules(line: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut named = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + 7..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap();
                named.extend(list.split(',').map(|item| word(item.trim())));
            }
            None => named.push(word(rest)),
        }
    }
    named.retain(|name| !name.is_empty());
    named
}

fn each_line(mut look: impl FnMut(&str, &str, usize)) {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&src) {
        let name = path
            .strip_prefix(&src)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        for (number, line) in code(&path) {
            look(&name, &line, number);
        }
    }
}

fn belongs(name: &str, place: &str) -> bool {
    name == place
        || name
            .strip_prefix(place)
            .is_some_and(|rest| rest.starts_with('/'))
}

#[test]
fn modules_name_only_what_they_may() {
    let mut wrong = Vec::new();
    each_line(|name, line, number| {
        let Some((place, allowed)) = MAY_NAME.iter().find(|(place, _)| belongs(name, place)) else {
            return;
        };
        for module in modules(line) {
            let own = place.split(['/', '.']).next().unwrap();
            if module != own && !allowed.contains(&module.as_str()) {
                wrong.push(format!(
                    "src/{name}:{number}: {place} may not name {module}"
                ));
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The pure parts of `stream` do not name the part that does I/O.
#[test]
fn the_cores_do_not_name_their_driver() {
    each_line(|name, line, number| {
        let drivers = ["stream/run/", "stream/setup/"];
        let core = name.starts_with("stream/") && !drivers.iter().any(|it| name.starts_with(it));
        assert!(
            !core || !line.contains("stream::run") && !line.contains("super::run"),
            "src/{name}:{number} names stream::run"
        );
    });
}

#[test]
fn crates_are_named_in_their_place_only() {
    let mut wrong = Vec::new();
    each_line(|name, line, number| {
        for (krate, places) in ONLY_IN {
            let named = line.contains(&format!("{krate}::"));
            if named && !places.iter().any(|place| belongs(name, place)) {
                wrong.push(format!(
                    "src/{name}:{number}: {krate} belongs into {places:?}"
                ));
            }
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every source file is in the table, or is one that may name everything.
#[test]
fn every_module_has_a_rule() {
    let free = ["main.rs", "lib.rs", "cli.rs", "app.rs", "stream/mod.rs"];
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&src) {
        let name = path.strip_prefix(&src).unwrap().to_str().unwrap();
        let known = free.contains(&name) || MAY_NAME.iter().any(|(place, _)| belongs(name, place));
        assert!(known, "src/{name} has no rule in tests/it/layers.rs");
    }
}

/// Imports are grouped by module, which stable rustfmt can't hold: in one block of lines no module is
/// imported from twice.
#[test]
fn imports_are_grouped_by_module() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for path in ["src", "tests/it", "benches"]
        .iter()
        .flat_map(|folder| sources(&root.join(folder)))
    {
        let mut block = BTreeSet::new();
        for (number, line) in code(&path) {
            if !is_use(&line) {
                block.clear();
                continue;
            }
            let from = line.split('{').next().unwrap();
            let from = if line.contains('{') {
                from
            } else {
                from.rsplit_once("::").map_or(from, |(module, _)| module)
            };
            if line.contains("::") && !block.insert(from.trim_end_matches("::").to_owned()) {
                wrong.push(format!("{}:{number}: {line}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn main_stays_thin() {
    let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs");
    assert!(fs::read_to_string(main).unwrap().lines().count() <= 40);
}
