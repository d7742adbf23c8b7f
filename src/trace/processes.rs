//! The processes of this machine, from Linux's `/proc`. Elsewhere there are none to be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// All that there are.
pub fn all() -> Vec<u32> {
    numbers("/proc")
}

/// The descendants of a process, without itself. What ends meanwhile is left out.
pub fn below(root: u32) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for process in all() {
        if let Some(parent) = parent(process) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = BTreeSet::new();
    let mut next = vec![root];
    while let Some(process) = next.pop() {
        let children = children.get(&process).into_iter().flatten();
        next.extend(children.filter(|child| found.insert(**child)));
    }
    found
}

/// Whether a process is a descendant of another one.
pub fn is_below(process: u32, root: u32) -> bool {
    let parents = std::iter::successors(parent(process), |process| parent(*process));
    parents
        .take_while(|parent| *parent != 0)
        .any(|parent| parent == root)
}

/// The numbers of a process's threads.
pub fn threads(process: u32) -> Vec<u32> {
    numbers(&format!("/proc/{process}/task"))
}

/// Whether a thread has ended, and is there only until its parent asks for it (`Z`), or is gone.
pub fn has_ended(thread: u32) -> bool {
    stat(thread, 3).is_none_or(|state| ["Z", "X", "x"].contains(&state.as_str()))
}

fn parent(process: u32) -> Option<u32> {
    stat(process, 4)?.parse().ok()
}

pub fn group(process: u32) -> Option<u32> {
    stat(process, 5)?.parse().ok()
}

/// When a process was started, as the system counts: with its id it names the process and no later one.
pub fn started_at(process: u32) -> Option<u64> {
    stat(process, 22)?.parse().ok()
}

fn numbers(folder: &str) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// A field of `/proc/PID/stat` behind the second, counted from 1; the name in field 2 may hold spaces and
/// brackets (proc(5)).
fn stat(process: u32, number: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace();
    fields.nth(number - 3).map(str::to_owned)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{all, below, group, has_ended, is_below, started_at, threads};
    use std::process::{Command, Stdio};

    #[test]
    fn a_child_is_below_until_it_has_ended() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let (id, me) = (child.id(), std::process::id());
        assert!(below(me).contains(&id) && is_below(id, me));
        assert!(!below(id).contains(&id) && !is_below(me, id) && !is_below(id, id));
        assert!(all().contains(&me) && threads(id).contains(&id));
        assert_eq!(group(id), group(me));
        assert!(started_at(id) >= started_at(me));
        assert!(!has_ended(id));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(has_ended(id) && !is_below(id, me));
    }
}
