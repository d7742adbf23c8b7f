//! A history that can only be loaded by a full table scan.

use super::{Cause, CauseCounts, Check, CheckContext, Look, Thing, cause};
use crate::db::Tried;
use crate::model::Cell;
use crate::report::Severity::Note;
use crate::store::Shape;

pub(super) const CHECK: Check = Check {
    code: "no-index",
    causes: CAUSES,
    help: "CREATE INDEX on the column that names the conversation, followed by the one that orders its messages",
    unfit,
    look: Look::Store(look),
};

static CAUSES: &[Cause] = &[cause(
    "full-scan",
    Note,
    "no index begins with the column that names the conversation: each reload reads every message of every user",
)];

fn column<'g>(context: &'g CheckContext<'_>) -> Option<&'g str> {
    let store = context.mapping.store();
    if matches!(store.shape, Shape::Blob | Shape::Chain) {
        return None;
    }
    let source = store.message.conversation.first()?;
    (!source.is_json()).then(|| source.columns().next())?
}

fn unfit(context: &CheckContext<'_>) -> Option<&'static str> {
    column(context)
        .is_none()
        .then_some("no column of the messages names their conversation")
}

fn look<'a>(context: &'a CheckContext<'a>, tally: &'a mut CauseCounts) -> Tried<'a, ()> {
    Box::pin(async move {
        let sql = context.db.catalog().first_columns;
        let table = &context.mapping.store().message.table;
        let rows = context.db.rows(sql, &[Cell::Text(table.clone())]).await?;
        let column = column(context).expect("a check that does not fit the store is skipped");
        let indexed = rows
            .iter()
            .any(|row| row[0].to_string().eq_ignore_ascii_case(column));
        if !indexed {
            tally.row(&CAUSES[0], None, || {
                Thing::fact(format!("`{table}`.`{column}`"))
            });
        }
        Ok(())
    })
}
