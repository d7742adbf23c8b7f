//! Messages without a defined order.

use super::{Cause, CauseCounts, Check, CheckContext, Look, cause};
use crate::audit::turns;
use crate::model::{Column, Role};
use crate::report::Severity::Warning;
use crate::store::{Shape, Thread};

pub(super) const CHECK: Check = Check {
    code: "order-tied",
    causes: CAUSES,
    help: "order by a column that counts (a serial key, a position), or keep times in microseconds",
    unfit,
    look: Look::Thread(look),
};

static CAUSES: &[Cause] = &[cause(
    "same-time",
    Warning,
    "a question and an answer have the same time, and nothing else orders them: a reload may show the answer first",
)];

fn unfit(context: &CheckContext<'_>) -> Option<&'static str> {
    const ORDERED: &str = "a column other than the time orders the messages";
    let store = context.mapping.store();
    let by_place = match store.shape {
        Shape::Turn | Shape::Blob | Shape::Chain => true,
        Shape::Row | Shape::Event | Shape::Opaque => false,
    };
    if by_place {
        return Some(ORDERED);
    }
    let Some(time) = &store.message.time else {
        return Some("the mapping names no time");
    };
    let is_time = |name: &String| time.columns().any(|column| column == name);
    let counts = |name: &String| {
        let column = context.column(&store.message.table, name);
        !is_time(name) && column.is_some_and(Column::is_whole)
    };
    let ordered = store.message.order.iter().any(counts) || store.message.parent.is_some();
    ordered.then_some(ORDERED)
}

fn look(thread: &Thread, _ground: &CheckContext<'_>, tally: &mut CauseCounts) {
    let shown = thread.messages.iter().filter(|it| turns::is_shown(it));
    let shown: Vec<_> = shown.collect();
    for pair in shown.windows(2) {
        let same = pair[0].time.is_some() && pair[0].time == pair[1].time;
        let sides = [Role::User, Role::Assistant];
        let both = sides
            .iter()
            .all(|side| pair.iter().any(|it| it.role == *side));
        if same && both {
            let fact = format!("the same time as message `{}`", pair[0].key);
            tally.message(&CAUSES[0], pair[1], &fact);
        }
    }
}
