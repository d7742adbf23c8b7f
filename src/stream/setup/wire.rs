//! The server's connection to its store through chatctl.

use super::{Context, Wanted};
use crate::cli_error::CliError;
use crate::db::Target;
use crate::gate;
use crate::gate::{CommitGate, ControlAddress, Listen, Proxy, RemoteProxy};
use crate::model::Engine;
use crate::stream::run::{Options, Proof, Way};
use std::net::SocketAddr;
use std::time::Duration;

/// The proxy gate on the server's way to its store.
pub struct Wire {
    pub gate: Box<dyn CommitGate>,
    /// Where the server connects.
    pub way: Way,
    /// The longest hold, which the gate may know better.
    pub max_hold: Duration,
}

/// The gates that work on an engine, in words.
fn gates_of(engine: Engine) -> Option<String> {
    let names: Vec<_> = gate::on(engine, None).map(|kind| kind.name).collect();
    (!names.is_empty()).then(|| format!("on {engine}: --gate {}", names.join(", ")))
}

/// The proxy gate, where it can be used. Refuses what no gate and no fault works on, before anything
/// is started.
///
/// # Errors
/// When the store can't be verified as it is wanted.
pub async fn wire(
    wanted: &Wanted,
    context: &Context<'_>,
    options: &Options,
    target: &Target,
) -> anyhow::Result<Option<Wire>> {
    let config = context.config;
    let engine = target.engine();
    let listen = config.value("database-listen", wanted.database_listen.as_deref())?;
    let control = config.value("gate-control", wanted.gate_control.as_deref())?;
    let observe = "use --proof observe, which needs no gate and proves less";
    match options.proof {
        Proof::Observe => return Ok(None),
        Proof::Fault if gate::triggers(engine).is_some() && options.faults.is_empty() => {
            return Ok(None);
        }
        Proof::Auto | Proof::Gate | Proof::Fault => {}
    }
    let Some(kind) = gate::on(engine, options.gate.as_deref()).next() else {
        let stop = match &options.gate {
            Some(name) => CliError::usage(format!("gate {name} does not work on {engine}")),
            None => CliError::refused(format!("no gate works on {engine}")),
        };
        let hint = gates_of(engine).unwrap_or_else(|| observe.to_owned());
        return Err(stop.hint(hint).into());
    };
    let is_wire = matches!(kind.how, gate::How::Wire);
    if !is_wire {
        let flag = match (&listen, &control) {
            (None, None) => return Ok(None),
            (Some(_), _) => "--database-listen",
            (None, Some(_)) => "--gate-control",
        };
        let stop = match options.gate {
            None => CliError::usage(format!(
                "{flag} is for gate proxy, but {engine} has no connection to listen on"
            )),
            Some(_) => CliError::usage(format!("{flag} is for gate proxy, not for {}", kind.name)),
        };
        return Err(stop.hint(format!("leave {flag} out")).into());
    }
    if let Some(control) = control {
        let wire = remote(&control, options, target).await?;
        context.progress.note(&format!(
            "gate {}, by the `chatctl gate` that is controlled at {control}: withholds {}, at most {:?} at a time",
            kind.name,
            kind.what,
            wire.max_hold
        ));
        return Ok(Some(wire));
    }
    let started = config.starts(wanted.start.as_deref())?;
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
            "the server's commits cannot be withheld: it does not connect to `{target}` through chatctl"
        ))
        .hint(format!(
            "let chatctl start the server (--start), or use --database-listen 127.0.0.1:9192 and let the server \
             connect there; for a container use `chatctl gate` (docs/processes.md); or {observe}"
        ))
        .into());
    };
    let listen = Listen::parse(&listen).ok_or_else(|| {
        CliError::usage(format!(
            "`{listen}` is neither an address with a port nor unix:PATH"
        ))
        .hint("--database-listen 127.0.0.1:9192")
    })?;
    let proxy = Proxy::listen(&listen, target, options.max_hold)?.watched(options.max_hold)?;
    context.progress.note(&format!(
        "gate {}: withholds {}, at most {:?} at a time",
        kind.name, kind.what, options.max_hold
    ));
    Ok(Some(Wire {
        way: Way::Proxy(through(target, proxy.at())),
        gate: Box::new(proxy),
        max_hold: options.max_hold,
    }))
}

/// A gate in another process.
async fn remote(control: &str, options: &Options, target: &Target) -> anyhow::Result<Wire> {
    let at = ControlAddress::parse(control).ok_or_else(|| {
        CliError::usage("`--gate-control` is empty")
            .hint("give the path or address that `chatctl gate` prints")
    })?;
    let gate = RemoteProxy::connect(&at).await?;
    if gate.engine() != target.engine() {
        return Err(CliError::usage(format!(
            "the gate at `{at}` is in front of {}, but `{target}` is {}",
            gate.engine(),
            target.engine()
        ))
        .hint("give --database-url the database that `chatctl gate` is in front of")
        .into());
    }
    // Every address of a machine: the one by which the gate itself was found.
    let listen = match (gate.listen(), at.machine()) {
        (Listen::Tcp(address), Some(machine)) if address.ip().is_unspecified() => {
            Listen::Tcp(SocketAddr::new(machine, address.port()))
        }
        (listen, _) => listen.from_here(),
    };
    Ok(Wire {
        way: Way::Gate {
            target: through(target, &listen),
            listen: gate.listen().to_string(),
        },
        max_hold: options.max_hold.min(gate.max_hold()),
        gate: Box::new(gate),
    })
}

/// The database by way of a proxy.
fn through(target: &Target, listen: &Listen) -> Target {
    match listen {
        Listen::Tcp(address) => target.through(*address),
        Listen::Unix(path) => target.through_socket(path),
    }
}
