//! Which process listens on a port, from Linux's `/proc`.

use crate::trace::processes;
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

/// The processes of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    /// The process group of its command; 0 where that could not be run.
    pub(super) group: u32,
    /// The helper that started it; absent once that has ended. Everything below it is the server's: it takes over
    /// what has lost its parent.
    pub(super) helper: Option<u32>,
}

impl Family {
    fn has(self, pid: u32) -> bool {
        match self.helper {
            Some(helper) => processes::is_below(pid, helper),
            None => self.has_in_group(pid),
        }
    }

    pub(super) fn has_in_group(self, pid: u32) -> bool {
        processes::group(pid) == Some(self.group)
    }

    pub(super) fn members(self) -> BTreeSet<u32> {
        match self.helper {
            Some(helper) => processes::below(helper),
            None => {
                let mut all = processes::all();
                all.retain(|pid| self.has_in_group(*pid));
                all.into_iter().collect()
            }
        }
    }
}

/// Who listens on a port.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A process of the server.
    Ours,
    /// Another process, by its id.
    Other(u32),
    /// `/proc` does not tell.
    Unknown,
}

/// Whether a process of a server listens on `port`.
pub(super) fn owner(port: u16, server: Family) -> Owner {
    let sockets = listening_sockets(port);
    if sockets.is_empty() {
        return Owner::Unknown;
    }
    let mut stranger = None;
    for pid in processes::all() {
        if holds(pid, &sockets) {
            if server.has(pid) {
                return Owner::Ours;
            }
            stranger = Some(pid);
        }
    }
    stranger.map_or(Owner::Unknown, Owner::Other)
}

pub(super) fn holders(port: u16) -> BTreeSet<u32> {
    let sockets = listening_sockets(port);
    let mut all = processes::all();
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

fn holds(pid: u32, sockets: &HashSet<String>) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    entries
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
}

#[cfg(test)]
mod tests {
    use super::{Family, Owner, Reserved, holders, is_free, owner, program};
    use crate::trace::processes;
    use std::collections::BTreeSet;

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let me = std::process::id();
        let server = |group, helper| Family { group, helper };
        let group = processes::group(me).unwrap();
        assert!(!is_free(port));
        assert_eq!(owner(port, server(group, None)), Owner::Ours);
        assert_eq!(owner(port, server(u32::MAX, None)), Owner::Other(me));
        // Started by the helper, in whatever group.
        let parent = std::os::unix::process::parent_id();
        assert_eq!(owner(port, server(u32::MAX, Some(parent))), Owner::Ours);
        assert_eq!(owner(port, server(u32::MAX, Some(me))), Owner::Other(me));
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
        let nobody = Family {
            group: 1,
            helper: None,
        };
        assert_eq!(owner(port, nobody), Owner::Unknown);
    }
}
