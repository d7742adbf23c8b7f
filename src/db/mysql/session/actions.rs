//! Triggers and events, the routines that they may call, and the numbers that new rows get.

use super::MySql;
use crate::db::session::Session as _;
use crate::model::{Action, Actions, Numbering, On};

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
    let routines = session.rows(
        "SELECT lower(routine_name), coalesce(routine_definition, '') FROM information_schema.routines \
         WHERE routine_schema = database()",
    )?;
    let triggers = triggers.iter().map(|row| Action {
        title: format!("trigger `{}` on `{}`", row[0], row[1]),
        table: Some(row[1].to_string()),
        on: vec![match row[2].text() {
            Some("INSERT") => On::Insert,
            Some("UPDATE") => On::Update,
            _ => On::Delete,
        }],
        decides: row[3].text() == Some("BEFORE"),
        conditional: false,
        body: row[4].to_string(),
    });
    let events = events.iter().map(|row| Action {
        title: format!("event `{}`", row[0]),
        table: None,
        on: vec![On::Time],
        decides: false,
        conditional: false,
        body: row[1].to_string(),
    });
    let routines = routines.iter();
    Ok(Actions {
        all: triggers.chain(events).collect(),
        routines: routines
            .map(|row| (row[0].to_string(), row[1].to_string()))
            .collect(),
    })
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
        table: row[0].to_string(),
        column: row[1].to_string(),
        next: next(row[2].to_string()),
        last: None,
    });
    Ok(rows.collect())
}
