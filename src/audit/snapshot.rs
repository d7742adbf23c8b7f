//! Takes a snapshot of a store: reads everything once, and keeps digests.

use super::background::Background;
use super::key::Key;
use super::live::{LateCommits, Live, Visitor};
use super::snapshot_builder::{Late, Parts, Settings, SnapshotBuilder};
use crate::model::{DependentRow, Listed, StoredMessage};
use std::ops::ControlFlow;

/// Follows the progress, and may stop the reading.
pub trait Pace: Send {
    fn conversation(&mut self) -> ControlFlow<()>;
    /// One more message was read.
    fn message(&mut self) -> ControlFlow<()>;
}

/// What a snapshot holds.
#[derive(Debug)]
pub struct Taken {
    /// Digests of every message, for [`super::file::write()`].
    pub parts: Parts,
    /// How many conversations have a row of their own.
    pub conversations: u64,
}

/// Reads the store once. Returns nothing when `pace` stopped it.
///
/// # Errors
/// When the store can't be read, or what does not fit into memory can't be written.
pub async fn take(
    live: &Live,
    key: &Key,
    settings: Settings,
    pace: &mut dyn Pace,
) -> anyhow::Result<Option<Taken>> {
    let mut everything = Everything {
        builder: Background::start(SnapshotBuilder::new(key, settings)?)?,
        pace,
        conversations: 0,
    };
    if !live.read(&LateCommits::default(), &mut everything).await? {
        return Ok(None);
    }
    Ok(Some(Taken {
        parts: everything.builder.finish()?,
        conversations: everything.conversations,
    }))
}

struct Everything<'p> {
    builder: Background,
    pace: &'p mut dyn Pace,
    conversations: u64,
}

impl Visitor for Everything<'_> {
    fn conversation(&mut self, key: &str, listed: Listed) -> anyhow::Result<ControlFlow<()>> {
        self.conversations += 1;
        self.builder.add_conversation(key, listed)?;
        Ok(self.pace.conversation())
    }

    fn message(
        &mut self,
        message: &mut StoredMessage,
        late: Late,
    ) -> anyhow::Result<ControlFlow<()>> {
        self.builder.add(message, late)?;
        Ok(self.pace.message())
    }

    fn dependent(&mut self, row: DependentRow) -> anyhow::Result<ControlFlow<()>> {
        self.builder.add_dependent(row)?;
        Ok(self.pace.conversation())
    }
}
