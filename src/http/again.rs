//! Stops a server gracefully, and starts it again on the same port.

use super::listener;
use super::listener::Owner;
use super::server::{ASK, Begun, NOT_STARTED, Server};
use crate::cli_error::CliError;
use crate::clock;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long the port may stay taken after the server that had it ended.
const PORT_WAIT: Duration = Duration::from_secs(5);

/// What became of a server that was to be started again.
pub enum Again {
    /// It answers.
    Ready,
    /// It does not, by its own doing, and why.
    Broken(String),
}

impl Server {
    /// Asks it, and everything that it started, to end.
    pub fn ask_to_end(&self) {
        self.helper.ask_to_end();
    }

    /// Whether it, and everything that it started, ends within this time.
    pub async fn ends_within(&mut self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.child.wait())
            .await
            .is_ok()
    }

    /// The processes that listen on its port.
    pub fn holders(&self) -> BTreeSet<u32> {
        listener::holders(self.port())
    }

    /// Starts it once more, on the same port, after it was ended. `old`: the processes that had
    /// listened there. One that is not ready is ended.
    ///
    /// # Errors
    /// When it is not the server's doing that it is not ready, or nobody can tell: another process
    /// has the port, or it runs and needs more time than it may take.
    pub async fn start_again(&mut self, old: &BTreeSet<u32>) -> anyhow::Result<Again> {
        let (start, port) = (self.start.clone(), self.port());
        let deadline = clock::now() + PORT_WAIT;
        while !listener::is_free(port) {
            if clock::now() >= deadline {
                return taken(port, &listener::holders(port), old);
            }
            tokio::time::sleep(ASK).await;
        }
        let reserved = self.reserved.take();
        *self = Self::launch(&start, port).await?;
        self.reserved = reserved;
        if self.group == 0 {
            let error = self.failed(NOT_STARTED).await;
            return Ok(Again::Broken(format!("{error:#}")));
        }
        let begun = self.begun().await?;
        if begun == Begun::Ready {
            return Ok(Again::Ready);
        }
        let error = self.not_ready(begun).await;
        if let Owner::Other(pid) = listener::owner(port, self.family()) {
            return taken(port, &BTreeSet::from([pid]), old);
        }
        match begun {
            Begun::Slow => Err(error),
            _ => Ok(Again::Broken(format!("{error:#}"))),
        }
    }
}

/// What it means that processes have the port, or a connection that no process is seen to hold.
fn taken(port: u16, by: &BTreeSet<u32>, old: &BTreeSet<u32>) -> anyhow::Result<Again> {
    let named = |pid: &u32| {
        let program = listener::program(*pid).map(|name| format!(" ({name})"));
        format!("process {pid}{}", program.unwrap_or_default())
    };
    if let Some(left) = by.intersection(old).next() {
        return Ok(Again::Broken(format!(
            "{} of the old server still listens on port {port}",
            named(left)
        )));
    }
    let by = by
        .first()
        .map_or_else(|| "another process".to_owned(), named);
    Err(CliError::unreachable(format!(
        "{by} took port {port} after the server was stopped, so the server could not be started there"
    ))
    .hint("stop that process, or leave --server out and use {port} in --start")
    .into())
}

#[cfg(test)]
mod tests {
    use super::{Again, taken};
    use std::collections::BTreeSet;

    #[test]
    fn what_the_old_server_left_is_its_own_doing() {
        let me = BTreeSet::from([std::process::id()]);
        match taken(8000, &me, &me).unwrap() {
            Again::Broken(why) => assert!(why.contains("of the old server still listens"), "{why}"),
            Again::Ready => panic!("the port is taken"),
        }
        for by in [me, BTreeSet::new()] {
            let told = taken(8000, &by, &BTreeSet::from([1]))
                .err()
                .unwrap()
                .to_string();
            assert!(told.contains("took port 8000"), "{told}");
        }
    }
}
