//! Which tables an action means, of several that have one name in different schemas.

use super::{Judge, said};
use crate::model::{Body, Shape};
use crate::sql::{Dialect, Name};

impl Judge<'_> {
    /// The table that a statement names, if it is one of these. Of several in PostgreSQL, a bare
    /// name means the one that it means in a session, else the one in the schema of the action's
    /// own table.
    pub(super) fn named(&self, name: &Name) -> Option<&Shape> {
        let own = self.own().map(|it| it.schema.as_str());
        let all = self.tables.iter().filter(|table| {
            // The other engines may have the database under another name here.
            let schema = name.schema.as_deref();
            let schema = schema.filter(|_| self.dialect == Dialect::Postgres);
            name.name.eq_ignore_ascii_case(&table.table)
                && schema.is_none_or(|it| it.eq_ignore_ascii_case(&table.schema))
        });
        all.min_by_key(|it| {
            let is_as_written = it.table == name.name;
            (!it.bare, own != Some(it.schema.as_str()), !is_as_written)
        })
    }

    /// The table that the action hangs on; a view is none.
    pub(super) fn own(&self) -> Option<&Shape> {
        let own = self.action.table.as_deref()?;
        let exact = self.tables.iter().find(|it| it.name == own);
        exact.or_else(|| {
            let mut tables = self.tables.iter();
            tables.find(|it| it.name.eq_ignore_ascii_case(own))
        })
    }

    pub(super) fn is_own(&self, table: &Shape) -> bool {
        self.own().is_some_and(|own| own.name == table.name)
    }

    /// The name of that table; of a new partition, which gets the triggers of its whole, that of
    /// the whole.
    pub(super) fn whole(&self) -> Option<String> {
        let part = self.own().filter(|it| !it.heir);
        let whole = part.and_then(|it| it.whole.clone());
        whole.or_else(|| self.action.table.clone())
    }

    /// Whether two names mean one table.
    pub(super) fn are_same(&self, one: &Name, other: &Name) -> bool {
        match (self.named(one), self.named(other)) {
            (Some(one), Some(other)) => one.name == other.name,
            (None, None) => one.matches(&other.name),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    pub(super) fn is_known(&self, name: &Name) -> bool {
        self.named(name).is_some()
    }

    /// Whether the action or its body asks whether it is to do something.
    pub(super) fn is_asked(&self) -> bool {
        let asks = match &self.action.body {
            Body::Statements(text) => said::asks(text, self.dialect),
            Body::Unread { .. } | Body::Harms(_) => false,
        };
        self.action.condition.is_some() || asks
    }
}
