//! The time zone of new sessions. A file runs in UTC; an application that asks for no zone reads and
//! writes times that have none in this one.

use super::{Postgres, forms};
use crate::db::postgres::query;
use crate::model::Compared;

impl Postgres {
    /// Asks for it once, if there are times, and lets values be compared in it, too.
    pub(super) fn note_zone(&mut self) {
        let mut columns = self.before.values().flat_map(|it| &it.shape.columns);
        let has_times =
            columns.any(|it| it.declared.starts_with("timestamp") || it.declared == "date");
        if self.zone.is_some() || !has_times {
            return;
        }
        let asked = query::zone(&self.target, &self.options);
        let zone = self.runtime.block_on(asked);
        if let Some(zone) = zone.clone() {
            self.witness
                .read_by(move |own, other| forms::form_in(&zone, own, other));
        }
        self.zone = Some(zone);
    }

    /// Tells it where times were read in UTC.
    pub(super) fn see_zone(&self, compared: &mut Compared) {
        if compared.columns.iter().any(|it| it.in_utc) {
            compared.zone = self.zone.clone().flatten();
        }
    }
}
