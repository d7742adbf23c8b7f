//! chatctl checks that a chat service never loses a message.
//!
//! Which module may name which (`tests/it/layers.rs` checks it):
//!
//! - `text` names no other module, and every module may name it.
//! - `model`, `redact`, `clock`, `closed`, `input`, `sql` and `explain` name no other module. `report`
//!   names `model`. `cli_error` is the error type, with a kind that decides the exit code of `outcome`.
//! - The pure cores of `stream` (`sse`, `body`, `marker`, `declared`, `session`, `cassette`, `profiles`,
//!   `faults`, `turn`, `judge`) do no I/O. They name `model`, `report` and the error types.
//! - `db` and `http` do I/O. sqlx and rusqlite are named in `db` only, reqwest in `http` only.
//! - `db` has one folder per engine. Files outside these folders name an engine only by the type
//!   `model::Engine`. `db` maps each engine to its row, and the row answers all questions of the
//!   other modules about that engine.
//! - `trust` says whose certificate is taken for a database server's.
//! - `trace` watches the system calls of a server that `http` starts.
//! - `source_error` is a mistake in a file that a person wrote: a session, a cassette, the settings.
//! - `gateway` plays cassettes as the LLM provider, and `demo` is a chat server. Both serve HTTP, and axum
//!   is named only there. `gateway::{providers, answer, read, cut, faults}` do no I/O: they know the formats that
//!   providers send. `stream::profiles` knows the formats that a client reads.
//! - `store` finds chats and reads them through `db`.
//! - `gate` withholds commits: on the wire to the database, at system calls (through `trace`), or by a lock
//!   (through `db`).
//! - `stream::run` drives the cores through all of these. `stream::setup` prepares a run from a
//!   command's arguments and the settings.
//! - `audit` keeps digests of messages, compares them, and writes and reads snapshot files.
//!   `audit::live` reads a store for it, and `audit::restart` drives `stream::run` around a restart.
//!   `audit::evidence` reads what identifies a table; its `judge` does no I/O. `audit::checks` judges
//!   messages that `store` reads, and asks `db` only for facts that no message holds.
//! - `lint` judges SQL texts through `sql` and does no I/O. `guard` reads source files and judges
//!   them.
//! - `migrate::{plan, preserve, drift}` are pure. `migrate::apply` runs migrations through `db`.
//! - `mask` hides secrets in all output, and `redact` what users wrote.
//! - `render` writes a report or a view into a writer. `reports` renders the reports that settings ask
//!   for, and `progress` draws a line on stderr.
//! - `screen` shows a view piece by piece. `outlet` is the way to stdout, through a `spool` for slow readers or
//!   a `pager`. `sink` writes a result into a file, a pipe or a device.
//! - `temporary` owns a run's temporary files, and removes those of runs that were killed.
//! - `config` reads `chatctl.toml` and the environment, and `cli` the command line.
//! - `commands` connects everything. `app` and `main` own the streams and the exit code.
//!
//! `docs/architecture.md` has a diagram of the modules, and a glossary.

pub mod app;
pub mod audit;
pub mod cli;
pub mod cli_error;
pub mod clock;
pub mod closed;
pub mod commands;
pub mod config;
pub mod current_exe;
pub mod db;
pub mod demo;
pub mod explain;
pub mod gate;
pub mod gateway;
pub mod guard;
pub mod http;
pub mod input;
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
pub mod store;
pub mod stream;
pub mod temporary;
pub mod text;
pub mod trace;
pub mod trust;
