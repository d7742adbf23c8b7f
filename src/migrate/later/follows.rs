//! What only follows the row that sets an action off, as a cascade does.

use super::said::Said;
use super::{Extent, Judge, is_called, said};
use crate::model::{Action, Body, On, Shape};
use crate::sql::Kind;

impl Judge<'_> {
    /// Whether a deletion only follows the row that sets the action off.
    pub(super) fn follows(&self, said: &Said, table: &str) -> bool {
        let on = &self.action.on;
        let (of_new, of_old) = (said.names_row("NEW"), said.names_row("OLD"));
        // As a cascade does. Where it is also called for an UPDATE, only a question keeps it from
        // that.
        let asks = |body: &Body| match body {
            Body::Statements(text) => said::asks_operation(text, self.dialect),
            Body::Unread { .. } | Body::Harms(_) => false,
        };
        let is_asked = self.action.conditional || asks(&self.action.body);
        let is_of_deletes = on.contains(&On::Delete) && (is_asked || !on.contains(&On::Update));
        let cascades = said.follows_old() && !of_new && is_of_deletes;
        // As a search index follows its table: what goes comes again.
        let comes_again = || {
            let own = |it: &&Action| it.table == self.action.table;
            let mut all = self.actions.all.iter().filter(own);
            all.any(|action| {
                let does = self.does(action);
                does.said.iter().any(|it| it.inserts_into(table))
            })
        };
        cascades || (of_new || of_old) && comes_again()
    }

    /// How many rows a deletion takes each time, as when a draft goes with the message that was made
    /// of it.
    pub(super) fn extent(&self, said: &Said, table: &Shape) -> Extent {
        let own = self.action.table.as_deref();
        let is_other = own.is_some_and(|own| !is_called(table, own));
        let deletes = matches!(said.facts.kind, Kind::Delete { .. }) && !said.is_put_together;
        let is_of_new = self.action.on == [On::Insert];
        if is_other && deletes && is_of_new && said.is_held_to_new(&table.key) {
            Extent::One
        } else {
            Extent::Any
        }
    }
}
