//! Checks that stored conversations survive: over a restart, and between two snapshots.
//!
//! A stream of [`crate::model::StoredMessage`] goes into a [`SnapshotBuilder`], which keeps keyed digests
//! only; [`file::write()`] makes a snapshot of them. Later a [`Comparer`] takes the live store, or
//! [`compare_files`] a second snapshot, and distinguishes growth from loss and alteration. Memory stays
//! flat however many messages there are: what does not fit is sorted and spilled.

pub mod arm;
mod background;
pub mod checks;
pub mod compare;
mod conversation_digest;
mod dependents;
mod entry;
pub mod evidence;
mod expected;
pub mod file;
mod fingerprint;
mod key;
pub mod live;
mod message_hasher;
mod open;
mod order;
mod quick;
pub mod rate;
pub mod restart;
mod sketch;
pub mod snapshot;
mod snapshot_builder;
mod spill;
mod sum;
mod table;
mod turns;

pub use background::Background;
pub use compare::{Comparer, Comparison, compare_files, compare_files_as, compare_sums};
pub use conversation_digest::ConversationDigest;
pub use entry::{Entry, Id};
pub use expected::expected;
pub use key::Key;
pub use message_hasher::MessageHasher;
pub use open::may_go_on;
pub use quick::{Halves, Sums};
pub use sketch::Sketch;
pub use snapshot_builder::{CELLS, Detail, Late, Names, Parts, Settings, SnapshotBuilder, Summary};
pub use sum::Sum;
pub use turns::{AnswerState, Asked, asked};
