//! Dumps of MySQL and MariaDB, by their own programs.

use super::session;
use super::tools::{MYSQL, MYSQL_DUMP};
use crate::db::client_tools::{input, login, run};
use crate::db::dump::{Dump, Restore, wrong};
use crate::db::{Missing, Session, Target, Waits};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

pub(super) static DUMP: Dump = Dump {
    ending: "sql",
    write,
    check,
    restore: Restore::AfterTrial { load, newer },
};

fn write(target: &Target, path: &Path) -> anyhow::Result<()> {
    let login = login(target)?;
    let mut command = MYSQL_DUMP.command(&login)?;
    command.args([
        "--single-transaction",
        "--routines",
        "--triggers",
        "--hex-blob",
    ]);
    command.arg(format!("--result-file={}", path.display()));
    if has_history(target)? {
        // Former rows with their times: a restore without them would lose them for good.
        command.arg("--dump-history");
    }
    command.arg(login.database);
    Ok(run(&mut command)?)
}

/// Whether a database of MariaDB keeps the former versions of rows.
fn has_history(target: &Target) -> anyhow::Result<bool> {
    let mut session = session::open(target, Missing::Look, Waits::SHORT)?;
    let rows = session.rows(
        "SELECT 1 FROM information_schema.tables WHERE table_schema = database() AND table_type = 'SYSTEM VERSIONED' LIMIT 1",
    )?;
    Ok(!rows.is_empty())
}

fn check(_: &Target, path: &Path) -> anyhow::Result<()> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(200)))?;
    let mut end = String::new();
    file.take(200).read_to_string(&mut end)?;
    if !end.contains("-- Dump completed") {
        return Err(wrong(path, "is not complete"));
    }
    Ok(())
}

fn load(target: &Target, from: &Path) -> anyhow::Result<()> {
    let login = login(target)?;
    let mut command = MYSQL.command(&login)?;
    command.arg(&login.database).stdin(input(from)?);
    Ok(run(&mut command)?)
}

/// Statements that drop what the database has and the other one has not.
fn newer(session: &mut dyn Session, other: &str) -> anyhow::Result<Vec<String>> {
    let rows = session.rows(&format!(
        "SELECT CASE table_type WHEN 'VIEW' THEN 'VIEW' ELSE 'TABLE' END, table_name FROM information_schema.tables AS t \
         WHERE table_schema = database() AND NOT EXISTS (SELECT 1 FROM information_schema.tables AS o \
         WHERE o.table_schema = '{other}' AND o.table_name = t.table_name AND o.table_type = t.table_type) \
         UNION ALL SELECT routine_type, routine_name FROM information_schema.routines AS r \
         WHERE routine_schema = database() AND NOT EXISTS (SELECT 1 FROM information_schema.routines AS o \
         WHERE o.routine_schema = '{other}' AND o.routine_name = r.routine_name AND o.routine_type = r.routine_type)"
    ))?;
    let drops = rows.iter().map(|row| {
        let name = session.quote(&row[1].to_string());
        format!("DROP {} IF EXISTS {name}", row[0])
    });
    let unchecked = "SET SESSION foreign_key_checks = 0".to_owned();
    Ok([unchecked].into_iter().chain(drops).collect())
}
