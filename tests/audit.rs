//! `chatctl audit snapshot`, `compare` and `arm` on real stores: what is fine is never a finding,
//! and what is not is named as what it is.
#![allow(clippy::unwrap_used)]

#[path = "audit/across.rs"]
mod across;
#[path = "audit/ages.rs"]
mod ages;
#[path = "audit/changes.rs"]
mod changes;
#[path = "audit/chats.rs"]
mod chats;
mod common;
#[path = "audit/faults.rs"]
mod faults;
#[path = "audit/files.rs"]
mod files;
#[path = "audit/growth.rs"]
mod growth;
#[path = "audit/marks.rs"]
mod marks;
#[path = "audit/operations.rs"]
mod operations;
#[path = "audit/quick.rs"]
mod quick;
#[path = "audit/ranges.rs"]
mod ranges;
#[path = "audit/versions.rs"]
mod versions;
