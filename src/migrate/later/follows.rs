//! Writes that only follow the row that fires an action, as a cascade does.

use super::said::Said;
use super::{Extent, Judge, holds_text, said};
use crate::model::{Action, Body, On, Shape};
use crate::sql::{Kind, Name};

impl Judge<'_> {
    /// Whether a deletion only follows the row that sets the action off.
    pub(super) fn follows(&self, said: &Said, table: &Name) -> bool {
        let on = &self.action.on;
        let (of_new, of_old) = (said.names_row("NEW"), said.names_row("OLD"));
        // As a cascade does. Where it is also called for an UPDATE, only a question keeps it from
        // that.
        let asks = |body: &Body| match body {
            Body::Statements(text) => said::asks_operation(text, self.dialect),
            Body::Unread { .. } | Body::Harms(_) => false,
        };
        let is_asked = self.action.condition.is_some() || asks(&self.action.body);
        let is_of_deletes = on.contains(&On::Delete) && (is_asked || !on.contains(&On::Update));
        let cascades = said.follows_old() && !of_new && is_of_deletes;
        // As a search index follows its table: what goes comes again.
        let comes_again = || {
            let own = |it: &&Action| it.table == self.action.table;
            let mut all = self.actions.all.iter().filter(own);
            all.any(|action| {
                let does = self.does(action);
                does.said.iter().any(|it| {
                    let mut into = it.facts.tables();
                    it.inserts() && into.any(|name| self.are_same(name, table))
                })
            })
        };
        cascades || (of_new || of_old) && comes_again()
    }

    /// How many rows a deletion takes each time, as when a draft goes with the message that was made
    /// of it.
    pub(super) fn extent(&self, said: &Said, table: &Shape) -> Extent {
        let may_replace = self
            .own()
            .is_some_and(|it| it.name != table.name && has_texts_of(it, table));
        let deletes = matches!(said.facts.kind, Kind::Delete { .. }) && !said.is_put_together;
        let is_of_new = self.action.on == [On::Insert];
        if may_replace && deletes && is_of_new && said.is_held_to_new(&table.key) {
            Extent::One
        } else {
            Extent::Any
        }
    }
}

/// Whether a table has a column for each text of another: a message has what its draft had, and a
/// reaction does not have what its message has.
fn has_texts_of(own: &Shape, other: &Shape) -> bool {
    let mut texts = other
        .columns
        .iter()
        .filter(|it| holds_text(&it.declared) && !other.key.contains(&it.name));
    texts.all(|text| {
        let mut all = own.columns.iter();
        all.any(|it| it.name.eq_ignore_ascii_case(&text.name))
    })
}
