//! One program of all integration tests: each module is a part of what chatctl does, on real
//! databases, servers and processes.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by a panic, and a test program exports nothing"
)]

mod common;

mod acknowledged;
mod adopt;
mod around_final;
mod asked_again;
mod audit;
mod audit_check;
mod audit_rate;
mod backend_errors;
mod backend_types;
mod backends;
mod backup;
mod bad_input;
mod bad_servers;
mod cases;
mod catalogue;
mod chat_schema;
mod cli;
mod commit_faults;
mod commit_ways;
mod compatible;
mod copied;
mod demo;
mod deploys;
mod detection;
mod docs;
mod driver_ways;
mod ended_early;
mod evidence;
mod failures;
mod files;
mod folders;
mod gate_release;
mod gateway;
mod guard;
mod harm;
mod hints;
mod inspect;
mod inspect_chats;
mod later;
mod layers;
mod lint;
mod lock_gates;
mod logins;
mod looking;
mod matrix;
mod meanwhile;
mod migrate;
mod next_step;
mod node_servers;
mod odd_servers;
mod orphans;
mod other_servers;
mod other_stacks;
mod output;
mod presets;
mod private_servers;
mod processes;
mod profiles;
mod provider_faults;
mod providers;
mod proxy_fuzz;
mod proxy_gate;
mod real_engines;
mod rebuilt;
mod registry;
mod rehearsal;
mod replay;
mod replicas;
mod reports;
mod restart;
mod resume;
mod sameness;
mod sent_twice;
mod session_docs;
mod session_flows;
mod session_outside;
mod sessions;
mod side_by_side;
mod sockets;
mod sqlite_faults;
mod squawk_oracle;
mod sse;
mod steady;
mod stepwise;
mod store_shapes;
mod stream_quality;
#[cfg(target_os = "linux")]
mod syscall_gate;
mod tools;
mod unread;
mod ways;
