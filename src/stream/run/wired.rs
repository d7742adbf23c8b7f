//! Whether the server's way to its store leads through the gate: else its commits can't be withheld,
//! and no verdict may be built on that they were.

use super::live::Live;
use super::stage::Stage;
use crate::cli_error::CliError;
use crate::gate::AnyGate;
use crate::model::Cell;

impl Stage<'_> {
    /// Looks for the answer of this turn in what the server writes.
    pub(super) async fn look_for(&mut self, live: &Live) -> anyhow::Result<()> {
        match &mut self.world.gate {
            Some(AnyGate::Commits(gate)) => gate.look_for(&live.nonce).await,
            Some(AnyGate::Lock(_)) | None => Ok(()),
        }
    }

    /// Stops where an answer was stored and nothing of the server came through the gate.
    pub(super) async fn check_wired(&mut self) -> anyhow::Result<()> {
        let Some(AnyGate::Commits(gate)) = &mut self.world.gate else {
            return Ok(());
        };
        let Some(traffic) = gate.traffic().await? else {
            return Ok(());
        };
        if traffic.carried {
            return Ok(());
        }
        let elsewhere = self.sessions().await;
        if traffic.connections == 0 {
            return Err(CliError::unreachable(format!(
                "the server does not connect to its database through chatctl, so its commits can't be withheld{elsewhere}"
            ))
            .hint(self.world.how_to_connect())
            .into());
        }
        let broken = traffic
            .broken
            .map_or_else(String::new, |why| format!(" (a connection broke: {why})"));
        // Then every commit counts as the answer's, and the rule decides.
        self.world.progress.warning(&format!(
            "the answer was stored, and chatctl did not see its text on the way to the database{broken}: \
                another process saves it, or the connection is compressed{elsewhere}"
        ));
        Ok(())
    }

    /// Who is connected to the database, as it says itself.
    async fn sessions(&self) -> String {
        let db = self.world.db();
        let Some(query) = db.catalog().sessions else {
            return String::new();
        };
        // Only said in passing: a login that may not look says nothing.
        let rows = db.rows(query, &[]).await.unwrap_or_default();
        let sessions: Vec<_> = rows
            .iter()
            .filter_map(|row| match row.as_slice() {
                [Cell::Text(who), count] => Some(format!("{} by {who}", count.int()?)),
                _ => None,
            })
            .collect();
        match sessions.as_slice() {
            [] => String::new(),
            sessions => format!(
                "; the database has these connections: {}",
                sessions.join(", ")
            ),
        }
    }
}
