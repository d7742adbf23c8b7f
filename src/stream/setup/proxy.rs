//! The server's way to its store, where it leads through chatctl.

use super::{Context, Wanted};
use crate::cli_error::CliError;
use crate::db::Target;
use crate::gate;
use crate::gate::{Listen, Proxy};
use crate::stream::run::{Options, Proof};

/// The proxy gate, where it can be used. Refuses what no gate and no fault works on, before anything
/// is started.
///
/// # Errors
/// When the store can't be verified as it is wanted.
pub async fn proxy(
    wanted: &Wanted,
    context: &Context<'_>,
    options: &Options,
    target: &Target,
) -> anyhow::Result<Option<Proxy>> {
    let config = context.config;
    let engine = target.engine();
    let listen = config.value("database-listen", wanted.database_listen.as_deref())?;
    let observe = "use --proof observe, which needs no gate and proves less";
    match options.proof {
        Proof::Observe => return Ok(None),
        Proof::Fault if gate::triggers(engine).is_some() && options.faults.is_empty() => {
            return Ok(None);
        }
        Proof::Auto | Proof::Gate | Proof::Fault => {}
    }
    let Some(kind) = gate::on(engine, options.gate.as_deref()).next() else {
        return Err(CliError::refused(match &options.gate {
            Some(name) => format!("gate {name} does not work on {engine}"),
            None => format!("no gate works on {engine}"),
        })
        .hint(observe)
        .into());
    };
    let is_wire = matches!(kind.how, gate::How::Wire);
    if !is_wire {
        return match listen {
            None => Ok(None),
            Some(_) => Err(CliError::usage(format!(
                "--database-listen is for gate proxy, and {engine} has no wire to listen on"
            ))
            .hint("leave --database-listen out")
            .into()),
        };
    }
    let started = config.value("start", wanted.start.as_deref())?.is_some();
    let Some(listen) = listen.or_else(|| started.then(|| "127.0.0.1:0".to_owned())) else {
        // Which lock can be taken is known when the table of answers is.
        let can_lock = options.faults.is_empty()
            && options.proof != Proof::Fault
            && gate::on(engine, options.gate.as_deref())
                .any(|kind| matches!(kind.how, gate::How::Lock(_)));
        if can_lock {
            return Ok(None);
        }
        return Err(CliError::refused(format!(
            "the server's commits can't be withheld: its way to `{target}` does not lead through chatctl"
        ))
        .hint(format!(
            "let chatctl start the server (--start), or use --database-listen 127.0.0.1:9192 and let the server \
             connect there; or {observe}"
        ))
        .into());
    };
    let address = listen.parse().map_err(|_| {
        CliError::usage(format!("`{listen}` is not an address with a port"))
            .hint("--database-listen 127.0.0.1:9192")
    })?;
    let proxy = Proxy::listen(&Listen::Tcp(address), target, options.max_hold)
        .await?
        .watched(options.max_hold)?;
    context.progress.note(&format!(
        "gate {}: holds back {}, at most {} at a time",
        kind.name,
        kind.what,
        humantime::format_duration(options.max_hold)
    ));
    Ok(Some(proxy))
}
