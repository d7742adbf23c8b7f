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
    /// By what the client did: how many answers were asked for, and how many of them were stored.
    pub saved: Vec<(&'static str, u64, u64)>,
    /// When the figures were taken, in seconds since 1970 UTC.
    pub at: i64,
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
    let saved = |value: fn(u64, u64) -> Option<f64>| {
        figures
            .saved
            .iter()
            .filter_map(|(client, sent, saved)| {
                Some((format!("client=\"{client}\""), value(*sent, *saved)?))
            })
            .collect::<Vec<_>>()
    };
    family(
        &mut text,
        "chatctl_probes",
        "Turns that a probe sent, by what the client did.",
        &saved(|sent, _| Some(sent as f64)),
    );
    family(
        &mut text,
        "chatctl_saved_ratio",
        "Share of a probe's answers that were stored, from 0 to 1.",
        &saved(|sent, saved| (sent > 0).then(|| saved as f64 / sent as f64)),
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
        match labels.is_empty() {
            true => line(format!("{name} {value}")),
            false => line(format!("{name}{{{labels}}} {value}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;
    use super::Figures;
    use super::text;

    #[test]
    fn a_share_of_nothing_has_no_sample() {
        let figures = Figures {
            total: Some(Counts::default()),
            saved: vec![("read-to-end", 4, 3)],
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
        assert!(
            text.ends_with("chatctl_rate_timestamp_seconds 1700000000\n"),
            "{text}"
        );
    }
}
