//! The threads of a server and of everything that it started.

use super::Thread;
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The numbers of all threads of a process and of its descendants. What ends meanwhile is left
/// out.
pub(super) fn threads_below(root: Pid) -> Vec<Thread> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for process in numbers("/proc") {
        if let Some(parent) = parent(process) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut processes = BTreeSet::new();
    let mut next = vec![root.as_raw().cast_unsigned()];
    while let Some(process) = next.pop() {
        if processes.insert(process) {
            next.extend(children.get(&process).into_iter().flatten());
        }
    }
    let tasks = processes.into_iter();
    tasks
        .flat_map(|process| numbers(&format!("/proc/{process}/task")))
        .collect()
}

fn numbers(folder: &str) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Whether a thread has ended, and is there only until its parent asks for it (`Z`), or is gone.
pub(super) fn has_ended(thread: Thread) -> bool {
    stat(thread, 0).is_none_or(|state| ["Z", "X", "x"].contains(&state.as_str()))
}

fn parent(process: u32) -> Option<u32> {
    stat(process, 1)?.parse().ok()
}

/// A field of `/proc/PID/stat`, counted from behind the name: that is in parentheses, with any
/// character.
fn stat(process: u32, field: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace();
    fields.nth(field).map(str::to_owned)
}
