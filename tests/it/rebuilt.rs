//! What PostgreSQL hangs on a table and a rebuild does not take along, and a table whose place a view takes.

use crate::common::backend::Backend;
use crate::common::servers::run_sql;
use crate::common::sites::{Site, TestBed};
use serde_json::Value;

const BEGIN: &str = "CREATE TABLE messages (id bigint PRIMARY KEY, role text, body text);
    INSERT INTO messages SELECT g, (ARRAY['user', 'ai'])[1 + g % 2], 'text ' || g FROM generate_series(1, 20) AS g;";

/// The warnings, each with all that it says.
fn warned(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().into_iter().flatten();
    let found = findings.filter(|it| it["severity"] == "warning");
    found.map(Value::to_string).collect()
}

/// An error with this code and subject.
#[track_caller]
fn refused(site: &Site, code: &str, subject: &str) {
    let (report, exit) = site.report(&["up"]);
    assert_eq!(exit, 1, "{report:#}");
    let mut findings = report["findings"].as_array().into_iter().flatten();
    let is_it = |it: &Value| it["code"] == code && it["subject"] == subject;
    assert!(findings.any(is_it), "{report:#}");
}

#[test]
fn rights_and_policies_that_a_rebuild_loses_are_named_on_postgres() {
    const GIVEN: &str = "GRANT SELECT, INSERT ON messages TO reader;
        ALTER TABLE messages ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON messages USING (true);";
    const REBUILD: &str =
        "CREATE TABLE new (LIKE messages INCLUDING ALL); INSERT INTO new SELECT * FROM messages;
        DROP TABLE messages; ALTER TABLE new RENAME TO messages;";
    const LOST: [&str; 3] = [
        "policy `own`",
        "row-level `security`",
        "`reader` could read",
    ];
    let bed = TestBed::new(Backend::Postgres);
    run_sql(&bed.site("roles").url, "CREATE ROLE reader LOGIN");
    for (name, change, lost) in [
        ("bare", REBUILD.to_owned(), &LOST[..]),
        ("given", format!("{REBUILD}{GIVEN}"), &[]),
        (
            "dropped",
            "DROP POLICY own ON messages; ALTER TABLE messages DISABLE ROW LEVEL SECURITY;"
                .to_owned(),
            &[],
        ),
        (
            "renamed",
            "ALTER TABLE messages RENAME TO message;".to_owned(),
            &[],
        ),
    ] {
        let site = bed.at(name, &[&format!("{BEGIN}{GIVEN}"), &change]);
        let said = warned(&site.up());
        for text in LOST {
            let is_said = said.iter().any(|it| it.contains(text));
            assert_eq!(is_said, lost.contains(&text), "{name}: {text}: {said:?}");
        }
    }
}

#[test]
fn a_view_of_all_rows_may_take_the_place_of_a_table_on_postgres() {
    const COPY: &str = "CREATE TABLE chat_messages (LIKE messages INCLUDING ALL);
        INSERT INTO chat_messages SELECT * FROM messages";
    const VIEW: &str = "DROP TABLE messages; CREATE VIEW messages AS SELECT * FROM chat_messages;";
    let bed = TestBed::new(Backend::Postgres);
    let site = bed.at("whole", &[BEGIN, &format!("{COPY}; {VIEW}")]);
    // The copy is all that is left of the users' rows, also in the same run.
    site.file("3_next.sql", "DELETE FROM chat_messages WHERE id = 1;");
    refused(&site, "rows-lost", "chat_messages");
    assert_eq!(site.texts("SELECT count(*)::text FROM messages"), ["20"]);

    let site = bed.at("part", &[BEGIN, &format!("{COPY} WHERE id > 1; {VIEW}")]);
    refused(&site, "rows-lost", "messages");
    let unlogged = COPY.replace("TABLE", "UNLOGGED TABLE");
    let site = bed.at("unlogged", &[BEGIN, &format!("{unlogged}; {VIEW}")]);
    refused(&site, "table-lost", "messages");
    let other = VIEW.replace("*", "id, role, upper(body) AS body");
    let site = bed.at("other", &[BEGIN, &format!("{COPY}; {other}")]);
    refused(&site, "values-changed", "messages.body");
}

/// A role that each session of the user gets by a setting has the rights that the user has not.
#[test]
fn chatctl_reads_as_the_role_that_a_session_begins_with_on_postgres() {
    let bed = TestBed::new(Backend::Postgres);
    run_sql(
        &bed.site("roles").url,
        "CREATE ROLE keeper; CREATE ROLE deploy LOGIN NOINHERIT IN ROLE keeper; CREATE ROLE guest LOGIN",
    );
    let mut site = bed.at(
        "owned",
        &[BEGIN, "UPDATE messages SET role = 'user' WHERE false;"],
    );
    run_sql(
        &site.url,
        "ALTER ROLE deploy SET role = 'keeper'; ALTER SCHEMA public OWNER TO keeper; \
         ALTER TABLE messages OWNER TO keeper; ALTER TABLE _sqlx_migrations OWNER TO keeper; \
         ALTER TABLE _chatctl_journal OWNER TO keeper; \
         GRANT ALL ON SCHEMA public TO guest; GRANT ALL ON _sqlx_migrations, _chatctl_journal TO guest",
    );
    let own = site.url.clone();
    site.url = own.replace("postgres@", "guest@");
    let (report, exit) = site.report(&["up"]);
    assert_eq!(exit, 1, "{report:#}");
    let said = report.to_string();
    assert!(
        said.contains("grant the user of --database-url"),
        "{report:#}"
    );
    site.url = own.replace("postgres@", "deploy@");
    site.up();
    // Whatever role a file takes.
    site.file(
        "3_next.sql",
        "SET ROLE keeper; DELETE FROM messages WHERE id = 1;",
    );
    refused(&site, "rows-lost", "messages");
}

/// pg_cron keeps its jobs in a table.
#[test]
fn jobs_that_delete_rows_later_are_found_on_postgres() {
    const CRON: &str = "CREATE SCHEMA cron;
        CREATE TABLE cron.job (jobid bigserial, command text, database text, active boolean DEFAULT true, jobname text);
        CREATE FUNCTION cron.schedule(name text, at text, command text) RETURNS void LANGUAGE sql AS
        'INSERT INTO cron.job (command, database, jobname) VALUES (command, current_database(), name)';";
    let bed = TestBed::new(Backend::Postgres);
    for (name, command, code) in [
        (
            "purges",
            "DELETE FROM messages WHERE id < 10",
            "destroys-later",
        ),
        ("counts", "SELECT count(*) FROM messages", ""),
    ] {
        let job = format!("SELECT cron.schedule('{name}', '0 3 * * *', '{command}');");
        let site = bed.at(name, &[&format!("{BEGIN}{CRON}"), &job]);
        if code.is_empty() {
            site.up();
        } else {
            refused(&site, code, "messages");
        }
    }
}
