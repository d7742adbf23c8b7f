//! Session settings of a migration must not affect chatctl's own queries.

use super::{Postgres, text_literal};
use crate::db::session::{Failed, Session as _};
use crate::model::Cell;

/// Without it a statement of a killed chatctl waits on for its lock, or works on, and keeps others
/// from the table.
pub(super) const NOTICE: &str = "SET client_connection_check_interval = '1s'";

const ROLE: &str = "role";

/// What chatctl's own looking rests on, and its value.
const OWN_SETTINGS: [(&str, &str); 11] = [
    // Where it is not named, what is temporary comes before the catalogue.
    ("search_path", "pg_catalog, pg_temp"),
    ("client_encoding", "UTF8"),
    ("quote_all_identifiers", "off"),
    // Who the session began as, in its place.
    (ROLE, "none"),
    ("row_security", "off"),
    ("statement_timeout", "0"),
    ("extra_float_digits", "1"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
];

impl Postgres {
    /// Lets the server notice that chatctl is gone: version 14 and newer, where its system tells;
    /// elsewhere a statement runs to its end.
    pub(super) fn let_notice(&mut self) {
        if self.notices.is_none() {
            self.notices = Some(self.send(NOTICE).is_ok());
        }
    }

    /// chatctl's own looking, whatever a migration has set: as the role that the session began
    /// with, with every value written in one way, with no time limit, and with an error where a
    /// policy hides rows. It stays so until a statement of a migration is next.
    pub(super) fn own<T, E: From<Failed>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        // Outside of a transaction nothing would stay set.
        if self.transaction.is_some() && self.of_migration.is_none() {
            self.take_over("", "")?;
        }
        let done = work(self);
        if done.is_err() {
            // The transaction is over, and its settings with it.
            self.of_migration = None;
        }
        done
    }

    /// Puts chatctl's own settings in force, after these commands. Returns what is asked under them.
    pub(super) fn take_over(
        &mut self,
        commands: &str,
        asked: &str,
    ) -> Result<Vec<Vec<Cell>>, Failed> {
        let names = OWN_SETTINGS.iter();
        let names = names.map(|(name, _)| format!("pg_catalog.current_setting('{name}')"));
        let own = OWN_SETTINGS.iter().map(|(name, value)| match *name {
            ROLE => self.role.clone(),
            _ => (*value).to_owned(),
        });
        let all: Vec<_> = names.chain(sets(own)).collect();
        // Each is evaluated after the one before it: those of the migration are read first.
        let mut rows = self
            .rows(&format!("{commands}SELECT {}{asked}", all.join(", ")))
            .map_err(Failed::of)?;
        // The commands before it may give rows too, but none that is so long.
        let own = rows.iter().position(|row| row.len() == all.len());
        let answers = rows.split_off(own.map_or(rows.len(), |own| own + 1));
        let before = rows.last().map_or(&[][..], Vec::as_slice).iter();
        let before = before.take(OWN_SETTINGS.len()).map(Cell::to_string);
        self.of_migration = Some(before.collect());
        Ok(answers)
    }

    /// The command that puts in force again what a migration has set; empty where that is in force.
    pub(super) fn settings_back(&mut self) -> String {
        let Some(before) = self.of_migration.take() else {
            return String::new();
        };
        let sets: Vec<_> = sets(before.into_iter()).collect();
        format!("SELECT {}; ", sets.join(", "))
    }
}

fn sets(values: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    OWN_SETTINGS.iter().zip(values).map(|((name, _), value)| {
        format!(
            "pg_catalog.set_config('{name}', {}, true)",
            text_literal(&value)
        )
    })
}
