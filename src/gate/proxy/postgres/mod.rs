//! PostgreSQL's protocol between the server under test and its database.

mod frame;
mod login;
mod session;

use super::queue::Queue;
use super::relay::Relay;
use super::upstream::Upstream;
use super::wire::Raw;
use session::Postgres;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Serves one connection until it ends.
pub(super) async fn serve(
    client: Raw,
    upstream: &Upstream,
    queue: Arc<Queue>,
    acceptor: &TlsAcceptor,
) -> anyhow::Result<()> {
    match login::begin(client, upstream, &queue, acceptor).await? {
        Some((client, database)) => {
            Relay::new(Postgres::new(), queue)
                .run(client, database)
                .await
        }
        None => Ok(()),
    }
}
