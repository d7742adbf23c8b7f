//! Filling a copy of a database of MySQL: of one moment, and without a lock for others to wait for.

use super::{READ_ROUTINES, UNREADABLE};
use crate::cli_error::CliError;
use crate::db::mysql::catalog::quote;
use crate::db::scratch::{CONFINE, Extent, Scratch};
use crate::db::{Failed, Session};
use crate::model::{Cell, Shape};
use crate::text::hex;

impl Scratch {
    /// Fills it in plain statements: the tables first, then their rows, then what runs by itself.
    /// The session is one of the real database.
    pub fn fill(
        &self,
        session: &mut dyn Session,
        copy: &mut dyn Session,
        extent: &Extent<'_>,
    ) -> anyhow::Result<()> {
        let real = session.rows("SELECT database()")?[0][0].to_string();
        let (real, scratch) = (quote(&real), quote(&self.target.database()));
        loosen(session)?;
        let wanted = |name: &str| extent.tables.is_none_or(|tables| tables.contains(name));
        let all = session.rows("SHOW FULL TABLES")?;
        let (views, mut tables): (Vec<_>, Vec<_>) = all
            .iter()
            .map(|row| (row[0].to_string(), row[1].to_string()))
            .partition(|(_, kind)| kind == "VIEW");
        // The default of a column may count by one.
        tables.sort_by_key(|(_, kind)| kind != SEQUENCE);
        for (name, kind) in tables
            .iter()
            .filter(|(name, kind)| wanted(name) || kind == SEQUENCE)
        {
            let is_sequence = kind == SEQUENCE;
            // As a table it would forget which way it counts.
            let what = if is_sequence { SEQUENCE } else { "TABLE" };
            let made = session.rows(&format!("SHOW CREATE {what} {}", quote(name)))?;
            let mut made = made[0][1].to_string();
            if is_sequence {
                made.push_str(&counted(session, name)?);
            }
            let made = made.replace(&format!("nextval({real}."), "nextval(");
            session.command(&format!("USE {scratch}; {made}"))?;
        }
        session.command(&format!("USE {real}"))?;
        let shapes: Vec<_> = session
            .catalog()?
            .into_iter()
            .filter(|shape| !shape.parted && wanted(&shape.name))
            .collect();
        let way = Way::of(session)?;
        // In no other zone is each time of day there once.
        session.command("SET SESSION time_zone = '+00:00'")?;
        if shapes.iter().any(|shape| shape.period.is_some()) {
            // Older servers keep what was, but let nobody write it.
            session
                .command("SET SESSION system_versioning_insert_history = 1")
                .map_err(|failed| {
                    CliError::refused(format!(
                        "former versions of rows can't be copied: {}",
                        failed.message
                    ))
                    .hint("a table with system versioning needs MariaDB 10.11 or newer")
                })?;
        }
        session.command(way.begin())?;
        for shape in &shapes {
            let limit = (extent.rows)(session.size(&shape.name)?);
            let list = columns(shape, way);
            let from = rows_of(shape, (&list, way), &real, limit);
            let into = format!("{scratch}.{}", quote(&shape.name));
            // By the connection that may read the real one.
            session.command(&way.copy(&list, &from, &into))?;
        }
        session.command("COMMIT")?;
        if extent.tables.is_none() {
            let views = views.into_iter().map(|(name, _)| name).collect();
            code(session, copy, (&real, self.lets_in), views)?;
        }
        Ok(tighten(session)?)
    }
}

/// What the server calls a sequence.
const SEQUENCE: &str = "SEQUENCE";

/// The statement that lets the copy of a sequence continue where the real one does.
fn counted(session: &mut dyn Session, name: &str) -> anyhow::Result<String> {
    let name = quote(name);
    // One that has come to its end has given that number.
    let state = session.rows(&format!(
        "SELECT least(greatest(next_not_cached_value, minimum_value), maximum_value), \
         next_not_cached_value NOT BETWEEN minimum_value AND maximum_value FROM {name}"
    ))?;
    Ok(format!(
        "; DO setval({name}, {}, {})",
        state[0][0], state[0][1]
    ))
}

/// How rows are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Row by row from a cursor, whose SELECT is one in a transaction's snapshot, and so locks
    /// nothing; INSERT … SELECT would read the newest rows, and lock them or be of its own moment.
    Snapshot,
    /// By INSERT … SELECT: MySQL has blocks in routines only. Each table is of its own moment.
    Tables,
}

impl Way {
    fn of(session: &mut dyn Session) -> anyhow::Result<Self> {
        let version = session.rows("SELECT version()")?[0][0].to_string();
        Ok(if version.contains("MariaDB") {
            Self::Snapshot
        } else {
            Self::Tables
        })
    }

    const fn begin(self) -> &'static str {
        match self {
            Self::Snapshot => {
                "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH CONSISTENT SNAPSHOT"
            }
            Self::Tables => "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        }
    }

    fn copy(self, list: &[String], from: &str, into: &str) -> String {
        let columns = list.join(", ");
        match self {
            Self::Snapshot => {
                let values: Vec<_> = list.iter().map(|it| format!("chatctl_row.{it}")).collect();
                format!(
                    "BEGIN NOT ATOMIC FOR chatctl_row IN ({from}) DO INSERT INTO {into} ({columns}) VALUES ({}); END FOR; END",
                    values.join(", ")
                )
            }
            Self::Tables => format!("INSERT INTO {into} ({columns}) {from}"),
        }
    }
}

/// The columns that are copied: with the times of a row's versions, where these are kept.
fn columns(shape: &Shape, way: Way) -> Vec<String> {
    let names = shape.columns.iter().map(|it| quote(&it.name));
    let period = shape.period.iter().filter(|_| way == Way::Snapshot);
    let period = period.flat_map(|(start, end)| [quote(start), quote(end)]);
    names.chain(period).collect()
}

/// A query for the rows of a table; of a large one for the oldest and the newest.
fn rows_of(shape: &Shape, (list, way): (&[String], Way), real: &str, limit: Option<u64>) -> String {
    let versions = if shape.period.is_some() && way == Way::Snapshot {
        " FOR SYSTEM_TIME ALL"
    } else {
        ""
    };
    let all = format!(
        "SELECT {} FROM {real}.{}{versions}",
        list.join(", "),
        quote(&shape.name)
    );
    let Some(limit) = limit else { return all };
    if shape.key.is_empty() {
        return format!("{all} LIMIT {limit}");
    }
    let end = |order: &str| {
        let key = shape.key.iter();
        let key: Vec<_> = key.map(|it| format!("{}{order}", quote(it))).collect();
        format!("({all} ORDER BY {} LIMIT {})", key.join(", "), limit / 2)
    };
    // A row that is at both ends is there once, for it has a key.
    format!("{} UNION {}", end(""), end(" DESC"))
}

/// Lets rows in as they are, whatever the settings of the server.
fn loosen(side: &mut dyn Session) -> Result<(), Failed> {
    // Rows may be older than a check. MySQL has no such setting.
    let _ = side.command("SET SESSION check_constraint_checks = 0");
    side.command(
        "SET SESSION foreign_key_checks = 0; SET SESSION sql_mode = concat(if(@@sql_mode LIKE '%ANSI_QUOTES%', 'ANSI_QUOTES,', ''), 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES')",
    )
}

fn tighten(side: &mut dyn Session) -> Result<(), Failed> {
    let _ = side.command("SET SESSION check_constraint_checks = DEFAULT");
    side.command(
        "SET SESSION foreign_key_checks = DEFAULT; SET SESSION sql_mode = DEFAULT; SET SESSION time_zone = @chatctl_zone; \
         SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    )
}

/// Makes routines, views, triggers and events, in the name of the user of the copy.
fn code(
    session: &mut dyn Session,
    copy: &mut dyn Session,
    (real, confined): (&str, bool),
    mut views: Vec<String>,
) -> anyhow::Result<()> {
    let code = Code { real, confined };
    for kind in ["PROCEDURE", "FUNCTION"] {
        for row in session.rows(&format!("SHOW {kind} STATUS WHERE Db = database()"))? {
            let name = quote(&row[1].to_string());
            let mut made = session.rows(&format!("SHOW CREATE {kind} {name}"))?;
            if matches!(made[0][2], Cell::Null) {
                let stub = stub(session, (kind, &row[1].to_string()))?;
                made[0][2] = Cell::Text(stub);
            }
            code.make(copy, &made[0])?;
        }
    }
    // A view can read another one, which then has to be there: as often as one more works. One
    // that is broken is left out, as it holds nothing.
    loop {
        let before = views.len();
        let mut left = Vec::new();
        for name in views {
            let made = session.rows(&format!("SHOW CREATE VIEW {}", quote(&name)));
            let Ok(made) = made else { continue };
            let text = made[0][1].to_string().replace(&format!("{real}."), "");
            if copy.command(&without_definer(&text)).is_err() {
                left.push(name);
            }
        }
        if left.is_empty() || left.len() == before {
            break;
        }
        views = left;
    }
    for row in session.rows("SHOW TRIGGERS")? {
        let name = quote(&row[0].to_string());
        let made = session.rows(&format!("SHOW CREATE TRIGGER {name}"))?;
        code.make(copy, &made[0])?;
    }
    // Who has no right to them sees none, and no file of theirs can change one: SHOW EVENTS would
    // fail.
    let events = "SELECT event_name FROM information_schema.events WHERE event_schema = database()";
    for row in session.rows(events)? {
        let name = quote(&row[0].to_string());
        let made = session.rows(&format!("SHOW CREATE EVENT {name}"))?;
        // On the copy no time comes.
        let text = made[0][3].to_string();
        let text = text.replacen(" PRESERVE ENABLE ", " PRESERVE DISABLE ON SLAVE ", 1);
        let made = [made[0][0].clone(), made[0][1].clone(), Cell::Text(text)];
        code.make(copy, &made)?;
    }
    Ok(())
}

/// The replacement of a routine that this user may not read: whatever calls it fails, and says why.
fn stub(session: &mut dyn Session, (kind, name): (&str, &str)) -> anyhow::Result<String> {
    let rows = session.rows(&format!(
        "SELECT ordinal_position, coalesce(parameter_mode, ''), coalesce(parameter_name, ''), dtd_identifier \
         FROM information_schema.parameters WHERE specific_schema = database() AND routine_type = '{kind}' \
         AND lower(specific_name) = lower({}) ORDER BY ordinal_position",
        literal(name)
    ))?;
    let is_given = |row: &&Vec<Cell>| row[0].text() != Some("0");
    let given = rows.iter().filter(is_given).map(|row| {
        let mode = if kind == "PROCEDURE" {
            row[1].to_string()
        } else {
            String::new()
        };
        format!("{mode} {} {}", quote(&row[2].to_string()), row[3])
    });
    let given = given.collect::<Vec<_>>().join(", ");
    let result = rows.iter().find(|row| row[0].text() == Some("0"));
    let returns = result.map_or(String::new(), |row| format!("RETURNS {} ", row[3]));
    let give = if kind == "FUNCTION" {
        " RETURN NULL;"
    } else {
        ""
    };
    let message = format!("{UNREADABLE}: {READ_ROUTINES}");
    Ok(format!(
        "CREATE {kind} {} ({given}) {returns}READS SQL DATA BEGIN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{message}';{give} END",
        quote(name)
    ))
}

/// A text in a statement, in hexadecimal, so that no setting of the server changes its meaning.
fn literal(text: &str) -> String {
    format!("_utf8mb4 0x{}", hex(text))
}

/// Routines, triggers and events of the real database, made again in the copy.
struct Code<'a> {
    real: &'a str,
    confined: bool,
}

impl Code<'_> {
    /// From a row of SHOW CREATE: name, SQL mode, text.
    fn make(&self, copy: &mut dyn Session, row: &[Cell]) -> anyhow::Result<()> {
        let text = row[2].to_string();
        let bare = self.real.trim_matches('`');
        let named = [format!("{}.", self.real), format!("{bare}.")];
        if !self.confined && named.iter().any(|name| text.contains(name)) {
            return Err(CliError::refused(format!(
                "`{}` names its own database, so on a copy it would write to the real one",
                row[0]
            ))
            .hint(CONFINE)
            .into());
        }
        let mode = row[1].to_string().replace('\'', "");
        copy.command(&format!("SET SESSION sql_mode = '{mode}'"))?;
        copy.command(&without_definer(&text))?;
        copy.command("SET SESSION sql_mode = DEFAULT")?;
        Ok(())
    }
}

/// Only a superuser may make something in another user's name. Both parts of the name may be in
/// backticks, and then hold anything.
fn without_definer(sql: &str) -> String {
    let Some(at) = sql.find("DEFINER=") else {
        return sql.to_owned();
    };
    let mut inside = false;
    let end = sql[at..].char_indices().find(|(_, character)| {
        inside ^= *character == '`';
        !inside && character.is_whitespace()
    });
    let end = end.map_or(sql.len(), |(length, _)| at + length);
    format!("{}{}", &sql[..at], &sql[end..])
}

#[cfg(test)]
mod tests {
    use super::without_definer;

    #[test]
    fn a_definer_is_cut_out() {
        for (with, without) in [
            ("CREATE DEFINER=`root`@`%` TRIGGER t", "CREATE  TRIGGER t"),
            (
                "CREATE DEFINER=`my user`@`localhost` VIEW v",
                "CREATE  VIEW v",
            ),
            ("CREATE VIEW v", "CREATE VIEW v"),
        ] {
            assert_eq!(without_definer(with), without);
        }
    }
}
