//! `chatctl migrate adopt`: the history that another tool wrote is taken over as it stands, or
//! refused with nothing written.

mod tool;

use crate::common::faults::store::Host;
use crate::common::sites::{Site, TestBed, on_each_bed};
use std::fs;
use tool::Tool;

on_each_bed! {
    what_a_tool_applied_is_taken_over
    what_is_wrong_is_refused_and_nothing_is_written
    what_sqlx_cannot_number_is_refused
    another_tools_history_is_settled_by_adopt_alone
    no_history_at_all_asks_for_a_baseline
}

fn at(bed: &TestBed, name: &str, tool: Tool) -> Site {
    let site = bed.site(name);
    tool.ran(&site);
    site
}

fn what_a_tool_applied_is_taken_over(bed: &TestBed) {
    for tool in Tool::of(bed.backend).iter().copied() {
        let site = at(bed, &format!("of_{}", tool.name().replace('-', "_")), tool);
        let (before, rows) = (site.contents(), tool.rows(&site));
        assert!(!rows.is_empty(), "{tool:?}");
        let told = site.refused(&["up"]);
        assert!(
            told.contains(&format!("was written by {}", tool.name()))
                && told.contains("chatctl migrate adopt"),
            "{told}"
        );
        let (status, exit) = site.report(&["status"]);
        assert_eq!(exit, 10, "{tool:?}: {status:#}");
        assert_eq!(site.contents(), before, "{tool:?}: it was only looked at");

        let (told, _) = site.passed(&["adopt"]);
        let [first, second, third] = tool.written();
        let from = tool.name();
        assert_eq!(
            told,
            format!("{first}  taken over from {from}\n{second}  taken over from {from}\n")
        );
        let history = site.history();
        let versions: Vec<_> = history
            .iter()
            .map(|row| row.split('|').next().unwrap())
            .collect();
        assert_eq!(versions, tool.versions()[..2]);
        assert!(
            history.iter().all(|row| row.split('|').nth(2) == Some("1")),
            "{history:?}"
        );
        assert_eq!(tool.rows(&site), rows, "{tool:?} keeps its own");
        let (status, exit) = site.report(&["status"]);
        let reasons: Vec<_> = status["cases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|case| {
                case["reason"]
                    .as_str()
                    .unwrap()
                    .split(" at ")
                    .next()
                    .unwrap()
            })
            .collect();
        assert_eq!(
            (exit, reasons.as_slice()),
            (10, ["applied", "applied", "pending"].as_slice()),
            "{status:#}"
        );

        let again = site.refused(&["adopt"]);
        assert!(
            again.contains("already has the history that chatctl writes"),
            "{again}"
        );
        let report = site.up();
        let cases = report["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 1, "only the third is newer: {report:#}");
        assert!(cases[0]["name"].as_str().unwrap().starts_with(&third));
        assert_eq!(site.history()[..2], history);
        assert_eq!(tool.rows(&site), rows, "{tool:?} keeps its own");
        assert_eq!(site.status(), 0);
        site.texts("SELECT title FROM conversation WHERE archived IS NULL");
    }
}

/// How a history is spoiled: a statement, or a file that is gone or has another text.
enum Spoilt {
    By(&'static str),
    Gone(usize),
    Changed(usize),
}

fn what_is_wrong_is_refused_and_nothing_is_written(bed: &TestBed) {
    for (number, (tool, how, state)) in [
        (
            Tool::GolangMigrate,
            Spoilt::By("UPDATE schema_migrations SET dirty = TRUE"),
            "half applied",
        ),
        (
            Tool::GolangMigrate,
            Spoilt::By("UPDATE schema_migrations SET version = 9"),
            "newer",
        ),
        (
            Tool::Flyway,
            Spoilt::By("UPDATE flyway_schema_history SET success = FALSE WHERE version = '2'"),
            "half applied",
        ),
        (
            Tool::Flyway,
            Spoilt::By("UPDATE flyway_schema_history SET checksum = 7 WHERE version = '1'"),
            "changed",
        ),
        (Tool::Flyway, Spoilt::Changed(1), "changed"),
        (Tool::Refinery, Spoilt::Changed(0), "changed"),
        (Tool::Refinery, Spoilt::Gone(0), "missing"),
        (Tool::Dbmate, Spoilt::Gone(1), "missing"),
        (
            Tool::Dbmate,
            Spoilt::By("INSERT INTO schema_migrations VALUES ('20991231000000')"),
            "newer",
        ),
        (Tool::Goose, Spoilt::Gone(0), "missing"),
    ]
    .into_iter()
    .enumerate()
    {
        let site = at(bed, &format!("wrong_{number}"), tool);
        let name = |file: usize| tool.names()[file].clone();
        match how {
            Spoilt::By(sql) => drop(site.texts(sql)),
            Spoilt::Gone(file) => fs::remove_file(site.dir().join(name(file))).unwrap(),
            Spoilt::Changed(file) => site.file(&name(file), "CREATE TABLE other (id BIGINT);\n"),
        }
        let before = site.contents();
        let told = site.refused(&["adopt"]);
        assert!(
            told.contains(&format!("is {state} in the history of {}", tool.name())),
            "{tool:?} and not {state}: {told}"
        );
        assert_eq!(
            site.contents(),
            before,
            "{tool:?} {state}: something was written"
        );
        let told = site.refused(&["up"]);
        assert!(
            told.contains("chatctl migrate adopt"),
            "{tool:?} {state}: {told}"
        );
    }
}

/// Flyway numbers with dots, which sqlx's table has no room for.
fn what_sqlx_cannot_number_is_refused(bed: &TestBed) {
    let site = at(bed, "dots", Tool::Flyway);
    fs::rename(
        site.dir().join("V2__second.sql"),
        site.dir().join("V1_5__second.sql"),
    )
    .unwrap();
    site.texts("UPDATE flyway_schema_history SET version = '1.5', script = 'V1_5__second.sql' WHERE version = '2'");
    let before = site.contents();
    let told = site.refused(&["adopt"]);
    assert!(told.contains("`1.5` is not an integer"), "{told}");
    assert_eq!(site.contents(), before);
    assert!(site.refused(&["up"]).contains("was written by flyway"));
}

/// Whatever else writes the history would say that nothing of the tool's is applied.
fn another_tools_history_is_settled_by_adopt_alone(bed: &TestBed) {
    let site = at(bed, "others", Tool::Goose);
    let before = site.contents();
    for arguments in [
        &["baseline", "1"] as &[&str],
        &["repair", "--eol"],
        &["resolve", "1", "--as", "applied"],
    ] {
        let told = site.refused(arguments);
        assert!(
            told.contains("chatctl migrate adopt"),
            "{arguments:?}: {told}"
        );
        assert_eq!(site.contents(), before, "{arguments:?}");
    }
    assert_eq!(site.report(&["status"]).1, 10, "all of it is as it was");
    assert!(site.refused(&["plan"]).contains("was written by goose"));
}

fn no_history_at_all_asks_for_a_baseline(bed: &TestBed) {
    let site = bed.site("bare");
    site.file("1_first.sql", "CREATE TABLE conversation (id BIGINT);\n");
    site.file("2_second.sql", "CREATE TABLE note (id BIGINT);\n");
    site.texts("CREATE TABLE conversation (id BIGINT)");
    let told = site.refused(&["adopt"]);
    assert!(told.contains("chatctl migrate baseline VERSION"), "{told}");
    assert_eq!(site.tables(), ["conversation"]);
    site.passed(&["baseline", "1"]);
    let report = site.up();
    assert_eq!(report["cases"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!(site.status(), 0);
}

/// Two histories in one database: each tool would run what the other one has applied.
#[test]
fn a_history_of_sqlx_by_another_name_is_not_begun_again() {
    const OTHER: &str = "[migrate]\ntable-name = \"chat_migrations\"\n";
    const OWN: &str = "[migrate]\ntable-name = \"_sqlx_migrations\"\n";
    let named = "SELECT name FROM sqlite_master WHERE name LIKE '%\\_migrations' ESCAPE '\\'";
    for (setting, renames, exit) in [
        (Some(OTHER), true, 4),
        (Some(OTHER), false, 4),
        (None, true, 4),
        (Some(OWN), false, 0),
        (None, false, 0),
    ] {
        let store = Host::sqlite().store("named");
        if renames {
            let rename = "ALTER TABLE _sqlx_migrations RENAME TO chat_migrations";
            store.sqlite().execute_batch(rename).unwrap();
        }
        if let Some(text) = setting {
            fs::write(store.path("sqlx.toml"), text).unwrap();
        }
        let tables = store.backend.texts(&store.url, named);
        assert_eq!(tables.len(), 1);
        store.file("2_change.sql", "INSERT INTO runs VALUES (1);\n");
        let ended = store.up(&[]);
        assert_eq!(ended.exit, exit, "{setting:?} {renames}: {ended:?}");
        assert_eq!(store.backend.texts(&store.url, named), tables);
        if exit == 4 {
            let other = if renames || setting == Some(OTHER) {
                "chat_migrations"
            } else {
                ""
            };
            assert!(ended.errors.contains(other), "{ended:?}");
        }
    }
}
