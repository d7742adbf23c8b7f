//! Databases that chat applications made, read without any configuration: each is known by its
//! preset, and every message is read alike on every backend.

use crate::common::servers::{MariaDb, Postgres};
use crate::common::{root, servers, stores};
use chatctl::db::{Db, Target};
use chatctl::model::{Conversation, State, StoredMessage};
use chatctl::store::{Declared, Filter, Mapping, Origin};
use chatctl::{db, store};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is read from a fixture.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Read {
    preset: String,
    /// What of it can't be read; told with the mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    /// What `audit check` finds, each cause with its count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    found: BTreeMap<String, u64>,
    conversation: Vec<Talk>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Talk {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    messages: u64,
    unanswered: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    deleted: bool,
    /// What the other of two stores lacks, and what only it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    differs: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    message: Vec<Said>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Said {
    key: String,
    role: String,
    text: String,
    /// Minutes since the fixtures' first conversation was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    minute: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    undecoded: bool,
    /// It lies on another branch than the current one.
    #[serde(default, skip_serializing_if = "is_false")]
    left: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tools: Vec<String>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// 2026-03-01 09:00 UTC, in microseconds since 1970: `BEGIN` of fixtures/presets/make/talk.py.
const BEGIN: i64 = 1_772_355_600_000_000;

fn said(message: &StoredMessage) -> Said {
    let opaque = message.role.word() == "opaque";
    let tool = |tool: &chatctl::model::ToolCall| {
        let written = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let (input, output) = (written(&tool.input), written(&tool.output));
        format!("{}({input}) = {output}", tool.name)
    };
    Said {
        key: message.key.clone(),
        role: message.role.word().to_owned(),
        // A digest of what each backend keeps in a form of its own.
        text: if opaque {
            "(a digest)".to_owned()
        } else {
            message.content.clone()
        },
        minute: message.time.map(|time| (time - BEGIN) as f64 / 60e6),
        state: (message.state != State::Whole).then(|| format!("{:?}", message.state)),
        undecoded: !message.decoded && !opaque,
        left: !message.on_branch,
        tools: message.tools.iter().map(tool).collect(),
    }
}

async fn talk(db: &dyn Db, mapping: &Mapping, one: Conversation) -> Talk {
    let messages = store::conversation(db, mapping, &one.key).await.unwrap();
    let mut differs = Vec::new();
    if mapping.stores.len() > 1 {
        let other = store::conversation(db, &mapping.only(1), &one.key)
            .await
            .unwrap();
        for difference in store::reconcile(&messages, &other) {
            let place = if difference.in_first {
                "first"
            } else {
                "other"
            };
            differs.push(format!("{place} only: {}", difference.message.content));
        }
    }
    Talk {
        key: one.key,
        title: one.title,
        user: one.user,
        messages: one.messages,
        unanswered: one.unanswered,
        deleted: one.deleted,
        differs,
        message: messages.iter().map(said).collect(),
    }
}

async fn read(db: &dyn Db, found: BTreeMap<String, u64>) -> anyhow::Result<Read> {
    let schema = db.schema().await?;
    let mapping = store::choose(db, &Declared::default(), &schema).await?;
    let Origin::Preset {
        name, unreadable, ..
    } = mapping.origin.clone()
    else {
        anyhow::bail!("no preset fits: {mapping}");
    };
    let filter = Filter {
        limit: 100,
        ..Filter::default()
    };
    let (mut all, cut) = store::conversations(db, &mapping, &filter).await?;
    assert!(!cut, "all fit");
    all.sort_by(|a, b| a.key.cmp(&b.key));
    let mut conversation = Vec::new();
    for one in all {
        conversation.push(talk(db, &mapping, one).await);
    }
    Ok(Read {
        preset: name,
        unreadable,
        found,
        conversation,
    })
}

fn fixtures() -> PathBuf {
    root().join("fixtures/presets")
}

/// The folders of fixtures, each the name of a preset.
fn apps() -> BTreeSet<String> {
    let folders = fs::read_dir(fixtures()).unwrap();
    let paths = folders
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.ends_with("make"));
    paths
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// Reads every fixture of a backend from the database that `load` makes of it.
fn every_fixture(backend: &str, load: impl Fn(&str, &str) -> String) {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for app in apps() {
        let Ok(sql) = fs::read_to_string(fixtures().join(&app).join(format!("{backend}.sql")))
        else {
            continue;
        };
        seen += 1;
        let url = load(&app, &sql);
        let found = audited(&app, backend, &url);
        stores::run(async {
            let db = db::open(Target::parse(&url).unwrap()).await.unwrap();
            has_its_signature(&app, db.as_ref()).await;
            let told = match read(db.as_ref(), found).await {
                Ok(found) => toml::to_string(&found).unwrap(),
                Err(error) => format!("error: {error:#}\n"),
            };
            let expected = fs::read_to_string(fixtures().join(&app).join("expected.toml"));
            let expected = expected.unwrap_or_default();
            if toml::from_str::<Read>(&expected).ok() != toml::from_str(&told).ok()
                || !told.starts_with("preset")
            {
                wrong.push(difference(&app, backend, &expected, &told));
            }
        });
    }
    assert!(seen > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A snapshot of it holds, where the texts are read; what the checks find in it.
fn audited(app: &str, backend: &str, url: &str) -> BTreeMap<String, u64> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("before.cas");
    let file = file.to_str().unwrap();
    let audit = |arguments: &[&str]| {
        let mut command = crate::common::chatctl();
        command.env("PRESETS_KEY", "5a".repeat(32)).arg("audit");
        crate::common::report(command.args(arguments).args(["--database-url", url]))
    };
    let key = ["--key", "env:PRESETS_KEY"];
    let (report, exit) = audit(&[&["snapshot", "-o", file], &key[..]].concat());
    let read = report["cases"][0]["metrics"]["messages"].as_f64() > Some(0.0);
    assert!(exit == 0 && read, "{app}: {report:#}");
    let (report, exit) = audit(&[&["compare", file], &key[..]].concat());
    let mut presets = store::presets().iter();
    let preset = presets.find(|preset| preset.name == app).unwrap();
    let is_sealed = preset
        .sealed_on
        .iter()
        .any(|engine| engine.name() == backend);
    assert_eq!(
        (exit, crate::common::codes(&report, "warning").len()),
        (if is_sealed { 3 } else { 0 }, 0),
        "{app}: {report:#}"
    );
    let (report, exit) = audit(&["check"]);
    let fails = !crate::common::codes(&report, "error").is_empty();
    assert_eq!(exit, i32::from(fails), "{app}: {report:#}");
    let mut found = BTreeMap::new();
    for case in report["cases"].as_array().unwrap() {
        let causes = case["metrics"].as_object().unwrap().iter();
        for (cause, count) in causes.filter(|(cause, _)| *cause != "found") {
            let name = format!("{}: {cause}", case["name"].as_str().unwrap());
            found.insert(name, count.as_f64().unwrap() as u64);
        }
    }
    found
}

/// Each table and column by which a preset is known is in its fixture.
async fn has_its_signature(app: &str, db: &dyn Db) {
    let schema = db.schema().await.unwrap();
    let preset = store::presets().iter().find(|preset| preset.name == app);
    for (name, columns) in &preset.unwrap().signature {
        let table = schema.iter().find(|table| table.name == *name);
        let table = table.unwrap_or_else(|| panic!("{app}: no table `{name}`"));
        for column in columns {
            assert!(
                table.column(column).is_some(),
                "{app}: no `{name}`.`{column}`"
            );
        }
    }
}

/// The lines that differ; the whole of what was read is left in a file.
fn difference(app: &str, backend: &str, expected: &str, told: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{app}.{backend}.toml"));
    fs::write(&path, told).unwrap();
    let lines = similar::TextDiff::from_lines(expected, told);
    let lines = lines.unified_diff().context_radius(2).to_string();
    format!(
        "{app} on {backend} (see {}):\n{}",
        path.display(),
        lines.lines().take(60).collect::<Vec<_>>().join("\n")
    )
}

fn sqlite_file(folder: &tempfile::TempDir, name: &str, sql: &str) -> String {
    let path = folder.path().join(format!("{name}.db"));
    fs::write(&path, b"").unwrap();
    let url = format!("sqlite:{}", path.display());
    stores::run(async {
        let db = db::open(Target::parse(&url).unwrap()).await.unwrap();
        stores::execute(db.as_ref(), sql).await;
    });
    url
}

#[test]
fn every_fixture_is_read_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    every_fixture("sqlite", |app, sql| sqlite_file(&folder, app, sql));
}

/// Not a dump of long ago: the package itself, as it is installed for the tests.
#[test]
fn what_a_package_writes_today_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let make = fixtures().join("make");
    let made = Command::new(crate::common::python())
        .arg("-P")
        .arg(make.join("apps/llm-threads.py"))
        .env("PYTHONPATH", &make)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PRESETS_KEEP", folder.path())
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let url = format!("sqlite:{}/llm-threads.db", folder.path().display());
    let expected = fs::read_to_string(fixtures().join("llm-threads/expected.toml")).unwrap();
    let found = audited("llm-threads", "sqlite", &url);
    stores::run(async {
        let db = db::open(Target::parse(&url).unwrap()).await.unwrap();
        let told = read(db.as_ref(), found).await.unwrap();
        assert_eq!(toml::to_string(&told).unwrap(), expected);
    });
}

#[test]
fn every_fixture_is_read_on_postgres() {
    let server = Postgres::start();
    every_fixture("postgres", |app, sql| {
        let url = server.database(app);
        servers::run_sql(&url, sql);
        url
    });
}

#[test]
fn every_fixture_is_read_on_mysql() {
    let server = MariaDb::start();
    every_fixture("mysql", |app, sql| {
        let url = server.database(app);
        servers::run_sql(&url, sql);
        url
    });
}

#[test]
fn every_preset_has_a_fixture_and_a_row() {
    let rows: BTreeSet<_> = store::presets()
        .iter()
        .map(|preset| preset.name.to_owned())
        .collect();
    assert_eq!(apps(), rows);
    let files = fs::read_dir(root().join("src/store/presets")).unwrap();
    let files: BTreeSet<_> = files
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(files, rows);
    for app in apps() {
        assert!(fixtures().join(&app).join("expected.toml").exists());
    }
}

fn chosen(sql: &str) -> anyhow::Result<Mapping> {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite_file(&folder, "one", sql);
    let mut found = None;
    stores::run(async {
        let db = db::open(Target::parse(&url).unwrap()).await.unwrap();
        let schema = db.schema().await.unwrap();
        found = Some(store::choose(db.as_ref(), &Declared::default(), &schema).await);
    });
    found.unwrap()
}

#[test]
fn what_is_no_chat_application_fits_no_preset() {
    let blog = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT);
        CREATE TABLE posts (id INTEGER PRIMARY KEY, author_id INTEGER REFERENCES users (id), title TEXT, body TEXT, created_at TEXT);
        CREATE TABLE comments (id INTEGER PRIMARY KEY, post_id INTEGER REFERENCES posts (id), author TEXT, body TEXT, created_at TEXT);
        INSERT INTO users VALUES (1, 'a', 'a@example.com');
        INSERT INTO posts VALUES (1, 1, 'Hello', 'A post.', '2026-03-01');
        INSERT INTO comments VALUES (1, 1, 'bob', 'Nice.', '2026-03-01')";
    let found = chosen(blog);
    assert!(found.is_err(), "{}", found.unwrap());
}

#[test]
fn two_applications_in_one_database_are_not_guessed_between() {
    let both: Vec<_> = ["langchain", "flowise"]
        .iter()
        .map(|app| fs::read_to_string(fixtures().join(app).join("sqlite.sql")).unwrap())
        .collect();
    let error = chosen(&both.join("\n")).unwrap_err().to_string();
    assert!(
        error.contains("message_store") && error.contains("chat_message"),
        "{error}"
    );
    // One alone is chosen.
    assert!(chosen(&both[0]).is_ok() && chosen(&both[1]).is_ok());
}
