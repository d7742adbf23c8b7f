//! What `--quick` does: the database adds up its messages, and no message is read.

use super::look;
use super::look::Look;
use crate::audit;
use crate::audit::Comparison;
use crate::audit::Key;
use crate::audit::Parts;
use crate::audit::Sums;
use crate::audit::file;
use crate::audit::file::Snapshot;
use crate::audit::live::Live;
use crate::commands::Env;
use crate::stop::Stop;
use crate::store;
use crate::store::SumOf;
use std::ops::ControlFlow;
use std::time::Duration;

/// A message that is still open after this time will stay so.
const OPEN: Duration = Duration::from_secs(24 * 60 * 60);

/// What such a look can't tell.
pub(super) const LIMITS: &str = "; sums of 64 bits, which are not keyed, tell that a conversation changed up to the mark, and \
     neither which message nor a change that is made to leave the sum as it was";

/// The sums of everything that is not written to any more, and how many conversations that is.
pub(super) async fn taken(
    look: &Look,
    env: &Env,
    live: &Live,
    key: &Key,
    settle: Duration,
) -> anyhow::Result<(Parts, u64)> {
    usable(live)?;
    let before = |time| live.taken.saturating_sub(super::micros(time));
    let mark = store::mark(
        live.db.as_ref(),
        &live.mapping,
        before(settle),
        before(OPEN),
    )
    .await?;
    let mut sums = Sums::new(key, live.taken, mark, look.memory()?);
    let mut conversations = 0;
    // What came after the mark belongs to the next look.
    read(env, live, mark, &[], &mut |it| match it {
        It::Conversation(key) => Ok(sums.take_conversation(key)?),
        It::Sum(of) => {
            conversations += u64::from(of.messages > 0);
            Ok(sums.take(of.conversation, of.sum, of.messages, 0)?)
        }
    })
    .await?;
    Ok((sums.finish()?, conversations))
}

/// What became of a snapshot of sums, and how many messages there are now.
pub(super) async fn compared(
    look: &Look,
    env: &Env,
    before: &Snapshot,
    live: &Live,
    key: &Key,
) -> anyhow::Result<(Comparison, u64)> {
    usable(live)?;
    before.fits(&mapping(live))?;
    let mark = before.summary.high.unwrap_or(i64::MIN);
    let late = live.running_then(&before.header);
    let mut sums = Sums::new(key, live.taken, mark, look.memory()?);
    let mut messages = 0;
    read(env, live, mark, &late, &mut |it| match it {
        It::Conversation(key) => Ok(sums.take_conversation(key)?),
        It::Sum(of) => {
            messages += of.messages + of.grown;
            Ok(sums.take(of.conversation, of.sum, of.messages, of.grown)?)
        }
    })
    .await?;
    let mut found = audit::compare_sums(before, &mapping(live), sums.finish()?)?;
    if !found.groups.is_empty() {
        env.progress
            .note("something differs: the store is asked once more, to name it");
        read(env, live, mark, &late, &mut |it| {
            match it {
                It::Conversation(key) => found.name(key),
                It::Sum(of) => found.name(of.conversation),
            }
            Ok(())
        })
        .await?;
    }
    Ok((found, messages))
}

/// The mapping of a snapshot of sums: those of one engine are not those of another.
pub(super) fn mapping(live: &Live) -> file::Mapping {
    file::Mapping {
        sums: Some(live.db.target().backend().to_owned()),
        ..live.fingerprinted()
    }
}

fn usable(live: &Live) -> Result<(), Stop> {
    match store::unsummable(live.db.as_ref(), &live.mapping) {
        None => Ok(()),
        Some(why) => Err(
            Stop::usage(format!("`--quick` can't be had of this store: {why}"))
                .hint("chatctl audit snapshot -o FILE, without --quick"),
        ),
    }
}

/// What the database tells.
enum It<'a> {
    /// A conversation that has a row of its own.
    Conversation(&'a str),
    /// The sum of one.
    Sum(SumOf<'a>),
}

async fn read(
    env: &Env,
    live: &Live,
    mark: i64,
    late: &[(u64, u64)],
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
    store::scan_conversations(db, mapping, &mut |key: &str| each(It::Conversation(key))).await?;
    store::sums(db, mapping, mark, late, &mut |of| each(It::Sum(of))).await?;
    live.db.unchanged().await?;
    match whole {
        true => Ok(()),
        false => Err(Stop::interrupted().into()),
    }
}
