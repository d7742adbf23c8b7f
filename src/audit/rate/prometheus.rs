//! The figures as a text file for Prometheus' node exporter.
//!
//! prometheus.io/docs/instrumenting/exposition_formats: HELP and TYPE before the samples of a name.

use super::Counts;
use std::fmt::Write as _;

/// What is known; what is not has no sample.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// The questions of the looked-at time.
    pub total: Option<Counts>,
    /// Those since the server was last started.
    pub since_restart: Option<Counts>,
    /// What a probe found, by what the client did.
    pub saved: Vec<Saved>,
    /// When the figures were taken, in seconds since 1970 UTC.
    pub at: i64,
}

/// The answers that one kind of client asked for.
#[derive(Debug, Clone)]
pub struct Saved {
    /// What the client did.
    pub client: &'static str,
    /// How many were asked for.
    pub sent: u64,
    /// How many of them are stored as a whole.
    pub whole: u64,
    /// What became of all of them, by name.
    pub outcomes: Vec<(&'static str, u64)>,
}

/// The file's text. A share of nothing is left out: 0 would page somebody, and 1 would be a lie.
pub fn text(figures: &Figures) -> String {
    let mut text = String::new();
    let spans = [
        ("looked-at", &figures.total),
        ("since-restart", &figures.since_restart),
    ];
    let spans: Vec<_> = spans
        .into_iter()
        .filter_map(|(name, counts)| Some((name, counts.as_ref()?)))
        .collect();
    let rows = |value: fn(&Counts) -> Option<f64>| {
        spans
            .iter()
            .filter_map(|(name, counts)| Some((format!("span=\"{name}\""), value(counts)?)))
            .collect::<Vec<_>>()
    };
    family(
        &mut text,
        "chatctl_questions",
        "Questions of users that are older than the grace.",
        &rows(|counts| Some(counts.questions as f64)),
    );
    let missing: Vec<_> = spans
        .iter()
        .flat_map(|(name, counts)| {
            counts.causes().map(move |(cause, count)| {
                (format!("span=\"{name}\",cause=\"{cause}\""), count as f64)
            })
        })
        .collect();
    family(
        &mut text,
        "chatctl_questions_unanswered",
        "Questions without a stored answer, by cause.",
        &missing,
    );
    family(
        &mut text,
        "chatctl_answered_ratio",
        "Share of questions with a stored answer, from 0 to 1.",
        &rows(Counts::share),
    );
    let saved = |value: fn(&Saved) -> Option<f64>| {
        figures
            .saved
            .iter()
            .filter_map(|saved| Some((format!("client=\"{}\"", saved.client), value(saved)?)))
            .collect::<Vec<_>>()
    };
    family(
        &mut text,
        "chatctl_probes",
        "Turns that a probe sent, by what the client did.",
        &saved(|saved| Some(saved.sent as f64)),
    );
    let outcomes: Vec<_> = figures
        .saved
        .iter()
        .flat_map(|saved| {
            saved.outcomes.iter().map(move |(outcome, count)| {
                let labels = format!("client=\"{}\",outcome=\"{outcome}\"", saved.client);
                (labels, *count as f64)
            })
        })
        .collect();
    family(
        &mut text,
        "chatctl_probe_answers",
        "Answers of a probe, by how much of each is stored.",
        &outcomes,
    );
    family(
        &mut text,
        "chatctl_saved_ratio",
        "Share of a probe's answers that are stored as a whole, from 0 to 1.",
        &saved(|saved| (saved.sent > 0).then(|| saved.whole as f64 / saved.sent as f64)),
    );
    family(
        &mut text,
        "chatctl_rate_timestamp_seconds",
        "When these figures were taken.",
        &[(String::new(), figures.at as f64)],
    );
    text
}

fn family(text: &mut String, name: &str, help: &str, samples: &[(String, f64)]) {
    if samples.is_empty() {
        return;
    }
    let mut line = |line: String| {
        writeln!(text, "{line}").expect("a text can be written to");
    };
    line(format!("# HELP {name} {help}"));
    line(format!("# TYPE {name} gauge"));
    for (labels, value) in samples {
        if labels.is_empty() {
            line(format!("{name} {value}"));
        } else {
            line(format!("{name}{{{labels}}} {value}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Figures, Saved, text};

    #[test]
    fn a_share_of_nothing_has_no_sample() {
        let figures = Figures {
            total: Some(Counts::default()),
            saved: vec![Saved {
                client: "read-to-end",
                sent: 4,
                whole: 3,
                outcomes: vec![("whole", 3), ("nothing", 1)],
            }],
            at: 1_700_000_000,
            ..Figures::default()
        };
        let text = text(&figures);
        assert!(!text.contains("chatctl_answered_ratio"), "{text}");
        assert!(
            text.contains("chatctl_questions{span=\"looked-at\"} 0\n"),
            "{text}"
        );
        assert!(
            text.contains("# TYPE chatctl_saved_ratio gauge\n"),
            "{text}"
        );
        assert!(
            text.contains("chatctl_saved_ratio{client=\"read-to-end\"} 0.75\n"),
            "{text}"
        );
        let nothing = "chatctl_probe_answers{client=\"read-to-end\",outcome=\"nothing\"} 1\n";
        assert!(text.contains(nothing), "{text}");
        assert!(
            text.ends_with("chatctl_rate_timestamp_seconds 1700000000\n"),
            "{text}"
        );
    }
}
