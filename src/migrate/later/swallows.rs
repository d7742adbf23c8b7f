//! Whether an action discards each written row, or a value of it, without storing it elsewhere.

use super::deed::is_of_birth;
use super::said::{Assigned, Said};
use super::{Deed, Extent, Judge, Only, holds_text, key_of, said};
use crate::model::{Body, On, Shape, ShapeColumn};
use crate::sql::{Kind, Name};
use std::collections::BTreeSet;

/// No key, address or digest is longer, and a column with such values has what users write.
const LONG: u64 = 128;

impl Judge<'_> {
    /// Where nothing that is inserted or updated is stored, and nothing stored elsewhere for it; or no UPDATE
    /// that changes a column.
    pub(super) fn swallows(&self, said: &[Said]) -> Option<Deed> {
        let action = self.action;
        let drops = |event: On| match &action.body {
            Body::Statements(text) => said::drops_row(text, event, self.dialect),
            Body::Unread { .. } | Body::Harms(_) => false,
        };
        let events = [On::Insert, On::Update];
        let mut events = events.into_iter().filter(|it| action.on.contains(it));
        let swallows = |event: On| drops(event) && !self.stores(said, event);
        let table = self.own().filter(|_| action.decides)?;
        let swallowed = match self.changed(table) {
            Changed::Any if events.any(swallows) => {
                Some(self.deed((table, None), "would stop rows from being stored in", ""))
            }
            Changed::Column(column) if action.on == [On::Update] && swallows(On::Update) => {
                Some(self.unstored(
                    (table, column),
                    "would stop new values from being stored in",
                    "",
                ))
            }
            Changed::Any | Changed::Column(_) | Changed::Else => None,
        };
        swallowed.or_else(|| self.swallows_some(said, table))
    }

    /// The same on a condition, of which the rows that are there show whether it keeps such rows
    /// out.
    fn swallows_some(&self, said: &[Said], table: &Shape) -> Option<Deed> {
        let Body::Statements(body) = &self.action.body else {
            return None;
        };
        let does = "would stop some rows from being stored in";
        let some = |event: On| {
            let discards = said::discards(body, event, self.dialect);
            if discards.is_empty() || self.stores(said, event) {
                return None;
            }
            let text = discards.iter().flatten().cloned();
            let text = self.action.condition.iter().cloned().chain(text);
            let text = text.collect::<Vec<_>>().join(" ");
            let only = self.met(table, event, discards.into_iter().collect())?;
            let extent = match (event, &only) {
                (On::Insert, Only::Met { .. }) => Extent::Any,
                _ => Extent::New,
            };
            Some(Deed {
                only,
                extent,
                ..self.deed((table, None), does, &text)
            })
        };
        let events = [On::Insert, On::Update].into_iter();
        events
            .filter(|it| self.action.on.contains(it))
            .find_map(some)
    }

    /// Which rows are concerned that meet the condition of the action and one of these; none where
    /// it is about no row that is like those of users.
    fn met(&self, table: &Shape, event: On, any: Option<Vec<String>>) -> Option<Only> {
        let is_new = event == On::Insert;
        let unknown = || is_new.then_some(Only::Some);
        let Some(any) = any else {
            return unknown();
        };
        let any = any.join("\n) OR (");
        let condition = match &self.action.condition {
            Some(condition) => format!("({condition}\n) AND (({any}\n))"),
            None => format!("({any}\n)"),
        };
        let named = |row: &str| said::named(&condition, row, self.dialect);
        let (new, old) = (named("NEW"), named("OLD"));
        // A new row was not there before, and an UPDATE that is compared with the row may be idle.
        if !old.is_empty() && (is_new || !new.is_empty()) {
            return None;
        }
        let (row, columns) = if old.is_empty() {
            ("new", new)
        } else {
            ("old", old)
        };
        // A new row has another key than those that are there; a part of it, such as the chat's, it shares.
        let key = key_of(table);
        let is_key = |it: &String| key.iter().any(|key| key.eq_ignore_ascii_case(it));
        let is_named = |key: &String| columns.iter().any(|it| it.eq_ignore_ascii_case(key));
        let is_part = table.key.len() > 1 && !table.key.iter().all(is_named);
        if !columns.is_empty() && columns.iter().all(is_key) && !is_part {
            return None;
        }
        let is_of_time = |it: &String| {
            let declared = column_of(table, it).map(|it| it.declared.to_lowercase());
            let is_time = declared.is_some_and(|it| it.contains("time") || it.contains("date"));
            is_time || is_of_birth(it)
        };
        let is_of_user = |it: &String| self.actions.routines.contains_key(it);
        // New rows are younger than those that are there, and a row that is there is equal to
        // itself.
        let tells_nothing = columns.iter().any(is_of_time)
            || said::depends(&condition, is_of_user, self.dialect)
            || said::reads(&condition, &table.table, self.dialect);
        if tells_nothing {
            return unknown();
        }
        Some(Only::Met { row, condition })
    }

    /// What new values of a column come to that has long texts.
    fn unstored(&self, (table, column): (&Shape, &ShapeColumn), does: &str, text: &str) -> Deed {
        Deed {
            only: Only::Longer(LONG),
            extent: Extent::New,
            ..self.deed((table, Some(&column.name)), does, text)
        }
    }

    /// What its condition asks of the written row.
    fn changed<'b>(&self, table: &'b Shape) -> Changed<'b> {
        let Some(condition) = &self.action.condition else {
            return Changed::Any;
        };
        let column = said::changed(condition, self.dialect);
        let column = column.and_then(|it| text_of(table, &it));
        column.map_or(Changed::Else, Changed::Column)
    }

    /// Where it empties, cuts or replaces a value of each row that is written.
    pub(super) fn of_each_row(&self, said: &Said) -> Vec<Deed> {
        let writes = [On::Insert, On::Update];
        let asks = |body: &Body| match body {
            Body::Statements(text) => said::asks(text, self.dialect),
            Body::Unread { .. } | Body::Harms(_) => true,
        };
        if !writes.iter().any(|it| self.action.on.contains(it)) {
            return Vec::new();
        }
        let Some(table) = self.own() else {
            return Vec::new();
        };
        let is_it = |name: &Name| self.named(name).is_some_and(|it| it.name == table.name);
        if !said.writes_row() && !said.facts.tables().any(is_it) {
            return Vec::new();
        }
        let is_asked = asks(&self.action.body);
        let columns: Vec<_> = table.columns.iter().map(|it| it.name.as_str()).collect();
        let all = said.of_each_row(&key_of(table), &columns).into_iter();
        let deeds = all.filter_map(|(column, assigned)| {
            let given = (column.as_str(), assigned);
            if is_asked {
                self.of_some_rows(said, table, given)
            } else {
                self.of_all_rows(said, table, given)
            }
        });
        deeds.collect()
    }

    /// Where it gives this to a column of each row.
    fn of_all_rows(
        &self,
        said: &Said,
        table: &Shape,
        (column, assigned): (&str, Assigned),
    ) -> Option<Deed> {
        // At an UPDATE it may be what the UPDATE is for.
        let is_new = self.action.on.contains(&On::Insert);
        let changed = self.changed(table);
        let by_all = matches!(changed, Changed::Any);
        if assigned == Assigned::Clock {
            let is_clock = by_all && self.action.on.contains(&On::Update);
            return is_clock.then(|| self.made_later(table, column)).flatten();
        }
        let of = column_of(table, column)?;
        let by_column = matches!(changed, Changed::Column(it) if it.name == of.name);
        let unstored = |does: &str| Some(self.unstored((table, of), does, &said.text));
        let is_text = holds_text(&of.declared);
        let only = match assigned {
            Assigned::Before if is_text && (by_all || by_column) => {
                return unstored("would stop new values from being stored in");
            }
            Assigned::Hashed if is_text && by_all && is_new => {
                return unstored("would store a digest of each new value in");
            }
            Assigned::Blank if is_text && by_all && said.writes_row() => Only::All,
            Assigned::Constant if is_text && by_all && is_new && is_of_speaker(table, column) => {
                Only::Several
            }
            Assigned::Constant if is_text && by_all && is_new => Only::Different,
            Assigned::Cut(length) if is_text && by_all && is_new => Only::Longer(length),
            Assigned::Cut(_) if is_new => {
                return self.of_some_rows(said, table, (column, assigned));
            }
            Assigned::Blank if !is_text && by_all && is_new => Only::Filled,
            Assigned::Constant | Assigned::Flag
                if !is_text && by_all && is_new && !is_of_state(column) =>
            {
                Only::Reference
            }
            Assigned::Blank
            | Assigned::Derived
            | Assigned::Flag
            | Assigned::Clock
            | Assigned::Written
            | Assigned::Same
            | Assigned::Before
            | Assigned::Hashed
            | Assigned::Asked
            | Assigned::Constant
            | Assigned::Cut(_)
            | Assigned::Other => return None,
        };
        Some(Deed {
            only,
            ..self.deed((table, Some(&of.name)), "would overwrite", &said.text)
        })
    }

    /// The same on a condition: of texts that it cuts, none that is longer is stored.
    fn of_some_rows(
        &self,
        said: &Said,
        table: &Shape,
        (column, assigned): (&str, Assigned),
    ) -> Option<Deed> {
        let of = text_of(table, column)?;
        let is_new = self.action.on.contains(&On::Insert);
        let Assigned::Cut(length) = assigned else {
            return None;
        };
        is_new.then(|| Deed {
            only: Only::Longer(length),
            ..self.unstored((table, of), "would cut new values of", &said.text)
        })
    }

    /// Where a column with the time at which a row was made gets that of each UPDATE: rows are in its order.
    fn made_later(&self, table: &Shape, column: &str) -> Option<Deed> {
        let of = column_of(table, column)?;
        Some(Deed {
            only: Only::Former,
            ..self.deed((table, Some(&of.name)), "would overwrite", "")
        })
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

    /// Whether what it runs may store a row somewhere, or tells whoever writes that it does not.
    pub(super) fn may_store(&self) -> bool {
        let does = self.does(self.action);
        let writes = |kind: &Kind| puts(kind) || runs(kind) || matches!(kind, Kind::Update { .. });
        let is_known = |name: &String| self.actions.routines.contains_key(name);
        let calls = |text: &str| !said::called(text, self.dialect).iter().all(is_known);
        let is_loud = |text: &str| text.to_ascii_lowercase().contains("raise");
        let body = match &self.action.body {
            Body::Statements(text) => text,
            Body::Unread { .. } | Body::Harms(_) => return true,
        };
        let may = |it: &Said| {
            it.is_put_together || it.is_a(writes) || calls(&it.text) || is_loud(&it.text)
        };
        !does.unread.is_empty() || calls(body) || is_loud(body) || does.said.iter().any(may)
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

/// Which written rows a condition lets through.
enum Changed<'a> {
    Any,
    /// Those with a new text in this column.
    Column(&'a ShapeColumn),
    /// Some others.
    Else,
}

/// Whether these statements insert the new values of its column elsewhere.
pub(super) fn is_put_elsewhere(deed: &Deed, said: &[Said]) -> bool {
    let columns: Vec<_> = deed.column.iter().map(String::as_str).collect();
    said.iter()
        .any(|it| it.is_a(puts) && it.carries_row(&columns))
}

/// A column of a table, if it holds texts.
fn text_of<'a>(table: &'a Shape, column: &str) -> Option<&'a ShapeColumn> {
    column_of(table, column).filter(|it| holds_text(&it.declared))
}

fn column_of<'a>(table: &'a Shape, column: &str) -> Option<&'a ShapeColumn> {
    let mut columns = table.columns.iter();
    columns.find(|it| it.name.eq_ignore_ascii_case(column))
}

/// Whether a column says who wrote a message: it has few values, and each belongs to its row.
fn is_of_speaker(table: &Shape, column: &str) -> bool {
    const SPEAKERS: [&str; 7] = [
        "author",
        "direction",
        "messagetype",
        "role",
        "sender",
        "sendertype",
        "speaker",
    ];
    const CONTENT: [&str; 5] = ["body", "content", "message", "parts", "text"];
    let lower = column.to_lowercase().replace('_', "");
    let is_speaker = SPEAKERS.iter().any(|it| lower.ends_with(it));
    let is_content = |it: &ShapeColumn| {
        let name = it.name.to_lowercase();
        name != column.to_lowercase()
            && holds_text(&it.declared)
            && CONTENT.iter().any(|content| name.contains(content))
    };
    is_speaker && table.columns.iter().any(is_content)
}

/// Whether a column is named as a state or a kind, with which new rows may begin.
fn is_of_state(column: &str) -> bool {
    const STATES: [&str; 7] = ["categ", "kind", "level", "phase", "prior", "stat", "type"];
    let lower = column.to_lowercase();
    STATES.iter().any(|it| lower.contains(it))
}

/// Whether it puts rows into a table.
const fn puts(kind: &Kind) -> bool {
    matches!(kind, Kind::Insert { .. } | Kind::Merge { .. })
}

/// Whether what it does is in something else that it runs.
const fn runs(kind: &Kind) -> bool {
    matches!(kind, Kind::Call)
}
