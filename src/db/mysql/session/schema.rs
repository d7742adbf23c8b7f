//! The schema in lines that two databases of the same migrations have in common.

use super::{MySql, quoted};
use crate::db::mysql::scratch::UNREADABLE as STUB;
use crate::db::sentinel::COMMENT;
use crate::db::session::{ForeignKey, OWN, Session as _, UNREAD};
use crate::model::Cell;
use std::collections::BTreeSet;

pub(super) fn lines(session: &mut MySql) -> anyhow::Result<Vec<String>> {
    let mut lines = relations(session, |_| true)?;
    for row in session.rows("SHOW TRIGGERS")? {
        lines.push(format!(
            "trigger {} {} {} on {}: {}",
            row[0], row[4], row[1], row[2], row[3]
        ));
    }
    lines.extend(code(session)?);
    lines.sort();
    Ok(lines)
}

/// What runs by itself or is called. A time that an event begins at is the time of its making, and on a copy
/// none runs. What the server drops after its last run does not belong to a schema. No copy has packages.
const CODE: &[&str] = &[
    "SELECT lower(routine_type), routine_name, '' FROM information_schema.routines \
     WHERE routine_schema = database() AND routine_type IN ('PROCEDURE', 'FUNCTION')",
    "SELECT concat('text of ', lower(routine_type)), routine_name, if(routine_definition IS NULL \
     OR instr(routine_definition, '{stub}') > 0, '{unread}', concat('(', coalesce((SELECT group_concat(concat_ws(' ', parameter_mode, parameter_name, dtd_identifier) \
     ORDER BY ordinal_position SEPARATOR ', ') FROM information_schema.parameters AS p WHERE p.specific_schema = r.routine_schema \
     AND p.specific_name = r.specific_name AND p.routine_type = r.routine_type), ''), ') ', routine_definition)) \
     FROM information_schema.routines AS r WHERE routine_schema = database() AND routine_type IN ('PROCEDURE', 'FUNCTION')",
    "SELECT 'event', event_name, concat(if(status = 'DISABLED', 'disabled ', ''), coalesce(concat('every ', interval_value, ' ', interval_field), 'once'), ': ', \
     event_definition) FROM information_schema.events WHERE event_schema = database() \
     AND NOT (on_completion = 'NOT PRESERVE' AND (event_type = 'ONE TIME' OR ends IS NOT NULL))",
];

fn code(session: &mut MySql) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for sql in CODE {
        let sql = sql.replace("{stub}", STUB).replace("{unread}", UNREAD);
        for row in session.rows(&sql)? {
            let text = row[2].to_string();
            let text: Vec<_> = text.split_whitespace().collect();
            lines.push(format!("{} {}: {}", row[0], row[1], text.join(" ")));
        }
    }
    Ok(lines)
}

/// The foreign keys that lead to these tables.
pub(super) fn keys_to(
    session: &mut MySql,
    parents: &BTreeSet<&str>,
) -> anyhow::Result<Vec<ForeignKey>> {
    let rows = session.rows(
        "SELECT constraint_name, table_name, referenced_table_name, column_name, referenced_column_name \
         FROM information_schema.key_column_usage WHERE table_schema = database() AND referenced_table_schema = database() \
         ORDER BY table_name, constraint_name, ordinal_position",
    )?;
    // A join of these two tables would open each table of the database for each row.
    let rules = session.rows(
        "SELECT constraint_name, table_name, delete_rule FROM information_schema.referential_constraints WHERE constraint_schema = database()",
    )?;
    let case = session.tables;
    let is_one = |name: &str| parents.iter().any(|parent| case.same(parent, name));
    let rule = |row: &[Cell]| {
        let rule = rules.iter().find(|it| it[..2] == row[..2]);
        rule.map_or_else(String::new, |it| it[2].to_string())
    };
    let rows = rows.iter().map(|row| {
        let [name, child, parent, own, other] = [0, 1, 2, 3, 4].map(|at| row[at].to_string());
        [name, child, parent, own, other, rule(row)]
    });
    Ok(ForeignKey::all(rows.filter(|row| is_one(&row[2]))))
}

/// The lines of the tables that have one of these names.
pub(super) fn of_tables(session: &mut MySql, names: &[&str]) -> anyhow::Result<Vec<String>> {
    let case = session.tables;
    relations(session, |name| names.iter().any(|it| case.same(it, name)))
}

fn relations(session: &mut MySql, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for row in session.rows("SHOW FULL TABLES")? {
        let name = row[0].to_string();
        if OWN.contains(&name.as_str()) || !wanted(&name) {
            continue;
        }
        let what = match row[1].text() {
            Some("VIEW") => "VIEW",
            Some("SEQUENCE") => "SEQUENCE",
            _ => "TABLE",
        };
        let made = session.rows(&format!("SHOW CREATE {what} {}", quoted(&name)))?;
        let database = format!("{}.", quoted(&session.database));
        let text = unmarked(&made[0][1].to_string()).replace(&database, "");
        for line in text.lines() {
            // How far an identity has counted is not part of a schema.
            let words = line
                .split_whitespace()
                .filter(|word| !word.starts_with("AUTO_INCREMENT="));
            let line: Vec<_> = words.collect();
            lines.push(format!(
                "{} {name}: {}",
                what.to_lowercase(),
                line.join(" ").trim_end_matches(',')
            ));
        }
    }
    Ok(lines)
}

/// How a table is made, without the mark that `audit arm` leaves in its comment.
fn unmarked(made: &str) -> String {
    let Some((before, after)) = made.rsplit_once(COMMENT) else {
        return made.to_owned();
    };
    let after = after.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    let before = before.strip_suffix(' ').unwrap_or(before);
    format!("{before}{after}").replace(" COMMENT=''", "")
}

#[cfg(test)]
mod tests {
    use super::unmarked;

    #[test]
    fn a_table_reads_the_same_with_and_without_its_mark() {
        for (made, same) in [
            (") ENGINE=InnoDB COMMENT='chatctl:0a1b'", ") ENGINE=InnoDB"),
            (") COMMENT='ours chatctl:0a1b' x", ") COMMENT='ours' x"),
            (") COMMENT='ours'", ") COMMENT='ours'"),
        ] {
            assert_eq!(unmarked(made), same);
        }
    }
}
