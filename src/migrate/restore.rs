//! A database becomes what it was when a backup was made: what came since goes too, for it would
//! keep a migration from making it again.

use super::backup::{check, refused};
use super::scratch::Scratch;
use super::tools;
use crate::db;
use crate::db::{Missing, Session, Target, Waits};
use crate::model::Engine;
use crate::stop::Stop;
use crate::temporary::Folder;
use std::path::Path;

/// Makes the database what it was when the backup was made.
pub fn restore(target: &Target, from: &Path) -> anyhow::Result<()> {
    if !from.is_file() {
        return Err(
            Stop::refused(format!("there is no backup `{}`", from.display()))
                .hint("`chatctl migrate history` lists the runs and their backups")
                .into(),
        );
    }
    let no_good =
        |error: anyhow::Error| refused("the backup can't be used, so nothing was changed", &error);
    check(target, from).map_err(no_good)?;
    match target.engine() {
        Engine::Sqlite => db::overwrite(target, from),
        Engine::Postgres => Ok(postgres(target, from).map_err(no_good)?),
        Engine::Mysql => mysql(target, from),
    }
}

/// Drops what belongs to no extension; what hangs on it, such as a trigger, goes with it.
const DROP_ALL: &str = r"
DO $chatctl$
DECLARE it text;
BEGIN
    FOREACH it IN ARRAY ARRAY(
        SELECT format('DROP %s IF EXISTS %s CASCADE', what, name) FROM (
            SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS what,
                format('%I.%I', n.nspname, c.relname) AS name, c.oid, n.nspname, c.relkind = 'S' AS late
            FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S')
            UNION ALL
            SELECT 'ROUTINE', p.oid::regprocedure::text, p.oid, n.nspname, true
            FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
            UNION ALL
            SELECT 'TYPE', format('%I.%I', n.nspname, t.typname), t.oid, n.nspname, true
            FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace LEFT JOIN pg_class AS c ON c.oid = t.typrelid
            WHERE t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c'
        ) AS found
        WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'
            AND NOT EXISTS (SELECT 1 FROM pg_depend AS x WHERE x.objid = found.oid AND x.deptype = 'e')
        ORDER BY late
    )
    LOOP
        EXECUTE it;
    END LOOP;
END
$chatctl$;
";

/// All of it in one transaction: the one thing that `pg_restore` can't do itself is to drop what it
/// does not know.
fn postgres(target: &Target, from: &Path) -> anyhow::Result<()> {
    let login = &tools::login(target)?;
    let folder = Folder::new()?;
    let before = folder.path().join("before.sql");
    std::fs::write(&before, DROP_ALL)?;
    // Written as a whole first: of a backup that ends too early nothing is run.
    let script = folder.path().join("script.sql");
    let mut command = tools::PG_RESTORE.command(login)?;
    command.args(["--clean", "--if-exists", "--exit-on-error", "--no-owner"]);
    command.arg("--file").arg(&script).arg(from);
    tools::run(&mut command)?;
    let mut command = tools::PSQL.command(login)?;
    command.args(["--no-psqlrc", "--quiet", "--single-transaction"]);
    command.arg("--set=ON_ERROR_STOP=1");
    command.arg(format!("--dbname={}", login.database));
    for file in [&before, &script] {
        command.arg("--file").arg(file);
    }
    tools::run(&mut command)?;
    // The rows of all conversations were in it.
    Ok(folder.close()?)
}

/// Nothing can be taken back here, so a backup must work on an empty database first.
fn mysql(target: &Target, from: &Path) -> anyhow::Result<()> {
    let mut session = db::open_session(target, Missing::Fail, Waits::SHORT)?;
    let scratch = Scratch::empty(session.as_mut(), target)?;
    let tried = load(&scratch.target, from).map_err(anyhow::Error::from);
    let newer = tried.and_then(|()| newer(session.as_mut(), &scratch.target.database()));
    scratch.remove(session.as_mut())?;
    let newer = newer
        .map_err(|error| refused("the backup can't be used, so nothing was changed", &error))?;
    session.command("SET SESSION foreign_key_checks = 0")?;
    for drop in newer {
        session.command(&drop)?;
    }
    drop(session);
    Ok(load(target, from)?)
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
    Ok(drops.collect())
}

fn load(target: &Target, from: &Path) -> Result<(), Stop> {
    let login = tools::login(target)?;
    let mut command = tools::MYSQL.command(&login)?;
    command.arg(&login.database).stdin(tools::input(from)?);
    tools::run(&mut command)
}
