//! A conversation without a message.

use super::absent::Names;
use super::{Cause, CauseCounts, Check, CheckContext, Look, Thing, cause};
use crate::db::Tried;
use crate::model::{Cell, CellRef};
use crate::report::Severity::Note;
use crate::store::{Shape, time_of_text};
use std::ops::ControlFlow;

pub(super) const CHECK: Check = Check {
    code: "empty-conversation",
    causes: CAUSES,
    help: "create the conversation's row together with its first message; if there were messages, `chatctl audit compare` with an earlier snapshot names them",
    unfit,
    look: Look::Store(look),
};

static CAUSES: &[Cause] = &[cause(
    "no-message",
    Note,
    "a conversation has no message: nobody wrote in it, or its messages are gone",
)];

fn unfit(context: &CheckContext<'_>) -> Option<&'static str> {
    statement(context)
        .is_none()
        .then_some("messages and conversations are not in two tables")
}

fn look<'a>(context: &'a CheckContext<'a>, tally: &'a mut CauseCounts) -> Tried<'a, ()> {
    Box::pin(async move {
        let sql = statement(context).expect("a check that does not fit the store is skipped");
        let mut row = |cells: &[CellRef<'_>]| -> anyhow::Result<ControlFlow<()>> {
            let text = |at: usize| Cell::from(cells[at]).to_string();
            let created = time_of_text(&text(0));
            if context.is_over(created) {
                let key: Vec<_> = (1..cells.len()).map(text).collect();
                tally.row(&CAUSES[0], created, || Thing {
                    conversation: Some(key.join("/")),
                    ..Thing::default()
                });
            }
            Ok(ControlFlow::Continue(()))
        };
        context.db.scan(&sql, &[], &mut row).await
    })
}

fn statement(context: &CheckContext<'_>) -> Option<String> {
    let store = context.mapping.store();
    let (db, message) = (context.db, &store.message);
    let place = store.conversation.as_ref()?;
    if matches!(store.shape, Shape::Blob | Shape::Chain) || message.conversation.is_empty() {
        return None;
    }
    let mine = message.conversation.iter().map(|source| {
        let is_column = !source.is_json() && source.places.len() == 1;
        is_column.then(|| source.columns().next())?
    });
    let (join, absent) = Names {
        table: &place.table,
        columns: place.key.iter().map(String::as_str).collect(),
        other: &message.table,
        keys: mine.collect::<Option<_>>()?,
    }
    .absent(context);
    let created = place
        .created
        .as_ref()
        .map_or("NULL".to_owned(), |name| format!("m.{}", db.quote(name)));
    let keys: Vec<_> = place
        .key
        .iter()
        .map(|key| format!("m.{}", db.quote(key)))
        .collect();
    let column = |name: &str| format!("m.{}", db.quote(name));
    let mut wanted = vec![absent];
    wanted.extend(
        place
            .only
            .as_ref()
            .map(|only| format!("({})", only.sql(column))),
    );
    wanted.extend(
        place
            .deleted
            .as_ref()
            .map(|deleted| format!("NOT ({})", deleted.sql(column))),
    );
    Some(format!(
        "SELECT {created}, {} FROM {} m {join} WHERE {}",
        keys.join(", "),
        db.quote(&place.table),
        wanted.join(" AND "),
    ))
}
