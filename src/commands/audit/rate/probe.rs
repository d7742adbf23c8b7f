//! The probe of `chatctl audit rate`: which answers are stored, whatever the client does.

use super::args::Args;
use super::case;
use crate::audit::rate;
use crate::audit::rate::{Figures, Saved};
use crate::cli_error::CliError;
use crate::clock;
use crate::commands::Env;
use crate::report::{Finding, Report, Severity, Source, Verdict};
use crate::stream::faults::CLOSE_IN_STREAM;
use crate::stream::kept::{AnswerFate, Marked};
use crate::stream::run::{Probed, Probes};
use crate::stream::{run, setup};

/// Sends the turns and counts; the server that was started is ended, whatever happens.
pub(super) async fn run(args: &Args, env: &Env, report: &mut Report) -> anyhow::Result<Figures> {
    let (wanted, context) = (args.wanted(), env.setup());
    let sessions = setup::sessions(&wanted, &context)?;
    let target = env.target()?;
    let options = setup::options(&wanted, &env.config, &target)?;
    let [(session, profile)] = sessions.as_slice() else {
        return Err(CliError::usage(format!(
            "--probe takes one session, but these are {}",
            sessions.len()
        ))
        .hint("name a file: --probe sessions/hello.toml")
        .into());
    };
    let world = setup::world(&wanted, &context, &target, None);
    let mut world = env.unless_interrupted(world).await?;
    let probing = async {
        world.open_if_there().await?;
        run::probe(&mut world, session, profile, &options, args.probes).await
    };
    let probed = env.unless_interrupted(probing).await;
    world.close().await;
    let probes = probed?;
    if !probes.through_gateway {
        env.progress.note(
            "the server asked its own provider: answers are recognized by their streamed text",
        );
    } else if !probes.reads {
        env.progress.note(&format!(
            "profile `{}` does not read the text of this server's stream, so it is not known how much of an \
                answer a client had seen; stored answers are recognized by the text that the gateway sent",
            probes.profile
        ));
    }
    Ok(tell(&session.name, probes, args, report))
}

/// How many questions are stored, in words.
fn questions(probed: &Probed) -> String {
    match (probed.questions, probed.sent) {
        (1, 1) => "the question is stored".to_owned(),
        (stored, sent) if stored == sent => format!("all {sent} questions are stored"),
        (stored, sent) => format!("{stored} of {sent} questions are stored"),
    }
}

fn tell(session: &str, probes: Probes, args: &Args, report: &mut Report) -> Figures {
    let min = args.min.unwrap_or(1.0);
    report.store = probes.store;
    if let Some(detected) = probes.detected {
        report.add(detected);
    }
    let has_questions = probes.clients.iter().any(|probed| probed.questions > 0);
    for probed in &probes.clients {
        report.checked += probed.sent;
        let counts = Counts::of(probed);
        // A product may mean to forget an answer that nobody waits for, or to keep what came of it:
        // then no promise is broken. What is cut and looks whole is still said.
        let meant = probed.client == CLOSE_IN_STREAM.name;
        let kept = counts.whole + if meant { counts.marked } else { 0 };
        let judged = probed.sent - counts.unknown;
        let low = judged > 0 && (kept as f64) < min * judged as f64;
        let idle = probed.idle.as_ref().map_or(0, |(count, _)| *count);
        let is_idle = idle == probed.sent;
        let lost = probed.sent.saturating_sub(probed.questions);
        let verdict = match (low, meant) {
            _ if !probed.doubled.is_empty() || lost > 0 && has_questions => Verdict::Violated,
            (true, false) => Verdict::Violated,
            // Where no row of any turn has the mark, questions may be spelled in another way.
            _ if is_idle || lost > 0 => Verdict::Inconclusive,
            (_, false) if counts.unknown > 0 => Verdict::Inconclusive,
            _ => Verdict::Held,
        };
        let mut reason = format!("{}; {}", counts.words(probed.sent), questions(probed));
        if let Some((count, why)) = &probed.idle {
            reason = format!("{reason}; in {count} of {} turns {why}", probed.sent);
        }
        if !probed.doubled.is_empty() {
            let count = probed.doubled.len();
            reason = format!(
                "{reason}; {count} of {} are stored more than once",
                probed.sent
            );
        }
        let name = format!("{session}/{}", probed.client);
        let mut case = case(&name, probed.client, verdict, reason);
        case.took = probed.took;
        case.metrics.insert("sent", probed.sent as f64);
        case.metrics
            .insert("questions_stored", probed.questions as f64);
        for (outcome, count) in counts.outcomes() {
            case.metrics.insert(outcome, count as f64);
        }
        let share = counts.whole as f64 / probed.sent.max(1) as f64;
        case.metrics.insert("save_share", share);
        report.cases.push(case);
        if low {
            let severity = if meant {
                Severity::Warning
            } else {
                Severity::Error
            };
            report.add(finding(&name, severity, probed, &counts));
        }
        if !probed.doubled.is_empty() {
            report.add(doubled(&name, probed));
        }
        if lost > 0 && has_questions {
            report.add(lost_questions(&name, probed, lost));
        }
    }
    let saved = |probed: &Probed| {
        let counts = Counts::of(probed);
        Saved {
            client: probed.client,
            sent: probed.sent,
            whole: counts.whole,
            outcomes: counts.outcomes().to_vec(),
        }
    };
    Figures {
        saved: probes.clients.iter().map(saved).collect(),
        at: clock::calendar() / 1_000_000,
        ..Figures::default()
    }
}

/// How many answers there are of each outcome.
#[derive(Debug, Default)]
struct Counts {
    whole: u64,
    marked: u64,
    unmarked: u64,
    nothing: u64,
    unknown: u64,
}

impl Counts {
    fn of(probed: &Probed) -> Self {
        let mut counts = Self::default();
        for kept in &probed.answers {
            *match kept {
                AnswerFate::Whole => &mut counts.whole,
                AnswerFate::Cut {
                    marked: Marked::No, ..
                } => &mut counts.unmarked,
                AnswerFate::Cut {
                    marked: Marked::Status(_) | Marked::Words,
                    ..
                } => &mut counts.marked,
                AnswerFate::Nothing => &mut counts.nothing,
                AnswerFate::Unknown(_) => &mut counts.unknown,
            } += 1;
        }
        counts
    }

    fn outcomes(&self) -> [(&'static str, u64); 5] {
        [
            ("whole", self.whole),
            ("cut-marked", self.marked),
            ("cut-unmarked", self.unmarked),
            ("nothing", self.nothing),
            ("unknown", self.unknown),
        ]
    }

    /// As a part of a sentence. What is not there is not named, but for whole answers.
    fn words(&self, sent: u64) -> String {
        let mut words = vec![format!("{} of {sent} answers are whole", self.whole)];
        let mut add = |count: u64, what: &str| {
            if count > 0 {
                words.push(format!("{count} {what}"));
            }
        };
        add(self.marked, "cut and marked as such");
        add(self.unmarked, "cut and not marked");
        add(self.nothing, "not stored");
        add(self.unknown, "not judged");
        words.join(", ")
    }
}

fn finding(name: &str, severity: Severity, probed: &Probed, counts: &Counts) -> Finding {
    let missing = probed.sent - counts.whole - counts.unknown;
    let finding = Finding::new(
        rate::SAVED_LOW,
        severity,
        name,
        format!(
            "{missing} of {} answers are not stored as a whole ({}): {}",
            probed.sent,
            probed.client,
            counts.words(probed.sent)
        ),
        match severity {
            Severity::Error => {
                "save in a task that the client's departure does not cancel, and commit before the final marker goes out"
            }
            Severity::Warning | Severity::Note => {
                "finish the answer without the client and save it, or save the part that arrived and mark it as cut"
            }
        },
    );
    let missing = probed.missing.iter().take(5);
    missing
        .fold(finding, |finding, fact| finding.with(Source::Stream, fact))
        .in_case(name)
}

fn lost_questions(name: &str, probed: &Probed, lost: u64) -> Finding {
    let harm = format!(
        "{lost} of {} questions are in no row ({})",
        probed.sent, probed.client
    );
    let help = "commit the user's message before the provider is called";
    let finding = Finding::new("user-message-lost", Severity::Error, name, harm, help);
    let fact = format!("no message holds the mark of {lost} questions, and others do");
    finding.with(Source::Store, fact).in_case(name)
}

fn doubled(name: &str, probed: &Probed) -> Finding {
    let finding = Finding::new(
        "answer-duplicated",
        Severity::Error,
        name,
        format!(
            "{} of {} answers are stored more than once in their conversation ({})",
            probed.doubled.len(),
            probed.sent,
            probed.client
        ),
        "save the answer in one place: the code that ends a turn and the code that cleans up after it must write the same row",
    );
    let facts = probed.doubled.iter().take(5);
    facts
        .fold(finding, |finding, fact| finding.with(Source::Store, fact))
        .in_case(name)
}
