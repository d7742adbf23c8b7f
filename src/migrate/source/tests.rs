use super::ALL;
use super::File;
use super::Folder;
use super::Settings;
use super::choose;
use super::parse;
use crate::stop::Kind;
use crate::stop::Stop;
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

fn folder(list: &[(&str, &str)]) -> Result<Folder, Stop> {
    parse(Path::new("db"), &files(list), None, Settings::default())
}

#[test]
fn the_contents_outweigh_the_names() {
    for (text, format) in [
        ("-- migrate:up\n-- migrate:down\n", "dbmate"),
        ("\u{FEFF}-- +goose Up\nA;\n", "goose"),
        ("-- Running upgrade  -> aa\nA;\n", "alembic"),
        ("-- a note on migrate:up and +goose Up\nA;\n", "sqlx"),
    ] {
        let folder = folder(&[("1_a.sql", text)]).unwrap();
        assert_eq!(folder.format, format);
        assert!(folder.rivals.is_empty(), "{:?}", folder.rivals);
    }
}

#[test]
fn reversible_files_are_sqlx_s_until_told_otherwise() {
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
    assert!(stop.hint.unwrap().starts_with("there are: "));
}

#[test]
fn names_of_no_format_are_told_apart_from_an_empty_folder() {
    let stop = folder(&[("readme.md", "")]).unwrap_err();
    assert_eq!(stop.message, "there is no migration in the folder");
    let stop = folder(&[("schema.sql", "")]).unwrap_err();
    assert!(stop.message.contains("`schema.sql`"), "{}", stop.message);
    let stop = folder(&[("2024_a/up.sql", "")]).unwrap_err();
    assert!(
        stop.message.starts_with("a folder for each migration"),
        "{}",
        stop.message
    );
}

#[test]
fn a_folder_with_only_down_files_has_no_migration() {
    let stop = folder(&[("1_a.down.sql", "")]).unwrap_err();
    assert_eq!(
        stop.message,
        "there is no migration in `db` that sqlx would run"
    );
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
            _ => "1_a.sql",
        };
        let file = File {
            name: name.to_owned(),
            bytes: b"SELECT '\xff';".to_vec(),
        };
        let stop = (format.parse)(&[file], &Settings::default()).unwrap_err();
        assert!(
            stop.message.contains("not UTF-8 from byte 8 on"),
            "{}",
            stop.message
        );
    }
}
