//! MySQL's and MariaDB's protocol between the server under test and its database.

use super::queue::Queue;
use super::upstream::Upstream;
use super::wire::Raw;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

pub(super) async fn serve(
    _client: Raw,
    _upstream: &Upstream,
    _queue: Arc<Queue>,
    _acceptor: &TlsAcceptor,
) -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}
