//! chatctl proves that a chat service never loses a message.
//!
//! Who may name whom (held by `tests/it/layers.rs`):
//!
//! - `model`, `redact`, `clock` and `itself` name nothing else, `report` names `model`; both do no I/O.
//! - the cores `stream::{sse, body, marker, declared, session, cassette, profiles, faults, turn, judge}` name only
//!   `model`, `report` and the error type of `stop`.
//! - `db` and `http` do I/O and name `model`, and `db` the tokens of `sql`; sqlx is named in `db` only, reqwest in `http` only.
//! - `db` has a folder an engine. What is in none of them names no engine but by the type
//!   `model::Engine`; `db` itself leads from an engine to its row, and a row answers every question
//!   that the rest of the program has.
//! - `source_error` is a mistake in a file that a person wrote: a session, a cassette, the settings.
//! - `gateway` and `demo` serve HTTP; axum is named there only. `gateway` plays cassettes.
//! - `gateway::{providers, answer, cut}` do no I/O and name only `stream::cassette`: what a provider
//!   speaks. `stream::profiles` is the other side: what a client reads from the server.
//! - `store` reads chats through `db`; `gate` locks them through `db`, or withholds the server's own
//!   commits: on the wire, or by `trace`, which looks at the system calls of a server that `http`
//!   starts.
//! - `stream::run` drives the cores through all of these. `stream::setup` prepares it from what a
//!   command wants and the settings say.
//! - `audit` compares what survives, keeps digests of messages, and writes and reads the files that
//!   hold them. `audit::restart` drives `stream::run` around a restart.
//! - `audit::evidence` reads what identifies a table through `db`; its `judge` does no I/O.
//! - `audit::checks` judges what `store` reads, and asks `db` only for what no message holds.
//! - `sql` names nothing. `lint` judges texts through it and does no I/O.
//! - `guard` and the cores of `migrate` do no I/O but reading files; `migrate::apply` drives them
//!   through `db`.
//! - `redact` hides what users wrote. `mask`, through which all output passes, uses it.
//! - `render` writes a report or a view into the writer that it is given.
//! - `screen` brings the pieces of a view to where they are shown. `outlet` is the way to stdout,
//!   through a `spool` for slow readers and a `pager` for a person.
//! - `sink` writes a result into a file, a pipe or a device. `temporary` keeps what a run needs on
//!   disk, and removes what dead runs left there. Both name no core.
//! - `commands` wires everything. `app` and `main` own the streams and the exit code.
//!
//! `docs/architecture.md` has the same as a picture, with the words of the project.

pub mod app;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod closed;
pub mod commands;
pub mod config;
pub mod db;
pub mod demo;
pub mod explain;
pub mod gate;
pub mod gateway;
pub mod guard;
pub mod http;
pub mod input;
pub mod itself;
pub mod lint;
pub mod mask;
pub mod migrate;
pub mod model;
pub mod outcome;
pub mod outlet;
pub mod pager;
pub mod progress;
pub mod redact;
pub mod render;
pub mod report;
pub mod reports;
pub mod screen;
pub mod sink;
pub mod source_error;
pub mod spool;
pub mod sql;
pub mod stop;
pub mod store;
pub mod stream;
pub mod temporary;
pub mod trace;
