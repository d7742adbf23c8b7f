//! A stub for systems where a server's calls can't be inspected.

use super::wire::{Ask, TracerMessage};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::time::Duration;

/// A server that this process has started.
pub struct Server {
    root: Pid,
    ended: Option<i32>,
}

impl Server {
    /// It was just started.
    pub fn new(root: Pid) -> Self {
        Self { root, ended: None }
    }

    /// Its exit code, once it has ended; 1 when a signal ended it.
    pub fn ended(&self) -> Option<i32> {
        self.ended
    }

    /// How long the next look may be put off.
    pub fn pause(&self) -> Duration {
        Duration::from_millis(10)
    }

    /// Says that it can't be done.
    pub fn ask(&mut self, _ask: Ask) -> Vec<TracerMessage> {
        vec![TracerMessage::Failed(
            "system calls can be held on Linux only".to_owned(),
        )]
    }

    /// Looks whether it has ended.
    pub fn look(&mut self) -> Vec<TracerMessage> {
        match waitpid(self.root, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => self.ended = Some(code),
            Ok(WaitStatus::Signaled(..)) => self.ended = Some(1),
            _ => {}
        }
        Vec::new()
    }

    /// Nothing is held.
    pub fn let_go(&mut self) {}
}
