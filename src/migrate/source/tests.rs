use super::{ALL, File, Folder, Settings, choose, parse};
use crate::cli_error::{CliError, Kind};
use crate::sql::Dialect;
use std::path::Path;

fn files(files: &[(&str, &str)]) -> Vec<File> {
    files
        .iter()
        .map(|(name, text)| File {
            name: (*name).to_owned(),
            bytes: text.as_bytes().to_vec(),
        })
        .collect()
}

fn folder(list: &[(&str, &str)]) -> Result<Folder, CliError> {
    parse(Path::new("db"), &files(list), None, Settings::default())
}

#[test]
fn the_contents_outweigh_the_names() {
    for (text, format) in [
        ("-- migrate:up\n-- migrate:down\n", "dbmate"),
        ("\u{FEFF}-- +goose Up\nA;\n", "goose"),
        ("-- Running upgrade  -> aa\nA;\n", "alembic"),
        (
            "-- Up Migration\nA;\n-- Down Migration\nB;\n",
            "node-pg-migrate",
        ),
        ("A;\n-- Down Migration\nB;\n", "node-pg-migrate"),
        ("-- +migrate Up\nA;\n", "sql-migrate"),
        ("A;\n---- create above / drop below ----\nB;\n", "tern"),
        ("A;\n-- //@UNDO\nB;\n", "mybatis"),
        ("-- rambler up\nA;\n-- rambler down\nB;\n", "rambler"),
        ("-- a note on migrate:up and +goose Up\nA;\n", "sqlx"),
    ] {
        let folder = folder(&[("1_a.sql", text)]).unwrap();
        assert_eq!(folder.format, format);
        assert!(folder.rivals.is_empty(), "{:?}", folder.rivals);
    }
}

#[test]
fn reversible_files_are_sqlx_s_unless_stated_otherwise() {
    let names = files(&[("1_a.up.sql", ""), ("1_a.down.sql", "")]);
    let choice = choose(&names, None).unwrap();
    assert_eq!(choice.format.name, "sqlx");
    assert_eq!(choice.rivals, ["golang-migrate"]);
    let choice = choose(&names, Some("golang-migrate")).unwrap();
    assert_eq!(choice.format.name, "golang-migrate");
}

#[test]
fn plain_v_files_are_flyway_s_and_a_lone_u_file_refinery_s() {
    let plain = folder(&[("V1__a.sql", "")]).unwrap();
    assert_eq!(plain.format, "flyway");
    assert_eq!(plain.rivals, ["refinery"]);
    let both = [("V1__a.sql", ""), ("U2__b.sql", "")];
    assert_eq!(folder(&both).unwrap().format, "refinery");
}

#[test]
fn an_unknown_format_is_answered_with_the_nearest() {
    let stop = choose(&[], Some("goos")).unwrap_err();
    assert_eq!(stop.hint.as_deref(), Some("did you mean `goose`?"));
    let stop = choose(&[], Some("xyz")).unwrap_err();
    assert!(stop.hint.unwrap().starts_with("one of "));
}

#[test]
fn names_of_no_format_are_distinguished_from_an_empty_folder() {
    let stop = folder(&[]).unwrap_err();
    assert_eq!(stop.message, "there is no migration in the folder");
    let others = [("foo.txt", ""), ("readme.md", "")];
    assert_eq!(
        folder(&others).unwrap_err().message,
        "there is no migration in the folder, only `foo.txt`, `readme.md`"
    );
    let stop = folder(&[("schema.sql", "")]).unwrap_err();
    assert!(stop.message.contains("`schema.sql`"), "{}", stop.message);
}

#[test]
fn a_folder_with_only_down_files_has_no_migration() {
    let stop = folder(&[("1_a.down.sql", "")]).unwrap_err();
    assert_eq!(stop.message, "`db` has no migration that sqlx would run");
}

#[test]
fn two_files_with_one_version_are_refused_by_name() {
    for pair in [["1_a.sql", "01_b.sql"], ["V1__a.sql", "x/V1.0__b.sql"]] {
        let stop = folder(&[(pair[0], ""), (pair[1], "")]).unwrap_err();
        assert_eq!(stop.kind, Kind::Refused);
        assert!(stop.message.contains(pair[0]), "{}", stop.message);
        assert!(stop.message.contains(pair[1]), "{}", stop.message);
    }
}

/// With a newer version the file that undoes would be run.
#[test]
fn a_file_that_undoes_is_not_advised_to_take_a_newer_version() {
    for name in [
        "1_a_down.sql",
        "1_a_rollback.sql",
        "1_a.undo.sql",
        "1_a_revert.sql",
    ] {
        let stop = folder(&[("1_a.sql", ""), (name, "")]).unwrap_err();
        let hint = stop.hint.unwrap();
        assert!(hint.contains(name) && hint.contains(".down.sql"), "{hint}");
        assert!(!hint.contains("newer version"), "{hint}");
    }
    let stop = folder(&[("1_a.sql", ""), ("1_b.sql", "")]).unwrap_err();
    assert!(stop.hint.unwrap().contains("newer version"));
}

#[test]
fn folders_of_directions_are_distinguished_from_the_files() {
    let stop = folder(&[("down/1_a.sql", ""), ("up/1_a.sql", "")]).unwrap_err();
    assert!(stop.hint.unwrap().contains("--dir"), "{}", stop.message);
}

#[test]
fn migrations_are_sorted_by_number_and_paths_are_in_the_folder() {
    let folder = folder(&[("10_b.sql", ""), ("9_a.sql", ""), ("x/1_c.sql", "")]).unwrap();
    let paths: Vec<_> = folder
        .migrations
        .iter()
        .map(|it| it.path.as_path())
        .collect();
    assert_eq!(paths, [Path::new("db/9_a.sql"), Path::new("db/10_b.sql")]);
    assert_eq!(folder.ignored[0].0, Path::new("db/x/1_c.sql"));
}

#[test]
fn a_version_is_found_as_the_user_writes_it() {
    let folder = folder(&[("0001_a.sql", ""), ("0012_b.sql", "")]).unwrap();
    assert_eq!(folder.version("1").unwrap().text(), "0001");
    let stop = folder.version("0021").unwrap_err();
    assert_eq!(stop.hint.as_deref(), Some("did you mean `0012`?"));
}

#[test]
fn every_format_refuses_what_is_not_utf8() {
    for format in ALL {
        let name = match format.name {
            "flyway" | "refinery" => "V1__a.sql",
            "golang-migrate" => "1_a.up.sql",
            "prisma" => "1_a/migration.sql",
            "diesel" => "1_a/up.sql",
            _ => "1_a.sql",
        };
        let journal = File {
            name: "meta/_journal.json".to_owned(),
            bytes: br#"{"entries":[{"idx":1,"when":1,"tag":"1_a"}]}"#.to_vec(),
        };
        let file = File {
            name: name.to_owned(),
            bytes: b"SELECT '\xff';".to_vec(),
        };
        let files = match format.name {
            "drizzle" => vec![journal, file],
            _ => vec![file],
        };
        let stop = (format.parse)(&files, &Settings::default()).unwrap_err();
        assert!(
            stop.message.contains("not UTF-8 from byte 8 on"),
            "{}",
            stop.message
        );
    }
}

/// A pending migration whose second part takes back the first is refused, whatever the folder is
/// taken for; an applied one is nobody's concern.
#[test]
fn a_file_with_both_directions_is_run_by_nobody() {
    for (text, line, way) in [
        ("-- why\nA;\n-- +goose Down\nB;\n", 3, "--source goose"),
        ("A;\n-- Rollback\nB;\n", 2, "reword the comment"),
        ("A;\n-- ==== DOWN ====\nB;\n", 2, "move the statements"),
    ] {
        let list = [("1_a.sql", text)];
        let folder = parse(
            Path::new("db"),
            &files(&list),
            Some("sqlx"),
            Settings::default(),
        )
        .unwrap();
        let unsupported = folder.migrations[0].unsupported.as_ref().unwrap();
        assert!(
            unsupported.why.starts_with(&format!("line {line} begins")),
            "{}",
            unsupported.why
        );
        assert!(
            unsupported.instead.as_ref().unwrap().contains(way),
            "{unsupported:?}"
        );
    }
    // The folder is goose's, and one file has the marks of another tool.
    let text = "-- +goose Up\nA;\n-- +migrate Down\nB;\n";
    assert!(
        folder(&[("1_a.sql", text)]).unwrap().migrations[0]
            .unsupported
            .is_some()
    );
    for format in ALL {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/formats")
            .join(format.name);
        for migration in super::read(&dir, Some(format.name)).unwrap().migrations {
            assert_eq!(migration.unsupported, None, "{:?}", migration.path);
        }
    }
}

#[test]
fn folders_with_one_time_are_both_there() {
    let list = [
        ("20240101120000_b/migration.sql", "B;"),
        ("20240101120000_a/migration.sql", "A;"),
        ("20240102000000_c/migration.sql", ""),
    ];
    let folder = folder(&list).unwrap();
    assert_eq!(folder.format, "prisma");
    let texts: Vec<_> = folder.migrations.iter().map(|it| it.up.as_str()).collect();
    assert_eq!(texts, ["A;", "B;", ""]);
    // A time means everything of that time; a name means itself.
    assert_eq!(
        folder.version("20240101120000").unwrap().text(),
        "20240101120000_b"
    );
    assert_eq!(
        folder.version("20240101120000_a").unwrap().text(),
        "20240101120000_a"
    );
    assert_eq!(
        folder.migrations[0].file_name(),
        "20240101120000_a/migration.sql"
    );
}

#[test]
fn a_folder_may_say_whose_sql_it_is() {
    let dialect = |list: &[(&str, &str)]| folder(list).unwrap().dialect;
    let one = ("1_a/migration.sql", "");
    for (provider, expected) in [
        ("postgresql", Some(Dialect::Postgres)),
        ("sqlite", Some(Dialect::Sqlite)),
        ("mysql", Some(Dialect::Mysql)),
        ("sqlserver", None),
    ] {
        let lock = format!("# no\nprovider = \"{provider}\"\n");
        assert_eq!(dialect(&[one, ("migration_lock.toml", &lock)]), expected);
    }
    assert_eq!(dialect(&[one]), None);
    let journal = "{\n  \"dialect\": \"sqlite\",\n  \"entries\": [{\"idx\": 0, \"when\": 1, \"tag\": \"0000_a\"}]\n}";
    assert_eq!(
        dialect(&[("meta/_journal.json", journal), ("0000_a.sql", "")]),
        Some(Dialect::Sqlite)
    );
    assert_eq!(
        dialect(&[("1_a.sql", "-- Up Migration\n")]),
        Some(Dialect::Postgres)
    );
}
