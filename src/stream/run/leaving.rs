//! In which ways a client can leave the server under test.

use super::stage::Stage;
use super::suite::Suite;
use crate::http::speaks_http2;
use crate::stream::faults::Way;

impl Stage<'_> {
    /// The ways in which a client can leave this server.
    pub(super) async fn ways_to_leave(&mut self) -> Vec<Way> {
        if self.world.base.scheme() != "http" {
            // Whoever encrypts a connection ends it, too.
            return vec![Way::Fin];
        }
        let mut ways = Way::ALL.to_vec();
        if !self.has_streams().await {
            ways.retain(|way| *way != Way::ResetStream);
            if let Suite::Sweep { .. } = self.options.suite {
                self.note(&format!(
                    "{}: no case aborts a single stream, because the answers do not come over HTTP/2 without encryption",
                    self.session.name
                ));
            }
        }
        ways
    }

    /// Whether an answer can come as one of the streams of a connection.
    async fn has_streams(&mut self) -> bool {
        let carries = self.session.carries(&self.session.request);
        if carries.handshake.is_some() {
            return false;
        }
        // A server without HTTP/2 may write that it did not understand the question.
        self.provoke();
        let speaks = speaks_http2(&self.world.base).await;
        self.calm().await;
        speaks
    }
}
