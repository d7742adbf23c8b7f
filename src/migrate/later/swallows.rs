//! Whether an action discards each written row without storing it elsewhere.

use super::said::Said;
use super::{Judge, holds_text, said};
use crate::model::{Body, On, Shape};
use crate::sql::Kind;
use std::collections::BTreeSet;

impl Judge<'_> {
    /// Whether nothing that is inserted or updated is stored, and nothing stored elsewhere for it.
    pub(super) fn swallows(&self, said: &[Said]) -> bool {
        let action = self.action;
        let drops = |event: On| match &action.body {
            Body::Statements(text) => said::drops_row(text, event, self.dialect),
            Body::Unread { .. } | Body::Harms(_) => false,
        };
        let events = [On::Insert, On::Update];
        let mut events = events.into_iter().filter(|it| action.on.contains(it));
        let unasked = action.decides && !action.conditional;
        unasked && events.any(|event| drops(event) && !self.stores(said, event))
    }

    /// Whether statements store the written row elsewhere.
    fn stores(&self, said: &[Said], event: On) -> bool {
        let own = self.own();
        let of = own.into_iter().flat_map(|own| &own.columns);
        let texts = of.filter(|it| holds_text(&it.declared));
        let texts: Vec<_> = texts.map(|it| it.name.as_str()).collect();
        let writes = |it: &&Said| match event {
            On::Insert => it.is_a(puts),
            _ => it.is_a(puts) || it.is_a(|kind| matches!(kind, Kind::Update { .. })),
        };
        let takes_row = |it: &&Said| it.is_put_together || it.carries_row(&texts);
        if said.iter().any(|it| it.is_a(runs) && takes_row(&it)) {
            return true;
        }
        let mut all = said.iter().filter(writes);
        all.clone().any(|it| takes_row(&it))
            && (event != On::Insert || all.any(|it| it.is_put_together) || self.is_whole(said, own))
    }

    /// Whether what is inserted elsewhere is all of a new row, and not what a log has of it.
    fn is_whole(&self, said: &[Said], own: Option<&Shape>) -> bool {
        let inserts = said
            .iter()
            .filter(|it| it.is_a(puts) && it.carries_row(&[]));
        let (mut carried, mut there) = (BTreeSet::new(), BTreeSet::new());
        for insert in inserts {
            let Some(columns) = insert.columns_of_new() else {
                return true;
            };
            carried.extend(columns);
            for name in insert.facts.tables() {
                // Of another schema, or a view, nobody knows what it has.
                let Some(table) = self.named(name) else {
                    return true;
                };
                there.extend(table.columns.iter().map(|it| it.name.to_lowercase()));
            }
        }
        let has_all = |names: &BTreeSet<String>| {
            let mut columns = own.into_iter().flat_map(|own| &own.columns);
            columns.all(|it| names.contains(&it.name.to_lowercase()))
        };
        has_all(&carried) || has_all(&there)
    }
}

/// Whether it puts rows into a table.
const fn puts(kind: &Kind) -> bool {
    matches!(kind, Kind::Insert { .. } | Kind::Merge { .. })
}

/// Whether what it does is in something else that it runs.
const fn runs(kind: &Kind) -> bool {
    matches!(kind, Kind::Call)
}
