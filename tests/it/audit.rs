//! `chatctl audit snapshot`, `compare` and `arm` on real stores: what is fine is never a finding,
//! and what is not is named as what it is.

mod across;
mod ages;
mod as_before;
mod changes;
mod chats;
mod detected;
mod faults;
mod files;
mod growth;
mod marks;
mod operations;
mod ordered;
mod quick;
mod ranges;
mod versions;
