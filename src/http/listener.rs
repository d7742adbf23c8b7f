//! Which process listens on a port, from Linux's `/proc`.

use std::collections::{BTreeSet, HashSet};
use std::net::{TcpListener, UdpSocket};
use std::ops::Range;
use std::{fs, io};

/// Below the ports that systems give to whoever asks for any: 32768 and up on Linux, 49152 and up
/// elsewhere. From there another process could be given the port of a server that is stopped.
const PORTS: Range<u16> = 20_000..30_000;

/// A loopback port that is kept from other runs for as long as this lives.
///
/// A server's port is free before it listens and while it is stopped, and must stay its own. What
/// says so is the same number among the ports of UDP, which a server of HTTP does not need.
#[derive(Debug)]
pub struct Reserved {
    udp: UdpSocket,
}

impl Reserved {
    /// Reserves a port that nobody listens on.
    ///
    /// # Errors
    /// When none is found.
    pub fn new() -> io::Result<Self> {
        const TRIES: usize = 200;
        let mut tries = (0..TRIES).map(|_| fastrand::u16(PORTS));
        let free = tries.find_map(|port| {
            let udp = UdpSocket::bind(("127.0.0.1", port)).ok()?;
            is_free(port).then_some(Self { udp })
        });
        free.ok_or_else(|| io::Error::other(format!("none of {TRIES} ports is free")))
    }

    /// Its number.
    pub fn port(&self) -> u16 {
        let address = self.udp.local_addr();
        address
            .expect("a socket that is bound has an address")
            .port()
    }
}

/// Whether the port of a loopback address can be listened on.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Who listens on a port.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A process of the group.
    Ours,
    /// A process outside the group, by its id.
    Other(u32),
    /// `/proc` does not tell.
    Unknown,
}

/// Whether a process of the group `group` listens on `port`.
pub(super) fn owner(port: u16, group: u32) -> Owner {
    let sockets = listening_sockets(port);
    if sockets.is_empty() {
        return Owner::Unknown;
    }
    let mut stranger = None;
    for pid in processes() {
        if holds(pid, &sockets) {
            if process_group(pid) == Some(group) {
                return Owner::Ours;
            }
            stranger = Some(pid);
        }
    }
    stranger.map_or(Owner::Unknown, Owner::Other)
}

pub(super) fn holders(port: u16) -> BTreeSet<u32> {
    let sockets = listening_sockets(port);
    let mut all = processes();
    all.retain(|pid| !sockets.is_empty() && holds(*pid, &sockets));
    all.into_iter().collect()
}

/// The name of the program that a process runs, where `/proc` tells.
pub(super) fn program(pid: u32) -> Option<String> {
    let file = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = file.file_name()?.to_str()?;
    // A program that was installed again meanwhile is still the same one.
    Some(name.trim_end_matches(" (deleted)").to_owned())
}

pub(super) fn members(group: u32) -> BTreeSet<u32> {
    let mut all = processes();
    all.retain(|pid| process_group(*pid) == Some(group));
    all.into_iter().collect()
}

/// Inodes of the sockets that listen on a port: column 2 is the local address,
/// column 4 the state (0A is LISTEN), column 10 the inode (proc_net_tcp, kernel documentation).
fn listening_sockets(port: u16) -> HashSet<String> {
    let port = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| {
            table
                .lines()
                .skip(1)
                .filter_map(|line| {
                    // Most lines are of other ports, and there may be thousands.
                    let mut fields = line.split_ascii_whitespace();
                    let is_it = fields.nth(1)?.ends_with(&port) && fields.nth(1)? == "0A";
                    is_it.then(|| Some(format!("socket:[{}]", fields.nth(5)?)))?
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

fn holds(pid: u32, sockets: &HashSet<String>) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    entries
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
}

fn process_group(pid: u32) -> Option<u32> {
    status_field(pid, 5)?.parse().ok()
}

/// When a process was started, as the system counts: with its id it names the process and no later one.
pub(super) fn started_at(pid: u32) -> Option<u64> {
    status_field(pid, 22)?.parse().ok()
}

/// A field of `/proc/PID/stat` behind the second, counted from 1; the name in field 2 may hold spaces and
/// brackets (proc(5)).
fn status_field(pid: u32, number: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    fields.nth(number - 3).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{Owner, Reserved, holders, is_free, owner, process_group, program};
    use std::collections::BTreeSet;

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let me = std::process::id();
        let group = process_group(me).unwrap();
        assert!(!is_free(port));
        assert_eq!(owner(port, group), Owner::Ours);
        assert_eq!(owner(port, u32::MAX), Owner::Other(me));
        assert!(holders(port).contains(&me));
        assert!(program(me).unwrap().starts_with("chatctl"));
    }

    #[test]
    fn a_reserved_port_is_free_and_not_given_twice() {
        let reserved: Vec<_> = (0..50).map(|_| Reserved::new().unwrap()).collect();
        let ports: BTreeSet<_> = reserved.iter().map(Reserved::port).collect();
        assert_eq!(ports.len(), reserved.len());
        let port = reserved[0].port();
        assert!(is_free(port) && holders(port).is_empty());
        assert_eq!(owner(port, 1), Owner::Unknown);
    }
}
