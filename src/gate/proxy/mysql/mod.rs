//! MySQL's and MariaDB's protocol between the server under test and its database.

mod login;
mod packet;
mod session;

use super::queue::Queue;
use super::relay::Relay;
use super::upstream::Upstream;
use super::wire::Raw;
use login::LoggedIn;
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
        Some(LoggedIn {
            client,
            database,
            session,
            number,
        }) => {
            let relay = Relay::new(session, queue).known_by(number);
            relay.run(client, database).await
        }
        None => Ok(()),
    }
}
