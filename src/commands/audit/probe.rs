//! The probe of `chatctl audit rate`: which answers are stored, whatever the client does.

use super::rate::Args;
use super::rate::case;
use crate::audit::rate;
use crate::audit::rate::Figures;
use crate::commands::Env;
use crate::commands::verify_stream;
use crate::db;
use crate::report::Finding;
use crate::report::Report;
use crate::report::Severity;
use crate::report::Source;
use crate::report::Verdict;
use crate::stop::Stop;
use crate::stream::faults::CLOSE_IN_STREAM;
use crate::stream::run;
use crate::stream::run::Probed;
use crate::stream::run::Probes;

/// Sends the turns and counts; the server that was started is ended, whatever happens.
pub(super) async fn run(args: &Args, env: &Env, report: &mut Report) -> anyhow::Result<Figures> {
    let told = args.as_verify_stream();
    let sessions = verify_stream::sessions(&told, env)?;
    let options = verify_stream::options(&told, &env.config)?;
    let [(session, profile)] = sessions.as_slice() else {
        return Err(Stop::usage(format!(
            "--probe takes one session, and these are {}",
            sessions.len()
        ))
        .hint("name a file: --probe sessions/hello.toml")
        .into());
    };
    for secret in &session.secrets {
        env.mask.keep(secret.expose());
    }
    let target = env.target()?;
    let mut world = verify_stream::world(&told, env, &target).await?;
    let probed = tokio::select! {
        probed = async {
            world.db = Some(db::open(target).await?);
            run::probe(&mut world, session, profile, &options, args.probes).await
        } => probed,
        () = env.until_interrupted() => Err(Stop::interrupted().into()),
    };
    world.close().await;
    let probes = probed?;
    if !probes.through_gateway {
        env.progress.note(
            "the server asked a provider of its own: answers are known by what was streamed of them",
        );
    }
    Ok(tell(&session.name, probes, args, report))
}

fn tell(session: &str, probes: Probes, args: &Args, report: &mut Report) -> Figures {
    let min = args.min.unwrap_or(1.0);
    report.store = probes.store;
    for probed in &probes.clients {
        report.checked += probed.sent;
        let share = probed.answers as f64 / probed.sent.max(1) as f64;
        let low = share < min;
        // A product may mean to forget an answer that nobody waits for: then it is no broken promise.
        let meant = probed.client == CLOSE_IN_STREAM.name;
        let verdict = match (probed.sent, low && !meant) {
            (0, _) => Verdict::Inconclusive,
            (_, true) => Verdict::Violated,
            (_, false) => Verdict::Held,
        };
        let reason = format!(
            "{} of {} answers were stored, and {} of the questions",
            probed.answers, probed.sent, probed.questions
        );
        let name = format!("{session}/{}", probed.client);
        let mut case = case(&name, probed.client, verdict, reason);
        case.took = probed.took;
        case.metrics.insert("sent", probed.sent as f64);
        case.metrics
            .insert("questions_stored", probed.questions as f64);
        case.metrics.insert("answers_stored", probed.answers as f64);
        case.metrics.insert("save_share", share);
        report.cases.push(case);
        if low {
            let severity = match meant {
                true => Severity::Warning,
                false => Severity::Error,
            };
            report.add(finding(&name, severity, probed));
        }
    }
    Figures {
        saved: probes
            .clients
            .iter()
            .map(|probed| (probed.client, probed.sent, probed.answers))
            .collect(),
        at: super::now() / 1_000_000,
        ..Figures::default()
    }
}

fn finding(name: &str, severity: Severity, probed: &Probed) -> Finding {
    let lost = probed.sent - probed.answers;
    let finding = Finding::new(
        rate::SAVED_LOW,
        severity,
        name,
        format!(
            "{lost} of {} answers are not stored although they were streamed ({})",
            probed.sent, probed.client
        ),
        "save in a task that the client's departure does not cancel, and commit before the final marker goes out",
    );
    let lost = probed.lost.iter().take(5);
    lost.fold(finding, |finding, fact| finding.with(Source::Stream, fact))
        .in_case(name)
}
