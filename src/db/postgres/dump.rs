//! Dumps of PostgreSQL, by its own programs.

use super::tools::{PG_DUMP, PG_RESTORE, PSQL};
use crate::db::Target;
use crate::db::client_tools::{login, run};
use crate::db::dump::{Dump, Restore, unusable};
use crate::temporary::Folder;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;

pub(super) static DUMP: Dump = Dump {
    ending: "dump",
    write,
    check,
    tables,
    restore: Restore::AtOnce(|target, from| {
        Ok(restore(target, from).map_err(|error| unusable(&error))?)
    }),
};

pub(super) fn write(target: &Target, path: &Path) -> anyhow::Result<()> {
    let login = login(target)?;
    let mut command = PG_DUMP.command(&login)?;
    command
        .arg("--format=custom")
        .arg("--lock-wait-timeout=60000")
        .arg("--file")
        .arg(path);
    command.arg(login.database);
    Ok(run(&mut command)?)
}

pub(super) fn check(target: &Target, path: &Path) -> anyhow::Result<()> {
    // Without a database it lists what is in the file.
    let mut command = PG_RESTORE.command(&login(target)?)?;
    Ok(run(command.arg("--list").arg(path))?)
}

fn tables(target: &Target, path: &Path) -> anyhow::Result<BTreeSet<String>> {
    let folder = Folder::new()?;
    let list = folder.path().join("list");
    let mut command = PG_RESTORE.command(&login(target)?)?;
    run(command.arg("--list").arg("--file").arg(&list).arg(path))?;
    let listed = listed(&std::fs::read_to_string(&list)?);
    folder.close()?;
    Ok(listed)
}

/// The tables in such a list: `215; 1259 16390 TABLE public messages postgres`.
fn listed(list: &str) -> BTreeSet<String> {
    let named = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, _, _, "TABLE", schema, name @ .., _] = &words[..] else {
            return None;
        };
        (*schema != "DATA" && !name.is_empty()).then(|| name.join(" "))
    };
    list.lines().filter_map(named).collect()
}

/// Loads a dump into an empty database.
pub(super) fn load(target: &Target, path: &Path) -> anyhow::Result<()> {
    let login = login(target)?;
    let mut command = PG_RESTORE.command(&login)?;
    command.args(["--single-transaction", "--exit-on-error", "--no-owner"]);
    command.arg(format!("--dbname={}", login.database));
    Ok(run(command.arg(path))?)
}

/// Drops what belongs to no extension; what hangs on it, such as a trigger, goes with it.
const DROP_ALL: &str = r"
SET TRANSACTION READ WRITE;
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
fn restore(target: &Target, from: &Path) -> anyhow::Result<()> {
    let login = &login(target)?;
    let folder = Folder::new()?;
    let before = folder.path().join("before.sql");
    std::fs::write(&before, DROP_ALL)?;
    // Written as a whole first: of a backup that ends too early nothing is run.
    let script = folder.path().join("script.sql");
    let mut command = PG_RESTORE.command(login)?;
    command.args(["--clean", "--if-exists", "--exit-on-error", "--no-owner"]);
    command.arg("--file").arg(&script).arg(from);
    run(&mut command)?;
    let play = |script: &Path| {
        let mut command = PSQL.command(login)?;
        command.args(["--no-psqlrc", "--quiet", "--single-transaction"]);
        command.arg("--set=ON_ERROR_STOP=1");
        command.arg(format!("--dbname={}", login.database));
        for file in [before.as_path(), script] {
            command.arg("--file").arg(file);
        }
        run(&mut command)
    };
    if let Err(error) = play(&script) {
        // A function of an index, a condition or a view may name what only the database's own path
        // finds.
        let found = folder.path().join("found.sql");
        if !with_own_path(&script, &found)? || play(&found).is_err() {
            return Err(error.into());
        }
    }
    // The rows of all conversations were in it.
    Ok(folder.close()?)
}

/// The statement of a dump's head that hides every name but the catalogue's.
const NO_PATH: &[u8] = b"SELECT pg_catalog.set_config('search_path', '', false);\n";

/// Writes a script again without that statement; whether there was one.
fn with_own_path(script: &Path, into: &Path) -> anyhow::Result<bool> {
    let mut lines = BufReader::new(File::open(script)?);
    let mut into = BufWriter::new(File::create(into)?);
    let mut line = Vec::new();
    // All of the head is before the first object.
    while lines.read_until(b'\n', &mut line)? > 0 && line != NO_PATH {
        into.write_all(&line)?;
        line.clear();
    }
    std::io::copy(&mut lines, &mut into)?;
    into.flush()?;
    Ok(line == NO_PATH)
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn tables_are_named_in_the_list_of_a_dump() {
        let list = "; Archive created at 2026-12-01\n\
            215; 1259 16390 TABLE public messages postgres\n\
            216; 1259 16391 TABLE chat two words postgres\n\
            3350; 0 16390 TABLE DATA public other postgres\n\
            3201; 2606 16395 CONSTRAINT public messages messages_pkey postgres\n";
        let names: Vec<_> = listed(list).into_iter().collect();
        assert_eq!(names, ["messages", "two words"]);
    }
}
