//! Chats over any database: which tables and columns hold them, and reading them.

mod branch;
mod chain;
mod check;
mod declared;
mod decode;
mod detect;
mod elsewhere;
mod fit;
mod heads;
mod join;
mod keys;
mod list;
mod mapping;
mod names;
mod packed;
mod parts;
mod plan;
mod predicate;
mod presets;
mod ranges;
mod read;
mod reconcile;
mod roles;
mod row;
mod score;
mod search;
mod source;
mod status;
mod sums;
mod threads;
mod tie;
mod time;
mod values;
mod wish;
mod words;

pub use declared::{Allowed, Shape, Store};
pub use detect::{
    Candidate, Hit, by_names, candidates, choose, find_text, from_hits, nothing_found,
};
pub use fit::{Misfit, misfits};
pub use heads::heads;
pub use list::{Filter, TakeKey, conversations, find, one, scan_conversations};
pub use mapping::{Mapping, Origin};
pub use predicate::Predicate;
pub use presets::{Preset, all as presets};
pub use ranges::{Range, Split, split};
pub use read::{Take, by_key, conversation, holding, raw, scan, scan_range, written_by};
pub use reconcile::{Difference, reconcile};
pub use search::{Way, search, way};
pub use source::Source;
pub use sums::{SumOf, TakeSum, mark, sums, tail, unsummable};
pub use threads::{TakeThread, Thread, threads};
pub use time::of_text as time_of_text;
pub use wish::Declared;
