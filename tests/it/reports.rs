//! Every format of a real run, and the shipped JSON Schema against real output.

use crate::common::stores::{Store, execute, run};
use crate::common::{Chat, Turn, chatctl, report, text};
use serde_json::Value;
use std::fs;

/// That what a document's `schema` names holds for it.
fn validator(name: &str) -> jsonschema::Validator {
    let found = chatctl::render::SCHEMAS.iter().find(|row| row.0 == name);
    let schema: Value = serde_json::from_str(found.unwrap().1).unwrap();
    assert_eq!(schema["title"], name);
    jsonschema::validator_for(&schema).unwrap()
}

fn errors(document: &Value) -> Vec<String> {
    let validator = validator(document["schema"].as_str().unwrap());
    let errors = validator.iter_errors(document);
    errors.map(|error| error.to_string()).collect()
}

/// Every command that gives a report gives one of the shipped shape, whatever its verdict.
#[test]
fn the_schema_holds_for_real_output() {
    let check = |report: &Value| {
        assert_eq!(errors(report), Vec::<String>::new(), "{report:#}");
    };
    for mode in ["correct", "after", "save_touch", "truncated"] {
        let (report, exit) = Chat::new(mode).report(&["--proof", "gate", "--trials", "3"]);
        check(&report);
        assert_eq!(report["exit"], exit, "{mode}");
    }
    let _turn = Turn::shared();
    let (demo, _) = report(chatctl().arg("demo"));
    check(&demo);
    let mut broken = demo;
    broken["verdict"] = "good".into();
    assert_ne!(errors(&broken), Vec::<String>::new());
}

/// Every view is of its shipped shape, and nothing that is not in the schema may be in it.
#[test]
fn the_schemas_of_views_hold_for_real_output() {
    run(async {
        let store = Store::sqlite();
        let sql = "CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id TEXT, role TEXT, content TEXT, parts BLOB, created_at INTEGER);
            INSERT INTO messages VALUES (1, 'c', 'user', 'hi', x'00ff', 1767261600), (2, 'c', 'assistant', NULL, NULL, -1767261600)";
        execute(&*store.open().await, sql).await;
        let url = store.url();
        let view = |arguments: &[&str]| {
            let mut command = chatctl();
            command.args(["inspect", "--database-url", &url, "--format", "json"]);
            let output = command.args(arguments).output().unwrap();
            let (out, err) = text(&output);
            assert_eq!(output.status.code(), Some(0), "{arguments:?}: {err}");
            serde_json::from_str::<Value>(&out).unwrap()
        };
        for (arguments, schema) in [
            (&["tables"][..], "chatctl.sheet/1"),
            (&["schema"], "chatctl.sheet/1"),
            (
                &["sql", "SELECT *, 1.50, id FROM messages"],
                "chatctl.sheet/1",
            ),
            (&["conversations"], "chatctl.sheet/1"),
            (&["search", "h"], "chatctl.sheet/1"),
            (&["show", "c", "--raw"], "chatctl.sheet/1"),
            (&["show", "c"], "chatctl.transcript/1"),
            (&["mapping"], "chatctl.text/1"),
            (&["mapping", "--presets"], "chatctl.text/1"),
        ] {
            let mut document = view(arguments);
            assert_eq!(document["schema"], schema, "{arguments:?}");
            assert_eq!(errors(&document), Vec::<String>::new(), "{document:#}");
            document["more"] = Value::Null;
            assert_ne!(errors(&document), Vec::<String>::new(), "{arguments:?}");
        }
    });
}

/// One run, four formats: the same findings in each, and the exit code of the verdict.
#[test]
fn further_reports_tell_the_same() {
    let chat = Chat::new("after").stack("async").openai();
    let folder = chat.folder.path();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let output = chat
        .verify()
        .args(["--format", "github", "--settle", "500ms"])
        .args(["--report", &format!("junit={}", file("out.xml"))])
        .args(["--report", &format!("json={}", file("out.json"))])
        .args(["--report", &format!("human={}", file("out.txt"))])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (github, _) = text(&output);
    assert!(
        github.contains("::error title=saved-after-done"),
        "{github}"
    );
    for name in ["out.xml", "out.json", "out.txt"] {
        let told = fs::read_to_string(folder.join(name)).unwrap();
        assert!(told.contains("saved-after-done"), "{name}: {told}");
    }
    let junit = fs::read_to_string(folder.join("out.xml")).unwrap();
    assert!(
        junit.starts_with("<?xml") && junit.contains("<failure"),
        "{junit}"
    );
    // Nothing half-written lies next to them.
    let left: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".chatctl"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let output = chatctl()
        .args([
            "demo",
            "--bug",
            "never-saved",
            "--quiet",
            "--report",
            "json=/no/such/folder/out.json",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let (_, err) = text(&output);
    assert!(
        err.contains("writing the json report to `/no/such/folder/out.json`")
            && err.contains("the folder `/no/such/folder` does not exist"),
        "{err}"
    );
}

/// A store with a chat in it, and a folder to write into.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = rusqlite::Connection::open(folder.path().join("chat.db")).unwrap();
        store
            .execute_batch(
                "CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id TEXT, role TEXT, content TEXT, created_at INTEGER);
                 INSERT INTO messages VALUES (1, 'c', 'user', 'hi', 1767261600), (2, 'c', 'assistant', 'hello', 1767261601)",
            )
            .unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = chatctl();
        command
            .args(["--database-url", "sqlite:chat.db"])
            .args(arguments)
            .current_dir(self.0.path())
            .env("HOME", self.0.path());
        command
    }

    /// Everything that writes a result to a place.
    fn writes(&self, place: &str) -> Vec<Vec<String>> {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut all = vec![
            words(&format!("audit check --report junit={place}")),
            words(&format!(
                "inspect conversations --no-pager --report csv={place}"
            )),
            words(&format!("audit snapshot --overwrite -o {place}")),
            words(&format!(
                "audit rate --last 3650d --window 3650d --prometheus {place}"
            )),
        ];
        for command in &mut all {
            command.push("--quiet".to_owned());
        }
        all
    }

    fn write(&self, arguments: &[String]) -> (Option<i32>, String) {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let output = self.command(&arguments).output().unwrap();
        (output.status.code(), text(&output).1)
    }

    /// Nothing that a run needs while it goes on is left next to a result.
    fn left_nothing(&self) {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<_> = names.filter(|name| name.starts_with(".chatctl")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// A device stays one, a pipe gets what its reader reads, and a link leads to what is written.
#[test]
fn a_result_goes_into_what_is_no_plain_file() {
    use std::os::unix::fs::FileTypeExt as _;
    let site = Site::new();
    let (null, pipe, link) = (site.path("null"), site.path("pipe"), site.path("link"));
    let device = nix::libc::makedev(1, 3);
    let (kind, mode) = (
        nix::sys::stat::SFlag::S_IFCHR,
        nix::sys::stat::Mode::from_bits_truncate(0o666),
    );
    // Only root may make a device.
    let has_device = nix::sys::stat::mknod(null.as_str(), kind, mode, device).is_ok();
    nix::unistd::mkfifo(pipe.as_str(), mode).unwrap();
    for (number, command) in site.writes("null").into_iter().enumerate() {
        if has_device {
            let (code, err) = site.write(&command);
            assert_eq!(code, Some(0), "{command:?}: {err}");
            let kind = fs::symlink_metadata(&null).unwrap().file_type();
            assert!(kind.is_char_device(), "{command:?}");
        }
        let into_pipe = &site.writes("pipe")[number];
        let (code, err) = site.write(into_pipe);
        assert_eq!(code, Some(3), "{command:?}: {err}");
        assert!(err.contains("nobody reads the pipe `pipe`"), "{err}");
        let path = pipe.clone();
        let reader = std::thread::spawn(move || fs::read(path).unwrap());
        // Until the reader has come.
        let ended = (0..1000).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            let (code, err) = site.write(into_pipe);
            (code != Some(3)).then_some((code, err))
        });
        assert_eq!(ended.unwrap().0, Some(0), "{into_pipe:?}");
        assert!(!reader.join().unwrap().is_empty(), "{into_pipe:?}");
        let kind = fs::symlink_metadata(&pipe).unwrap().file_type();
        assert!(kind.is_fifo(), "{command:?}");

        let target = site.path("target");
        fs::remove_file(&target).ok();
        fs::remove_file(&link).ok();
        std::os::unix::fs::symlink("target", &link).unwrap();
        let (code, err) = site.write(&site.writes("link")[number]);
        assert_eq!(code, Some(0), "{command:?}: {err}");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::metadata(&target).unwrap().len() > 0);

        let (code, err) = site.write(&site.writes(".")[number]);
        assert_eq!(code, Some(2), "{command:?}: {err}");
        assert!(err.contains("`.` is a folder"), "{err}");
        site.left_nothing();
    }
}

/// A file that is there keeps its mode; a new one is its owner's alone, but for figures that an exporter reads.
#[test]
fn a_result_keeps_the_mode_of_its_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new();
    let mode = |name: &str| fs::metadata(site.path(name)).unwrap().permissions().mode() & 0o7777;
    for (number, command) in site.writes("there").into_iter().enumerate() {
        fs::write(site.path("there"), "what was before").unwrap();
        fs::set_permissions(site.path("there"), fs::Permissions::from_mode(0o604)).unwrap();
        let (code, err) = site.write(&command);
        assert_eq!(
            (code, mode("there")),
            (Some(0), 0o604),
            "{command:?}: {err}"
        );
        let (code, err) = site.write(&site.writes("new")[number]);
        let new = if command.contains(&"--prometheus".to_owned()) {
            0o644
        } else {
            0o600
        };
        assert_eq!((code, mode("new")), (Some(0), new), "{command:?}: {err}");
        fs::remove_file(site.path("new")).unwrap();
    }
}

/// `-` is stdout, after what the command shows there itself, and no file.
#[test]
fn a_further_report_can_go_to_stdout() {
    let site = Site::new();
    for place in ["-", "/dev/stdout", "/dev/fd/1"] {
        let report = format!("jsonl={place}");
        let check = ["audit", "check", "--format", "csv", "--report", &report];
        let view = [
            "inspect",
            "conversations",
            "--format",
            "csv",
            "--report",
            &report,
        ];
        for arguments in [&check, &view] {
            let output = site.command(arguments).output().unwrap();
            let (out, err) = text(&output);
            assert_eq!(output.status.code(), Some(0), "{err}");
            let begin = out.find("{\"").unwrap_or_else(|| panic!("{out}"));
            assert!(begin > 0 && !out[..begin].contains('{'), "{out}");
            for line in out[begin..].lines() {
                serde_json::from_str::<Value>(line).unwrap();
            }
        }
        assert!(fs::metadata(site.path("-")).is_err());
        for arguments in &site.writes(place)[2..] {
            let (code, err) = site.write(arguments);
            assert_eq!(code, Some(2), "{arguments:?}: {err}");
            assert!(err.contains("is stdout, where the report goes"), "{err}");
        }
    }
}
