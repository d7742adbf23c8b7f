//! What a migration sets for its session must not reach chatctl's own looking.

use super::Postgres;
use super::text_literal;
use crate::db::session::Failed;
use crate::db::session::Session as _;
use crate::model::Cell;

/// What chatctl's own looking rests on, and its value.
const OWN_SETTINGS: [(&str, &str); 9] = [
    ("search_path", "pg_catalog"),
    ("role", "none"),
    ("row_security", "off"),
    ("statement_timeout", "0"),
    ("extra_float_digits", "1"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
];

impl Postgres {
    /// chatctl's own looking, whatever a migration has set: as the user that connected, with every
    /// value written in one way, with no time limit, and with an error where a policy hides rows.
    pub(super) fn own<T, E: From<Failed>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let failed = |error: anyhow::Error| Failed::because(format!("{error:#}"));
        let names: Vec<_> = OWN_SETTINGS
            .iter()
            .map(|(name, _)| format!("pg_catalog.current_setting('{name}')"))
            .collect();
        let before = self
            .rows(&format!("SELECT {}", names.join(", ")))
            .map_err(failed)?;
        let before = before
            .first()
            .map_or(Vec::new(), |row| row.iter().map(Cell::to_string).collect());
        let own = OWN_SETTINGS.iter().map(|(_, value)| (*value).to_owned());
        self.set_all(own)?;
        // After an error the transaction is over, and its settings with it.
        let done = work(self)?;
        self.set_all(before.into_iter())?;
        Ok(done)
    }

    fn set_all(&mut self, values: impl Iterator<Item = String>) -> Result<(), Failed> {
        let sets: Vec<_> = OWN_SETTINGS
            .iter()
            .zip(values)
            .map(|((name, _), value)| {
                format!(
                    "pg_catalog.set_config('{name}', {}, true)",
                    text_literal(&value)
                )
            })
            .collect();
        self.send(&format!("SELECT {}", sets.join(", ")))
    }
}
