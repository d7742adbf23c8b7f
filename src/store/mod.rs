//! Chats over any database: which tables and columns hold them, and reading them.

mod branch;
mod candidate;
mod chain;
mod check;
mod companions;
mod conversation_rows;
mod declared;
mod declared_config;
mod decode;
mod dependents;
mod detect;
mod elsewhere;
mod in_parts;
mod join;
mod key_tables;
mod keys;
mod links;
mod list;
mod mapping;
mod names;
mod packed;
mod part_names;
mod parts;
mod plan;
mod predicate;
mod preset_match;
mod presets;
mod ranges;
mod read;
mod reconcile;
mod roles;
mod row;
mod score;
mod search;
mod select;
mod source;
mod status;
mod sums;
mod text_match;
mod texts;
mod threads;
mod tie;
mod time;
mod values;
mod words;

pub use candidate::{Candidate, ColumnMatch};
pub use conversation_rows::{Filter, heads, own_rows};
pub use declared::{Allowed, Shape, Store};
pub use declared_config::Declared;
pub use dependents::{TakeDependent, dependents, probe_dependent, scan_dependent, scan_heads};
pub use detect::{
    Choice, Unread, by_names, candidates, choose, find_text, from_hits, nothing_found, unread,
};
pub use elsewhere::hint as chats_elsewhere;
pub use in_parts::in_parts;
pub use links::{Links, links};
pub use list::{TakeKey, conversations, find, one, scan_conversations};
pub use mapping::{Mapping, Origin};
pub use parts::{is_hosted, parts_of};
pub use predicate::Predicate;
pub use preset_match::{Misfit, misfits, sealed};
pub use presets::{Preset, all as presets};
pub use ranges::{Range, Split, split};
pub use read::{
    by_key, conversation, holding, intact, last_place, newest, raw, scan, scan_range, written_by,
};
pub use reconcile::{MessageDifference, reconcile};
pub use search::{Way, search, way};
pub use select::Take;
pub use source::Source;
pub use sums::{
    Form, OrderOf, SumOf, TakeOrder, TakeSum, Unsettled, mark, orders, summed, sums, tail,
    unsummable,
};
pub use threads::{TakeThread, Thread, threads};
pub use time::of_text as time_of_text;
