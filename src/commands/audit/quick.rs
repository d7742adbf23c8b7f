//! `--quick`: the database sums its messages, and chatctl reads only the last ones.

use super::look;
use crate::audit::evidence::Evidence;
use crate::audit::file::Snapshot;
use crate::audit::live::{LateCommits, Live};
use crate::audit::snapshot::{Pace as _, Taken};
use crate::audit::{Comparison, Key, Late, Settings, Sums, file};
use crate::cli_error::CliError;
use crate::commands::Env;
use crate::model::{Listed, StoredMessage};
use crate::store::{Form, OrderOf, SumOf, Unsettled};
use crate::{audit, clock, store};
use std::ops::ControlFlow;
use std::time::Duration;

/// A message that is still open after this time will stay so.
const OPEN: Duration = Duration::from_secs(24 * 60 * 60);

/// What such a look can't tell.
pub(super) const LIMITS: &str = "; up to the mark only sums of 64 bits without a key are kept: they name a conversation that changed, not its \
     message, and miss a change that was made to keep the sum; new messages were not checked for copies of old ones";

/// The sums of everything that is not written to any more, digests of what is behind it, and the
/// number of conversations.
pub(super) async fn taken(
    env: &Env,
    live: &Live,
    key: &Key,
    settings: Settings,
) -> anyhow::Result<Taken> {
    usable(live)?;
    let before = |time| live.taken.saturating_sub(clock::micros(time));
    let settled = before(settings.settle);
    let unsettled = Unsettled {
        settled,
        open: before(OPEN),
        goes_on: &|message| audit::may_go_on(message, live.taken, live.taken - settled),
    };
    let (mark, end) = store::mark(live.db.as_ref(), &live.mapping, &unsettled).await?;
    let mut sums = Sums::new(key, settings, mark, end)?;
    let (mut conversations, late) = (0, LateCommits::default());
    // What came after the mark is in the tail.
    let ends = Ends {
        mark,
        end,
        late: &late,
        running: &[],
        form: Form::NEW,
    };
    read(env, live, &ends, &mut |it| match it {
        It::Tail(message, late) => Ok(sums.take_tail(message, late)?),
        It::Conversation(key, listed) => Ok(sums.add_conversation(key, listed)?),
        It::Sum(of) => {
            conversations += 1;
            Ok(sums.take(of.conversation, of.sum, of.messages, of.grown)?)
        }
        It::Order(of) => Ok(sums.take_order(of.conversation, of.sum, of.messages, of.ties)?),
    })
    .await?;
    Ok(Taken {
        parts: sums.finish()?,
        conversations,
    })
}

/// What became of a snapshot of sums, and how many messages there are now.
pub(super) async fn compared(
    env: &Env,
    before: &Snapshot,
    live: &Live,
    settings: Settings,
    late: &LateCommits,
) -> anyhow::Result<(Comparison, u64)> {
    usable(live)?;
    let form = form_of(before);
    before.fits(&mapping(live, form))?;
    let (mark, end) = before.ends();
    let running = live.running_then(&before.header);
    let ends = Ends {
        mark,
        end,
        late,
        running: &running,
        form,
    };
    let mut sums = Sums::after(before, settings)?;
    let mut messages = 0;
    read(env, live, &ends, &mut |it| match it {
        It::Tail(message, late) => Ok(sums.take_tail(message, late)?),
        It::Conversation(key, listed) => Ok(sums.add_conversation(key, listed)?),
        It::Sum(of) => {
            messages += of.messages + of.grown;
            Ok(sums.take(of.conversation, of.sum, of.messages, of.grown)?)
        }
        It::Order(of) => Ok(sums.take_order(of.conversation, of.sum, of.messages, of.ties)?),
    })
    .await?;
    let mut found = audit::compare_sums(before, &mapping(live, form), sums.halves()?)?;
    if !found.groups.is_empty() {
        env.progress
            .note("something differs: reading the store again to name it");
        read(env, live, &ends, &mut |it| {
            match it {
                It::Tail(message, _) => found.name_message(message),
                It::Conversation(key, _) => found.name(key),
                It::Sum(of) => found.name(of.conversation),
                It::Order(of) => found.name(of.conversation),
            }
            Ok(())
        })
        .await?;
    }
    Ok((found, messages))
}

/// Reads the store as it was read for a snapshot of sums: a status that it did not have then would
/// be in the sums of now, and says nothing of what was finished.
pub(super) fn reads_as(live: &mut Live, before: &Snapshot) {
    let summed = &before.header.mapping.summed;
    let form = form_of(before);
    let is_of = |live: &Live| *summed == store::summed(live.db.as_ref(), &live.mapping, form);
    if summed.is_empty() || is_of(live) {
        return;
    }
    let mapping = live.mapping.clone();
    live.mapping = mapping.clone().without_status();
    if !is_of(live) {
        live.mapping = mapping;
    }
}

/// Refuses sums of stored bytes if the table of the messages may have got another character set
/// since: a wrong change keeps the bytes, and a right one changes them.
pub(super) fn has_same_texts(before: &Snapshot, after: &Evidence) -> Result<(), CliError> {
    if !form_of(before).may_be_misread(before.header.evidence.engine) {
        return Ok(());
    }
    let table = &before.header.store.messages;
    let created = |of: &Evidence| Some(of.tables.get(table)?.get("created")?.to_owned());
    let then = created(&before.header.evidence);
    if then.is_some() && then == created(after) {
        return Ok(());
    }
    Err(CliError::refused(format!(
        "an older chatctl took the snapshot, and summed the stored bytes of texts; `{table}` was altered or \
         copied since, and may have another character set"
    ))
    .hint("take a new one; one without --quick can be compared whatever the character set"))
}

/// How the sums of a snapshot are made.
fn form_of(before: &Snapshot) -> Form {
    let mapping = &before.header.mapping;
    Form::of(mapping.sums.as_deref().unwrap_or_default(), &mapping.summed)
}

/// The mapping of a snapshot of sums: those of one engine are not those of another.
pub(super) fn mapping(live: &Live, form: Form) -> file::Mapping {
    file::Mapping {
        sums: Some(form.maker(live.db.target().engine())),
        summed: store::summed(live.db.as_ref(), &live.mapping, form),
        ..live.fingerprinted()
    }
}

fn usable(live: &Live) -> Result<(), CliError> {
    match store::unsummable(live.db.as_ref(), &live.mapping) {
        None => Ok(()),
        Some(why) => Err(CliError::usage(format!(
            "`--quick` is not possible for this store: {why}"
        ))
        .hint("chatctl audit snapshot -o FILE, without --quick")),
    }
}

/// Up to where sums and tail go, and what may have come late.
struct Ends<'a> {
    mark: i64,
    end: i64,
    late: &'a LateCommits,
    running: &'a [(u64, u64)],
    form: Form,
}

/// What the database tells.
enum It<'a> {
    /// A message of the tail.
    Tail(&'a StoredMessage, Late),
    /// A conversation that has a row of its own.
    Conversation(&'a str, Listed),
    /// The sum of one.
    Sum(SumOf<'a>),
    /// The order of its messages.
    Order(OrderOf<'a>),
}

/// The tail comes first.
async fn read(
    env: &Env,
    live: &Live,
    ends: &Ends<'_>,
    take: &mut (dyn FnMut(It<'_>) -> anyhow::Result<()> + Send),
) -> anyhow::Result<()> {
    let (db, mapping) = (live.db.as_ref(), &live.mapping);
    let mut pace = look::Pace::new(env, live).await;
    let mut whole = true;
    let mut each = |it: It<'_>| -> anyhow::Result<ControlFlow<()>> {
        take(it)?;
        let flow = pace.conversation();
        whole &= flow.is_continue();
        Ok(flow)
    };
    let mut tail = |message: &mut StoredMessage| {
        let late = ends.late.of(message);
        each(It::Tail(message, late))
    };
    store::tail(db, mapping, (ends.mark, ends.end), &mut tail).await?;
    let mut listed = |key: &str, listed| each(It::Conversation(key, listed));
    store::scan_conversations(db, mapping, &mut listed).await?;
    let upto = (ends.mark, ends.running);
    store::sums(db, mapping, ends.form, upto, &mut |of| each(It::Sum(of))).await?;
    store::orders(db, mapping, ends.end, ends.running, &mut |of| {
        each(It::Order(of))
    })
    .await?;
    live.db.unchanged().await?;
    if whole {
        Ok(())
    } else {
        Err(CliError::interrupted().into())
    }
}
