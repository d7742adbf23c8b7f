//! Triggers, events and ON UPDATE clauses, the routines that they may call, and the numbers that
//! new rows get.

use super::{MySql, quoted};
use crate::db::mysql::scratch::{READ_ROUTINES, UNREADABLE};
use crate::db::session::Session as _;
use crate::model::{
    Action, Actions, Body, Cell, Numbered, NumberedColumn, Numbering, On, Sequence, Transitions,
};

pub(super) fn all(session: &mut MySql) -> anyhow::Result<Actions> {
    let triggers = session.rows(
        "SELECT trigger_name, event_object_table, event_manipulation, action_timing, action_statement \
         FROM information_schema.triggers WHERE trigger_schema = database()",
    )?;
    // Those that are only off here are the copies of others that are not.
    let events = session.rows(
        "SELECT event_name, event_definition FROM information_schema.events \
         WHERE event_schema = database() AND status <> 'DISABLED'",
    )?;
    let clocks = session.rows(
        "SELECT table_name, column_name FROM information_schema.columns \
         WHERE table_schema = database() AND extra LIKE '%on update%'",
    )?;
    let routines = routines(session)?;
    let clocks = clocks.iter().map(|row| Action {
        title: format!("ON UPDATE clause of `{}.{}`", row[0], row[1]),
        table: Some(row[0].to_string()),
        on: vec![On::Update],
        decides: true,
        condition: None,
        transitions: Transitions::default(),
        body: Body::Statements(format!(
            "SET NEW.{} = CURRENT_TIMESTAMP",
            quoted(&row[1].to_string())
        )),
    });
    let triggers = triggers.iter().map(|row| Action {
        title: format!("trigger `{}` on `{}`", row[0], row[1]),
        table: Some(row[1].to_string()),
        on: vec![match row[2].text() {
            Some("INSERT") => On::Insert,
            Some("UPDATE") => On::Update,
            _ => On::Delete,
        }],
        decides: row[3].text() == Some("BEFORE"),
        condition: None,
        transitions: Transitions::default(),
        body: Body::Statements(row[4].to_string()),
    });
    let events = events.iter().map(|row| Action {
        title: format!("event `{}`", row[0]),
        table: None,
        on: vec![On::Time],
        decides: false,
        condition: None,
        transitions: Transitions::default(),
        body: Body::Statements(row[1].to_string()),
    });
    let all = triggers.chain(events).chain(clocks);
    Ok(Actions::new(all.collect(), routines))
}

/// The routines by their names. Not everybody may read what others made: of what the statements of a
/// migration make, those who run them may.
fn routines(session: &mut MySql) -> anyhow::Result<Vec<(String, Body)>> {
    let sql = "SELECT routine_type, lower(routine_name), routine_definition FROM information_schema.routines \
               WHERE routine_schema = database()";
    let mut rows = session.rows(sql)?;
    if rows.iter().any(|row| matches!(row[2], Cell::Null)) {
        let own = session.seen(sql)?;
        for row in rows.iter_mut().filter(|row| matches!(row[2], Cell::Null)) {
            let same = own.iter().find(|it| it[..2] == row[..2]);
            row[2] = same.map_or(Cell::Null, |it| it[2].clone());
        }
    }
    let body = |row: &Vec<Cell>| match row[2].text() {
        Some(text) if !text.contains(UNREADABLE) => Body::Statements(text.to_owned()),
        Some(_) | None => Body::Unread {
            why: format!(
                "calls the routine `{}`, whose text this user may not read ({READ_ROUTINES})",
                row[1]
            ),
            text: String::new(),
        },
    };
    let rows = rows.iter();
    Ok(rows.map(|row| (row[1].to_string(), body(row))).collect())
}

/// The sequences of MariaDB, with the columns whose numbers come from them.
fn of_sequences(session: &mut MySql) -> anyhow::Result<Vec<Numbering>> {
    let sequences = session.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_type = 'SEQUENCE'",
    )?;
    if sequences.is_empty() {
        return Ok(Vec::new());
    }
    let columns = session.rows(
        "SELECT table_name, column_name, column_default FROM information_schema.columns \
         WHERE table_schema = database() AND column_default LIKE '%nextval(%'",
    )?;
    let mut all = Vec::new();
    for row in &sequences {
        let name = row[0].to_string();
        let state = session.rows(&format!(
            "SELECT next_not_cached_value, increment, minimum_value, maximum_value, cycle_option, @@auto_increment_increment, start_value FROM {}",
            quoted(&name)
        ));
        // One that was dropped meanwhile gives no number.
        let Ok(state) = state else { continue };
        let number = |at: usize| state[0][at].to_string().parse::<i64>();
        let (mut next, least, most) = (number(0)?, number(2)?, number(3)?);
        // One that takes the server's step is written down without any.
        let step = match number(1)? {
            0 => number(5)?,
            step => step,
        };
        let unused = next == number(6)?;
        if number(4)? == 1 && !(least..=most).contains(&next) {
            next = if step < 0 { most } else { least };
        }
        let own = Sequence {
            subject: session.names().written(&name),
            name,
        };
        let full = format!("{}.{}", quoted(&session.database), quoted(&own.name));
        let is_its = |row: &&Vec<Cell>| sequence(&row[2].to_string()) == Some(full.as_str());
        let of = columns.iter().filter(is_its).map(|row| {
            let column = NumberedColumn {
                table: row[0].to_string(),
                column: row[1].to_string(),
            };
            Numbered::BySequence(column, own.clone())
        });
        let of = of.collect::<Vec<_>>();
        let of = if of.is_empty() {
            vec![Numbered::Sequence(own)]
        } else {
            of
        };
        all.extend(of.into_iter().map(|of| Numbering {
            of,
            unused,
            next,
            last: Some(next.saturating_sub(step)),
            step,
            volatile: false,
        }));
    }
    Ok(all)
}

/// The sequence in a default, as it is written there.
fn sequence(default: &str) -> Option<&str> {
    let (_, behind) = default.split_once("nextval(")?;
    // The server puts it in backticks.
    let behind = behind.starts_with('`').then_some(behind)?;
    let mut inside = false;
    let end = behind.find(|character: char| {
        inside ^= character == '`';
        !inside && character == ')'
    });
    Some(&behind[..end?])
}

pub(super) fn numberings(session: &mut MySql) -> anyhow::Result<Vec<Numbering>> {
    // MySQL shows old statistics otherwise; MariaDB has no such setting.
    let _ = session.look_by("SET SESSION information_schema_stats_expiry = 0");
    let rows = session.rows(
        "SELECT t.table_name, c.column_name, t.auto_increment FROM information_schema.tables AS t \
         JOIN information_schema.columns AS c ON c.table_schema = t.table_schema AND c.table_name = t.table_name \
         WHERE t.table_schema = database() AND t.auto_increment IS NOT NULL AND c.extra LIKE '%auto_increment%'",
    )?;
    let next = |text: String| text.parse().unwrap_or(i64::MAX);
    let rows = rows.iter().map(|row| Numbering {
        of: Numbered::Column(NumberedColumn {
            table: row[0].to_string(),
            column: row[1].to_string(),
        }),
        unused: false,
        next: next(row[2].to_string()),
        last: None,
        step: 1,
        volatile: false,
    });
    let mut all: Vec<_> = rows.collect();
    all.extend(of_sequences(session)?);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::sequence;

    #[test]
    fn a_sequence_is_found_in_a_default() {
        for (default, is) in [
            ("nextval(`chat`.`s`)", Some("`chat`.`s`")),
            ("1 + nextval(`chat`.`a)b`)", Some("`chat`.`a)b`")),
            ("uuid()", None),
            ("'nextval(s)'", None),
        ] {
            assert_eq!(sequence(default), is, "{default}");
        }
    }
}
