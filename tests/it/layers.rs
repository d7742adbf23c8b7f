//! The direction of dependencies, as `src/lib.rs` describes it, and the form of imports.
//!
//! Reads text, with each `use` joined to one line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder or file below `src/`, and the modules of the program that it may name besides `text`.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("text.rs", &[]),
    ("clock.rs", &[]),
    ("closed.rs", &[]),
    ("trust.rs", &[]),
    ("input.rs", &[]),
    ("current_exe.rs", &[]),
    ("redact.rs", &[]),
    ("mask.rs", &["model", "redact"]),
    ("pager.rs", &[]),
    ("spool.rs", &["temporary"]),
    ("outlet.rs", &["pager", "spool"]),
    ("temporary.rs", &[]),
    (
        "sink.rs",
        &["outlet", "pager", "spool", "cli_error", "temporary"],
    ),
    (
        "screen.rs",
        &[
            "mask",
            "model",
            "outlet",
            "redact",
            "render",
            "report",
            "cli_error",
        ],
    ),
    (
        "reports.rs",
        &[
            "config",
            "mask",
            "outcome",
            "render",
            "report",
            "sink",
            "cli_error",
        ],
    ),
    ("report", &["model"]),
    ("model", &[]),
    ("outcome.rs", &["report"]),
    ("cli_error.rs", &["outcome"]),
    ("explain", &[]),
    ("stream/sse.rs", &["model"]),
    ("source_error.rs", &["cli_error"]),
    ("stream/cassette", &["input", "source_error", "stream"]),
    (
        "stream/session",
        &[
            "gateway",
            "input",
            "model",
            "source_error",
            "stream",
            "cli_error",
        ],
    ),
    ("stream/body.rs", &["model"]),
    ("stream/declared.rs", &["model"]),
    ("stream/detect.rs", &["stream"]),
    ("stream/dialects.rs", &["model", "stream"]),
    ("stream/json.rs", &[]),
    ("stream/last_event.rs", &["model", "stream"]),
    ("stream/marker.rs", &["model"]),
    ("stream/path", &["stream"]),
    ("stream/profiles", &["model", "stream"]),
    ("stream/faults", &["stream"]),
    ("stream/turn.rs", &["model", "stream"]),
    ("stream/judge", &["model", "report", "stream"]),
    ("stream/forms.rs", &[]),
    ("stream/kept.rs", &["model"]),
    ("stream/own_words.rs", &["stream/kept"]),
    ("stream/parts.rs", &["stream"]),
    ("stream/marks.rs", &[]),
    ("stream/policy.rs", &[]),
    ("stream/resumed.rs", &["stream"]),
    ("stream/shipped.rs", &["stream", "cli_error"]),
    (
        "stream/setup",
        &[
            "config",
            "db",
            "gate",
            "gateway",
            "http",
            "input",
            "mask",
            "model",
            "progress",
            "cli_error",
            "source_error",
            "stream",
        ],
    ),
    (
        "db",
        &[
            "input",
            "mask",
            "model",
            "sql",
            "cli_error",
            "temporary",
            "trust",
        ],
    ),
    (
        "http",
        &["clock", "current_exe", "mask", "cli_error", "trace"],
    ),
    ("trace", &["clock"]),
    ("gateway/providers", &["gateway", "stream"]),
    ("gateway/answer.rs", &[]),
    ("gateway/read.rs", &["stream"]),
    ("gateway/cut.rs", &["stream"]),
    ("gateway/faults", &["gateway", "stream"]),
    ("gateway", &["clock", "model", "cli_error", "stream"]),
    ("store", &["db", "model", "cli_error"]),
    (
        "gate",
        &[
            "clock",
            "db",
            "http",
            "current_exe",
            "model",
            "sql",
            "cli_error",
            "trace",
            "trust",
        ],
    ),
    (
        "stream/run",
        &[
            "clock",
            "db",
            "gate",
            "gateway",
            "http",
            "mask",
            "model",
            "progress",
            "report",
            "cli_error",
            "store",
            "stream",
        ],
    ),
    (
        "audit/restart",
        &[
            "audit",
            "clock",
            "db",
            "http",
            "mask",
            "model",
            "report",
            "cli_error",
            "store",
            "stream",
        ],
    ),
    ("audit/evidence/judge", &["model", "report"]),
    ("audit/evidence", &["db", "model"]),
    ("audit/arm.rs", &["db"]),
    (
        "audit/live.rs",
        &["clock", "db", "model", "cli_error", "store"],
    ),
    (
        "audit/checks",
        &[
            "audit",
            "db",
            "model",
            "report",
            "sql",
            "cli_error",
            "store",
        ],
    ),
    ("audit/fingerprint.rs", &["store"]),
    ("audit/turns.rs", &["model"]),
    ("audit/expected.rs", &["sql"]),
    ("audit/rate", &["audit", "model", "report"]),
    ("audit", &["clock", "input", "model", "report", "cli_error"]),
    ("sql", &[]),
    ("guard", &["input", "report", "cli_error"]),
    ("migrate/plan", &["cli_error", "migrate"]),
    ("migrate/preserve", &["model"]),
    ("migrate/source", &["input", "sql", "cli_error"]),
    ("migrate/history", &["model", "sql", "cli_error"]),
    ("migrate/drift.rs", &[]),
    (
        "migrate",
        &["clock", "db", "model", "sql", "cli_error", "temporary"],
    ),
    ("lint", &["report", "sql"]),
    ("demo", &["clock", "db", "http", "model", "stream"]),
    ("progress.rs", &["mask", "render"]),
    ("render", &["explain", "report", "model", "outcome"]),
    (
        "config",
        &["input", "mask", "source_error", "cli_error", "store"],
    ),
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
            "current_exe",
            "lint",
            "mask",
            "migrate",
            "model",
            "outcome",
            "progress",
            "report",
            "sink",
            "sql",
            "cli_error",
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
    ("tokio_tungstenite", &["http", "gateway/socket.rs"]),
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
            if module != own && module != "text" && !allowed.contains(&module.as_str()) {
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

/// The folders of engines in `db`.
const ENGINES: [&str; 3] = ["sqlite", "postgres", "mysql"];

/// The files where a text may be an engine's name without being one: names of client programs, of
/// other tools' settings, of URLs that are masked before they are read, and of databases.
const NAMES_ENGINES: &[&str] = &[
    "stream/setup/launch.rs",
    "guard/rules/drop_in_init_sql.rs",
    "mask.rs",
    "migrate/intent.rs",
    "migrate/source/mod.rs",
    "model/engine.rs",
    "render/samples.rs",
];

/// What an engine does is behind its row: no text is compared with its name, and in `db` no file
/// but the one that leads to the rows names what is in a folder of an engine.
#[test]
fn engines_are_named_by_their_type() {
    let mut wrong = Vec::new();
    each_line(|name, line, number| {
        let own = |engine: &&str| belongs(name, &format!("db/{engine}"));
        if ENGINES.iter().any(own) || name.ends_with("tests.rs") {
            return;
        }
        let texts = ENGINES.map(|engine| format!("\"{engine}\""));
        let is_text = texts.iter().any(|text| line.contains(text.as_str()));
        if is_text && !NAMES_ENGINES.contains(&name) {
            wrong.push(format!(
                "src/{name}:{number} names an engine by a text: {line}"
            ));
        }
        let paths = ENGINES.map(|engine| format!("{engine}::"));
        let of_engine = paths.iter().any(|path| {
            let before = line.split(path.as_str()).next().unwrap_or_default();
            line.contains(path.as_str())
                && !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
                && !before.ends_with("sqlx::")
        });
        let declares = name == "db/mod.rs";
        if name.starts_with("db/") && of_engine && !declares {
            wrong.push(format!(
                "src/{name}:{number} names an engine's folder: {line}"
            ));
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

/// Modules that lie next to each other and name each other in a circle, with the reason why they may.
const CIRCLES: &[(&str, &[&str])] = &[
    (
        "a statement holds queries, and a query holds statements: a recursive grammar",
        &[
            "sql/facts/alter",
            "sql/facts/create",
            "sql/facts/dml",
            "sql/facts/drop",
            "sql/facts/query",
            "sql/facts/session",
        ],
    ),
    (
        "`stream::run` drives the gateway, which plays the cassettes of `stream`",
        &["gateway", "stream"],
    ),
];

/// The modules of the program by their files: `a/b.rs` and `a/b/mod.rs` are both `a/b`.
fn module_of(name: &str) -> String {
    let name = name.strip_suffix(".rs").unwrap();
    name.strip_suffix("/mod").unwrap_or(name).to_owned()
}

/// The paths that an import names: of `use a::{b, c::d};` these are `a::b` and `a::c::d`.
fn paths(import: &str) -> Vec<String> {
    let Some((before, list)) = import.split_once('{') else {
        let path = import.split(" as ").next().unwrap();
        return vec![path.trim().to_owned()];
    };
    let list = list.rsplit_once('}').unwrap().0;
    let mut depth = 0;
    let parts = list.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts
        .filter(|part| !part.trim().is_empty())
        .flat_map(|part| paths(&format!("{before}{}", part.trim())))
        .collect()
}

/// The module of the program that a path in a module means, if it means one.
fn meant(path: &str, from: &str, modules: &BTreeSet<String>) -> Option<String> {
    let mut place: Vec<&str> = from.split('/').collect();
    let mut parts = path.split("::").peekable();
    match *parts.peek()? {
        "crate" => {
            place.clear();
            parts.next();
        }
        "super" => {
            while parts.next_if_eq(&"super").is_some() {
                place.pop();
            }
        }
        "self" => {
            parts.next();
        }
        first if modules.contains(&format!("{from}/{first}")) => {}
        _ => return None,
    }
    let mut found = None;
    for part in parts {
        place.push(part);
        let module = place.join("/");
        found = modules.contains(&module).then_some(module).or(found);
    }
    found
}

/// Where the ways to two modules part: the two that lie next to each other. None when one is in the other.
fn siblings(one: &str, other: &str) -> Option<(String, String)> {
    let (one, other): (Vec<_>, Vec<_>) = (one.split('/').collect(), other.split('/').collect());
    let common = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let is_inside = common == one.len() || common == other.len();
    (!is_inside).then(|| (one[..=common].join("/"), other[..=common].join("/")))
}

/// Everything that a module names, and what that names.
fn reached(from: &str, names: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        for named in names.get(module).into_iter().flatten() {
            if reached.insert(named.clone()) {
                next.push(named);
            }
        }
    }
    reached
}

/// Modules that lie next to each other name each other in one direction. A parent may name its children
/// while they name it: the trait or the row is there, and those who are it are below.
#[test]
fn no_modules_name_each_other_in_a_circle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&src);
    let name_of = |path: &PathBuf| module_of(path.strip_prefix(&src).unwrap().to_str().unwrap());
    let modules: BTreeSet<_> = files.iter().map(name_of).collect();
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    each_line(|name, line, _| {
        // Unit tests may name whatever they compare.
        if ["/tests.rs", "/trials.rs"]
            .iter()
            .any(|end| name.ends_with(end))
            || name.contains("/tests/")
        {
            return;
        }
        let from = module_of(name);
        let inline = line.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c)));
        let inline =
            inline.filter(|word| word.starts_with("super::") || word.starts_with("crate::"));
        let named = if is_use(line) {
            let import = line.split_once("use ").unwrap().1;
            paths(import.trim_end_matches(';'))
        } else {
            inline.map(str::to_owned).collect()
        };
        let named = named.iter().filter_map(|path| meant(path, &from, &modules));
        for (one, other) in named.filter_map(|module| siblings(&from, &module)) {
            names.entry(one).or_default().insert(other);
        }
    });
    let circle = |module: &String| -> BTreeSet<String> {
        let mut circle = reached(module, &names);
        circle.retain(|other| reached(other, &names).contains(module));
        circle
    };
    let circles: BTreeSet<_> = names.keys().map(circle).collect();
    let accepted: BTreeSet<BTreeSet<_>> = CIRCLES
        .iter()
        .map(|(_, circle)| circle.iter().map(|&module| module.to_owned()).collect())
        .collect();
    let new: Vec<_> = circles
        .iter()
        .filter(|circle| !circle.is_empty() && !accepted.contains(*circle))
        .collect();
    assert!(
        new.is_empty(),
        "these name each other in a circle: {new:#?}"
    );
    let gone: Vec<_> = accepted.difference(&circles).collect();
    assert!(
        gone.is_empty(),
        "these circles are gone from src, not from CIRCLES: {gone:#?}"
    );
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
