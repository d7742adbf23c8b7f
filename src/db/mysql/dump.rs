//! Dumps of MySQL and MariaDB, by their own programs.

use super::catalog::quote;
use super::session;
use super::tools::{MYSQL, MYSQL_DUMP};
use crate::cli_error::CliError;
use crate::db::client_tools::{input, login, run};
use crate::db::dump::{Dump, Restore, wrong};
use crate::db::{Missing, Session, Target, Waits};
use crate::temporary::Folder;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

pub(super) static DUMP: Dump = Dump {
    ending: "sql",
    write,
    check,
    tables,
    restore: Restore::AfterTrial {
        outline,
        try_out,
        is_denied,
        leaves,
        load,
        newer,
    },
};

fn write(target: &Target, path: &Path) -> anyhow::Result<()> {
    // Former rows with their times: a restore without them would lose them for good.
    let history = has_history(target)?.then_some("--dump-history");
    dump(target, path, history)
}

/// Everything but the rows.
fn outline(target: &Target, path: &Path) -> anyhow::Result<()> {
    dump(target, path, Some("--no-data"))
}

fn dump(target: &Target, path: &Path, more: Option<&str>) -> anyhow::Result<()> {
    let login = login(target)?;
    let mut command = MYSQL_DUMP.command(&login)?;
    command.args([
        "--single-transaction",
        "--routines",
        "--triggers",
        "--hex-blob",
        // Under a lock of one table no default could read a sequence.
        "--skip-add-locks",
        // MySQL's program asks for statistics that older servers don't have.
        "--loose-column-statistics=0",
    ]);
    command.arg(format!("--result-file={}", path.display()));
    command.args(more).arg(login.database);
    run(&mut command).map_err(|error| match broken_view(target) {
        Some(view) => CliError::refused(error.message).hint(format!(
            "repair the view `{view}`, or drop it: a table, column or user that it names does not exist"
        )),
        None => error,
    })?;
    Ok(())
}

/// A view that can't be read, such as one of a table that was dropped: the server keeps it.
fn broken_view(target: &Target) -> Option<String> {
    let mut session = session::open(target, Missing::Look, Waits::SHORT).ok()?;
    let sql = "SELECT table_name FROM information_schema.views WHERE table_schema = database() ORDER BY 1";
    let names = session.rows(sql).ok()?;
    let mut names = names.iter().map(|row| row[0].to_string());
    names.find(|name| {
        let fields = format!("SHOW FIELDS FROM {}", session.quote(name));
        session.rows(&fields).is_err()
    })
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

fn tables(_: &Target, path: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    each_line(path, |line| {
        // A line of rows is long.
        let begin = String::from_utf8_lossy(&line[..line.len().min(400)]);
        found.extend(created(&begin));
        Ok(())
    })?;
    Ok(found)
}

/// The table that a line creates.
fn created(line: &str) -> Option<String> {
    let rest = after(line, "CREATE TABLE ")?;
    let rest = after(rest, "IF NOT EXISTS ").unwrap_or(rest);
    let name = match rest.strip_prefix('`') {
        Some(quoted) => quoted.split('`').next()?,
        None => rest.split([' ', '(', ';', '\n']).next()?,
    };
    Some(name.to_owned())
}

/// What is behind this word, however it is written.
fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let begin = text.get(..word.len())?;
    begin
        .eq_ignore_ascii_case(word)
        .then(|| &text[word.len()..])
}

fn load(target: &Target, from: &Path) -> anyhow::Result<()> {
    let login = login(target)?;
    let mut command = MYSQL.command(&login)?;
    // A row that broke a condition comes back as well; the dump itself turns foreign keys off.
    command.arg(
        "--init-command=SET SESSION foreign_key_checks = 0 /*M!100201 , check_constraint_checks = 0 */",
    );
    command.arg(&login.database).stdin(input(from)?);
    Ok(run(&mut command)?)
}

/// Loads a dump of one database into another one: the server writes the name of the database before
/// some columns of views and before sequences.
fn try_out(scratch: &Target, of: &Target, from: &Path) -> anyhow::Result<()> {
    let named = |target: &Target| format!("{}.", quote(&target.database()));
    let (own, other) = (named(of), named(scratch));
    let mut is_named = false;
    each_line(from, |line| {
        is_named |= renamed(line, &own, &other).is_some();
        Ok(())
    })?;
    if !is_named {
        return load(scratch, from);
    }
    let folder = Folder::new()?;
    let path = folder.path().join("dump.sql");
    let mut into = BufWriter::new(File::create(&path)?);
    each_line(from, |line| match renamed(line, &own, &other) {
        Some(text) => into.write_all(text.as_bytes()),
        None => into.write_all(line),
    })?;
    into.flush()?;
    load(scratch, &path)?;
    // The rows of all conversations were in it.
    Ok(folder.close()?)
}

/// A line that names a database with another one's name; none where it does not, or where it is of
/// rows.
fn renamed(line: &[u8], own: &str, other: &str) -> Option<String> {
    let text = std::str::from_utf8(line).ok()?;
    let is_of_schema = !text.starts_with("INSERT ") && !text.starts_with('(');
    (is_of_schema && text.contains(own)).then(|| text.replace(own, other))
}

/// 1044 and 1045 ER_*ACCESS_DENIED_ERROR, 1142 and 1143 ER_*ACCESS_DENIED_ERROR of a table and a
/// column, 1227 ER_SPECIFIC_ACCESS_DENIED_ERROR as for the definer of a view, 1370
/// ER_PROCACCESS_DENIED_ERROR, 1419 ER_BINLOG_CREATE_ROUTINE_NEED_SUPER.
fn is_denied(message: &str) -> bool {
    let numbers = [1044, 1045, 1142, 1143, 1227, 1370, 1419];
    numbers
        .iter()
        .any(|number| message.contains(&format!("ERROR {number} (")))
}

/// 1044 ER_DBACCESS_DENIED_ERROR of CREATE DATABASE and USE, 1142 ER_TABLEACCESS_DENIED_ERROR. A view may
/// read another database.
fn leaves(message: &str) -> bool {
    let writes = [
        "CREATE", "INSERT", "UPDATE", "DELETE", "DROP", "ALTER", "INDEX",
    ];
    let denied = |command: &&str| message.contains(&format!("{command} command denied"));
    let may_not_write = message.contains("ERROR 1142 (") && writes.iter().any(denied);
    message.contains("ERROR 1044 (") || may_not_write
}

fn each_line(
    path: &Path,
    mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        take(&line)?;
        line.clear();
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::{created, leaves, renamed};

    #[test]
    fn only_what_writes_elsewhere_leaves_the_database() {
        for (message, is) in [
            (
                "ERROR 1044 (42000) at line 2: Access denied for user 'a'@'h' to database 'other'",
                true,
            ),
            (
                "ERROR 1142 (42000) at line 9: CREATE command denied to user 'a'@'h' for table `o`.`t`",
                true,
            ),
            (
                "ERROR 1142 (42000) at line 9: SELECT command denied to user 'a'@'h' for table `o`.`t`",
                false,
            ),
            (
                "ERROR 1227 (42000) at line 9: Access denied; you need the SUPER privilege",
                false,
            ),
            (
                "ERROR 1050 (42S01) at line 9: Table 't' already exists",
                false,
            ),
        ] {
            assert_eq!(leaves(message), is, "{message}");
        }
    }

    #[test]
    fn a_dump_names_its_tables() {
        for (line, table) in [
            ("CREATE TABLE `my messages` (\n", Some("my messages")),
            (
                "create table if not exists messages(id int);\n",
                Some("messages"),
            ),
            ("INSERT INTO `messages` VALUES ('CREATE TABLE x');\n", None),
        ] {
            assert_eq!(created(line).as_deref(), table, "{line}");
        }
    }

    #[test]
    fn only_the_schema_gets_another_name() {
        let told = |line: &str| renamed(line.as_bytes(), "`a`.", "`b`.");
        assert_eq!(
            told("  `id` int DEFAULT nextval(`a`.`s`),").unwrap(),
            "  `id` int DEFAULT nextval(`b`.`s`),"
        );
        for line in ["  `a` int,", "INSERT INTO `t` VALUES ('`a`.`s`');"] {
            assert_eq!(told(line), None, "{line}");
        }
    }
}
