use super::{ALL, History, Row, may_be_ours, recognise, recognise_in};
use crate::migrate::plan::{Applied, Reached};
use crate::migrate::source;
use crate::migrate::source::{File, Migration, Settings};
use crate::model::Shape;
use crate::sql::Dialect;
use std::path::Path;

/// The columns of each tool's table, as its own code creates it.
const TABLES: &[(&str, &str, &str)] = &[
    (
        "sqlx",
        "_sqlx_migrations",
        "version description installed_on success checksum execution_time",
    ),
    ("dbmate", "schema_migrations", "version"),
    (
        "goose",
        "goose_db_version",
        "id version_id is_applied tstamp",
    ),
    ("golang-migrate", "schema_migrations", "version dirty"),
    (
        "flyway",
        "flyway_schema_history",
        "installed_rank version description type script checksum installed_by installed_on execution_time success",
    ),
    (
        "refinery",
        "refinery_schema_history",
        "version name applied_on checksum",
    ),
    ("alembic", "alembic_version", "version_num"),
    (
        "prisma",
        "_prisma_migrations",
        "id checksum finished_at migration_name logs rolled_back_at started_at applied_steps_count",
    ),
    ("drizzle", "__drizzle_migrations", "id hash created_at"),
    ("diesel", "__diesel_schema_migrations", "version run_on"),
    ("node-pg-migrate", "pgmigrations", "id name run_on"),
    ("sql-migrate", "gorp_migrations", "id applied_at"),
    ("tern", "schema_version", "version"),
    ("mybatis", "changelog", "id applied_at description"),
    ("rambler", "migrations", "migration"),
];

fn table(name: &str, columns: &str) -> (String, Vec<String>) {
    (
        name.to_owned(),
        columns.split(' ').map(str::to_owned).collect(),
    )
}

fn history(tool: &str) -> &'static History {
    ALL.iter().find(|history| history.tool == tool).unwrap()
}

fn rows(rows: &[&[&str]]) -> Vec<Row> {
    rows.iter()
        .map(|row| {
            row.iter()
                .map(|text| (*text != "NULL").then(|| (*text).to_owned()))
                .collect()
        })
        .collect()
}

fn files(names: &[(&str, &str)], format: &str) -> Vec<Migration> {
    let files: Vec<_> = names
        .iter()
        .map(|(name, text)| File {
            name: (*name).to_owned(),
            bytes: text.as_bytes().to_vec(),
        })
        .collect();
    let dir = Path::new("migrations");
    source::parse(dir, &files, Some(format), Settings::default())
        .unwrap()
        .migrations
}

fn applied(tool: &str, cells: &[&[&str]], files: &[Migration]) -> Vec<Applied> {
    history(tool).applied(&rows(cells), files).unwrap()
}

fn versions(applied: &[Applied]) -> Vec<&str> {
    applied.iter().map(|row| row.version.text()).collect()
}

#[test]
fn every_table_is_recognized_as_its_own_tool() {
    for (tool, name, columns) in TABLES {
        for name in [(*name).to_owned(), format!("public.{name}")] {
            let found = recognise(&[table("chat", "id title"), table(&name, columns)]);
            assert_eq!(found.len(), 1, "{name}");
            assert_eq!(found[0].history.tool, *tool);
            assert_eq!(found[0].table, name);
        }
    }
}

#[test]
fn supabase_s_history_is_known_by_its_schema_and_those_of_its_services_are_left_alone() {
    let found = recognise(&[
        table("auth.schema_migrations", "version"),
        table(
            "supabase_migrations.schema_migrations",
            "version statements name",
        ),
    ]);
    let found: Vec<_> = found
        .iter()
        .map(|it| (it.history.tool, it.table.as_str()))
        .collect();
    assert_eq!(
        found,
        [("supabase", "supabase_migrations.schema_migrations")]
    );
}

#[test]
fn a_renamed_table_is_recognized_by_its_columns() {
    let found = recognise(&[table("steps", "id version_id is_applied tstamp")]);
    assert_eq!(found[0].history.tool, "goose");
    // A single column `version` says too little.
    assert!(recognise(&[table("steps", "version")]).is_empty());
}

#[test]
fn the_tables_of_other_tools_are_not_taken_for_dbmate_s() {
    let rails = [
        table("schema_migrations", "version"),
        table("ar_internal_metadata", "key value created_at updated_at"),
    ];
    assert!(recognise(&rails).is_empty());
    assert!(recognise(&[table("schema_migrations", "version inserted_at")]).is_empty());
}

#[test]
fn every_history_has_a_format_and_every_select_names_its_columns() {
    for history in ALL {
        // Supabase's files are named as sqlx's are.
        let format = source::ALL.iter().any(|format| format.name == history.tool);
        assert!(format || history.tool == "supabase", "{}", history.tool);
    }
    assert_eq!(
        history("golang-migrate").select(Dialect::Mysql, "`schema_migrations`"),
        "SELECT CAST(`version` AS CHAR), CAST(`dirty` AS CHAR) FROM `schema_migrations` ORDER BY `version`"
    );
    let select = history("sqlx").select(Dialect::Postgres, "\"_sqlx_migrations\"");
    assert!(select.contains("encode(\"checksum\", 'hex')"), "{select}");
    let select = history("sqlx").select(Dialect::Sqlite, "_sqlx_migrations");
    assert!(select.contains("hex(\"checksum\")"), "{select}");
}

#[test]
fn sqlx_rows_are_taken_as_they_are() {
    let files = files(&[("1_a.sql", "SELECT 1;")], "sqlx");
    let hex: String = files[0]
        .checksum
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let row: &[&str] = &["1", "a", "2024-01-01 00:00:00", "0", &hex, "1234"];
    let found = applied("sqlx", &[row], &files);
    assert_eq!(found[0].checksum, files[0].checksum);
    assert_eq!(found[0].reached, Reached::Unknown);
    assert_eq!(found[0].execution_ns, 1234);
    assert!(
        history("sqlx")
            .applied(&rows(&[&["1", "a", "x", "1", "0g", "1"]]), &[])
            .is_err()
    );
}

#[test]
fn prisma_rows_are_names_and_what_was_rolled_back_is_none() {
    let files = files(
        &[
            ("20240101120000_a/migration.sql", "A;\r\n"),
            ("20240101120000_b/migration.sql", "B;\n"),
            ("20240102000000_c/migration.sql", "C;\n"),
        ],
        "prisma",
    );
    // SHA-256 of `A;` and a line end LF, by `sha256sum`.
    let lf = "8b936c8da13cd9b1f6cc8fe3d95e5807cfed868795ff28b4493d85494fb89004";
    let found = applied(
        "prisma",
        &[
            &["20240101120000_a", lf, "2024-01-01 12:00:00", "NULL"],
            &["20240101120000_b", "x", "NULL", "2024-01-01 13:00:00"],
            &["20240101120000_b", "x", "NULL", "NULL"],
            &["20231231000000_gone", "x", "2023-12-31 00:00:00", "NULL"],
        ],
        &files,
    );
    let states: Vec<_> = found
        .iter()
        .map(|row| (row.version.text(), row.reached == Reached::End))
        .collect();
    assert_eq!(
        states,
        [
            ("20231231000000_gone", true),
            ("20240101120000_a", true),
            ("20240101120000_b", false)
        ]
    );
    assert_eq!(
        found[1].checksum, files[0].checksum,
        "line ends do not count"
    );
    assert_ne!(found[2].checksum, files[1].checksum);
}

/// chatctl's own history has numbers for the names.
#[test]
fn the_numbers_of_names_lead_back_to_their_files() {
    let files = files(
        &[
            ("20240101120000_a/migration.sql", "A;"),
            ("20240101120000_b/migration.sql", "B;"),
        ],
        "prisma",
    );
    let number = |file: &Migration| file.version.as_number().unwrap().to_string();
    let (first, second) = (number(&files[0]), number(&files[1]));
    let cells = [&second, &first, "2023010100000012345"]
        .map(|number| [number, "x", "t", "1", "00", "1"].map(str::to_owned));
    let cells: Vec<Vec<&str>> = cells
        .iter()
        .map(|row| row.iter().map(String::as_str).collect())
        .collect();
    let cells: Vec<&[&str]> = cells.iter().map(Vec::as_slice).collect();
    let found = applied("sqlx", &cells, &files);
    assert_eq!(
        versions(&found),
        [
            "2023010100000012345",
            "20240101120000_a",
            "20240101120000_b"
        ]
    );
}

#[test]
fn drizzle_rows_are_the_journal_s_times_or_the_hashes() {
    let journal = r#"{"entries":[{"idx":0,"when":1704067200000,"tag":"0000_a"},{"idx":1,"when":1704153600000,"tag":"0001_b"}]}"#;
    let files = files(
        &[
            ("meta/_journal.json", journal),
            ("0000_a.sql", "A;\n"),
            ("0001_b.sql", "B;\n"),
        ],
        "drizzle",
    );
    let hash = &(history("drizzle").checksums)(&files[0])[0];
    let hash = String::from_utf8(hash.clone()).unwrap();
    let found = applied(
        "drizzle",
        &[&[&hash, "1704067200000"], &["edited", "1704153600000"]],
        &files,
    );
    assert_eq!(versions(&found), ["0000", "0001"]);
    assert_eq!(found[0].checksum, files[0].checksum);
    assert_ne!(found[1].checksum, files[1].checksum);
    // Without the journal the hash tells.
    let found = applied("drizzle", &[&[&hash, "7"]], &files);
    assert_eq!(versions(&found), ["0000"]);
}

#[test]
fn rows_that_are_file_names_lead_to_the_files() {
    for (tool, name, row) in [
        (
            "node-pg-migrate",
            "1704067200000_add-chat.sql",
            "1704067200000_add-chat",
        ),
        ("sql-migrate", "1-add.sql", "1-add.sql"),
        ("rambler", "1_add.sql", "1_add.sql"),
    ] {
        let text = "-- +migrate Up\n";
        let text = if tool == "rambler" {
            "-- rambler up\n"
        } else {
            text
        };
        let files = files(&[(name, text)], tool);
        let found = applied(
            tool,
            &[&[row, "2024-01-01"], &["7_other", "2024-01-01"]],
            &files,
        );
        assert_eq!(found.len(), 2);
        assert!(
            found.iter().any(|it| it.version == files[0].version),
            "{tool}"
        );
        assert!(
            found.iter().any(|it| it.version.text() == "7"),
            "{tool}: {:?}",
            versions(&found)
        );
    }
}

#[test]
fn diesel_mybatis_and_supabase_rows_are_versions_and_tern_s_a_position() {
    let diesel = files(&[("2024-01-01-120000_a/up.sql", "A;")], "diesel");
    let found = applied("diesel", &[&["20240101120000", "2024-01-01"]], &diesel);
    assert_eq!(found[0].version, diesel[0].version);
    assert_eq!(
        versions(&applied(
            "mybatis",
            &[&["20240101120000", "add chat", "x"]],
            &[]
        )),
        ["20240101120000"]
    );
    assert_eq!(
        versions(&applied("supabase", &[&["20240101120000"]], &[])),
        ["20240101120000"]
    );
    let tern = files(
        &[
            ("001_a.sql", "A;"),
            ("002_b.sql", "B;"),
            ("003_c.sql", "C;"),
        ],
        "tern",
    );
    assert_eq!(versions(&applied("tern", &[&["2"]], &tern)), ["001", "002"]);
}

#[test]
fn dbmate_rows_are_versions() {
    let found = applied("dbmate", &[&["20240101"], &["20240102"]], &[]);
    assert_eq!(versions(&found), ["20240101", "20240102"]);
    assert!(history("dbmate").applied(&rows(&[&["abc"]]), &[]).is_err());
}

#[test]
fn with_goose_the_newest_row_of_a_version_decides() {
    let log: &[&[&str]] = &[
        &["0", "1", "x"],
        &["1", "true", "x"],
        &["2", "1", "x"],
        &["2", "0", "x"],
        &["3", "0", "x"],
        &["3", "1", "2024-01-01"],
    ];
    let found = applied("goose", log, &[]);
    assert_eq!(versions(&found), ["1", "3"]);
    assert_eq!(found[1].installed_on.as_deref(), Some("2024-01-01"));
}

#[test]
fn golang_migrate_holds_a_position() {
    let files = files(
        &[("1_a.up.sql", ""), ("2_b.up.sql", ""), ("3_c.up.sql", "")],
        "golang-migrate",
    );
    let found = applied("golang-migrate", &[&["2", "t"]], &files);
    assert_eq!(versions(&found), ["1", "2"]);
    assert_eq!(
        (found[0].reached, found[1].reached),
        (Reached::End, Reached::Unknown)
    );
    assert!(applied("golang-migrate", &[], &files).is_empty());
    assert!(
        history("golang-migrate")
            .applied(&rows(&[&["1", "f"], &["2", "f"]]), &[])
            .is_err()
    );
}

#[test]
fn alembic_heads_stand_for_all_that_they_follow() {
    let text = "-- Running upgrade zz -> aa\nA;\n-- Running upgrade aa -> bb\nB;\n\
        -- Running upgrade aa -> cc\nC;\n-- Running upgrade bb, cc -> dd\nD;\n";
    let files = files(&[("all.sql", text)], "alembic");
    assert_eq!(
        versions(&applied("alembic", &[&["bb"]], &files)),
        ["aa", "bb"]
    );
    assert_eq!(versions(&applied("alembic", &[&["dd"]], &files)).len(), 4);
    // `zz` lies before the first file, so that nothing is missing; `qq` is nowhere.
    assert!(applied("alembic", &[&["zz"]], &files).is_empty());
    assert_eq!(versions(&applied("alembic", &[&["qq"]], &files)), ["qq"]);
}

#[test]
fn flyway_rows_are_a_log_with_types() {
    let files = files(
        &[
            ("V1__a.sql", "A;\r\n"),
            ("V2__b.sql", "B;\n"),
            ("V3__c.sql", "C;\n"),
        ],
        "flyway",
    );
    let crc = super::flyway::crc_of_lines(b"A;").to_string();
    let found = applied(
        "flyway",
        &[
            &[
                "NULL",
                "<< Flyway Schema Creation >>",
                "SCHEMA",
                "NULL",
                "x",
                "0",
                "1",
            ],
            &["1", "a", "SQL", &crc, "x", "5", "1"],
            &["2", "b", "SQL", "1", "x", "5", "1"],
            &["NULL", "view", "SQL", "7", "x", "5", "1"],
            &["3", "c", "SQL", "1", "x", "5", "1"],
            &["3", "c", "UNDO_SQL", "1", "x", "5", "1"],
        ],
        &files,
    );
    assert_eq!(versions(&found), ["1", "2"]);
    // The line ends do not count with Flyway, an edit does.
    assert_eq!(found[0].checksum, files[0].checksum);
    assert_ne!(found[1].checksum, files[1].checksum);
    assert_eq!(found[0].execution_ns, 5_000_000);
}

#[test]
fn a_flyway_baseline_covers_the_files_below() {
    let files = files(
        &[("V1__a.sql", ""), ("V2__b.sql", ""), ("V3__c.sql", "")],
        "flyway",
    );
    let row: &[&str] = &[
        "2",
        "<< Flyway Baseline >>",
        "BASELINE",
        "NULL",
        "x",
        "0",
        "1",
    ];
    assert_eq!(versions(&applied("flyway", &[row], &files)), ["1", "2"]);
}

/// The check value of CRC-32 for the digits 1 to 9.
#[test]
fn the_checksum_of_flyway_is_crc_32() {
    let found = super::flyway::crc_of_lines("\u{FEFF}1234\r\n56789\n".as_bytes());
    assert_eq!(found.cast_unsigned(), 0xCBF4_3926);
}

#[test]
fn a_refinery_row_is_compared_with_its_own_checksum() {
    let files = files(&[("V1__add_chat.sql", "SELECT 1;\n")], "refinery");
    let hash = super::refinery::hash(
        "add_chat",
        |hasher| std::hash::Hash::hash(&1_i32, hasher),
        "SELECT 1;\n",
    );
    // Made by hand with the standard library of Rust 1.95, whose hash gave refinery's own published values.
    assert_eq!(hash, 17_790_076_940_669_809_898);
    let row: &[&str] = &["1", "add_chat", "2024-01-01T00:00:00Z", &hash.to_string()];
    let found = applied("refinery", &[row], &files);
    assert_eq!(found[0].checksum, files[0].checksum);
    let row: &[&str] = &["1", "add_chat", "2024-01-01T00:00:00Z", "1"];
    assert_ne!(
        applied("refinery", &[row], &files)[0].checksum,
        files[0].checksum
    );
}

#[test]
fn a_history_is_where_bare_names_lead_or_in_the_schema_of_its_tool() {
    let is_ours = |schema: &str, name: &str| {
        may_be_ours(&Shape {
            schema: schema.to_owned(),
            table: name.to_owned(),
            bare: schema == "app",
            ..Shape::default()
        })
    };
    for (_, name, _) in TABLES {
        assert!(is_ours("app", name), "{name}");
        assert!(!is_ours("billing", name), "{name}");
    }
    // A schema behind the one where new tables are made.
    assert!(may_be_ours(&Shape {
        on_path: true,
        ..Shape::default()
    }));
    assert!(is_ours("drizzle", "__drizzle_migrations"));
    assert!(is_ours("supabase_migrations", "schema_migrations"));
    assert!(!is_ours("drizzle", "_sqlx_migrations"));
}

#[test]
fn a_table_called_as_that_of_a_tool_for_postgres_is_the_application_s_own_elsewhere() {
    for (name, columns, tool) in [
        ("schema_version", "version", "tern"),
        ("pgmigrations", "id name run_on", "node-pg-migrate"),
    ] {
        let tables = [table(name, columns)];
        let found = |dialect| recognise_in(&tables, dialect);
        assert_eq!(found(Dialect::Postgres)[0].history.tool, tool);
        assert!(found(Dialect::Sqlite).is_empty() && found(Dialect::Mysql).is_empty());
    }
    let goose = [table("goose_db_version", "id version_id is_applied tstamp")];
    assert_eq!(recognise_in(&goose, Dialect::Sqlite).len(), 1);
}
