//! Findings by round: a loss that occurs in several rounds is one finding. Pure.

use crate::report::Finding;

/// Findings of all rounds of a session.
#[derive(Default)]
pub(super) struct RoundFindings {
    found: Vec<Found>,
    /// How many rounds there were of each way to restart.
    rounds: Vec<(&'static str, usize)>,
}

struct Found {
    /// As it was first reported.
    finding: Finding,
    /// In how many rounds of each way; none for what no round found.
    rounds: Vec<(&'static str, usize)>,
}

impl RoundFindings {
    /// A round of a way, and what it found.
    pub(super) fn round(&mut self, way: &'static str, findings: Vec<Finding>) {
        count(&mut self.rounds, way);
        let mut told: Vec<(&str, String)> = Vec::new();
        for finding in findings {
            let key = (finding.code, finding.subject.clone());
            if told.contains(&key) {
                continue;
            }
            told.push(key);
            count(&mut self.add(finding).rounds, way);
        }
    }

    /// A finding; what is known already stays as it was first reported.
    fn add(&mut self, finding: Finding) -> &mut Found {
        let is_known = |known: &Found| {
            known.finding.code == finding.code && known.finding.subject == finding.subject
        };
        let index = self.found.iter().position(is_known).unwrap_or_else(|| {
            self.found.push(Found {
                finding,
                rounds: Vec::new(),
            });
            self.found.len() - 1
        });
        &mut self.found[index]
    }

    /// What no round found.
    pub(super) fn add_overall(&mut self, finding: Finding) {
        self.add(finding);
    }

    /// Everything, with the number of rounds in which it was found.
    pub(super) fn findings(self) -> impl Iterator<Item = Finding> {
        let all = self.rounds;
        self.found.into_iter().map(move |found| {
            let often = often(&found.rounds, &all);
            let mut finding = found.finding;
            finding.harm.push_str(&often);
            finding
        })
    }
}

fn count(rounds: &mut Vec<(&'static str, usize)>, way: &'static str) {
    match rounds.iter_mut().find(|(known, _)| *known == way) {
        Some((_, count)) => *count += 1,
        None => rounds.push((way, 1)),
    }
}

/// `, in 2 of 2 rounds`; nothing where there was one round.
fn often(found: &[(&'static str, usize)], all: &[(&'static str, usize)]) -> String {
    let of = |way: &str| {
        all.iter()
            .find(|(known, _)| *known == way)
            .map_or(0, |(_, count)| *count)
    };
    let shares: Vec<_> = found
        .iter()
        .map(|(way, count)| match all.len() {
            1 => format!("{count} of {} rounds", of(way)),
            _ => format!("{count} of {} rounds with {way}", of(way)),
        })
        .collect();
    let rounds: usize = all.iter().map(|(_, count)| count).sum();
    if rounds < 2 || shares.is_empty() {
        return String::new();
    }
    format!(", in {}", shares.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::RoundFindings;
    use crate::report::{Finding, Severity};

    fn finding(code: &'static str) -> Finding {
        Finding::new(code, Severity::Error, "s", "lost", "help")
    }

    fn harms(tally: RoundFindings) -> Vec<String> {
        tally.findings().map(|finding| finding.harm).collect()
    }

    #[test]
    fn a_loss_in_every_round_is_one_finding() {
        let mut tally = RoundFindings::default();
        tally.round("kill", vec![finding("a"), finding("a")]);
        tally.add_overall(finding("c"));
        tally.round("kill", vec![finding("a"), finding("b")]);
        assert_eq!(
            harms(tally),
            ["lost, in 2 of 2 rounds", "lost", "lost, in 1 of 2 rounds"]
        );
    }

    #[test]
    fn several_ways_are_counted_apart() {
        let mut tally = RoundFindings::default();
        tally.round("term", vec![]);
        tally.round("kill", vec![finding("a")]);
        tally.round("term", vec![finding("a")]);
        tally.round("kill", vec![finding("a")]);
        assert_eq!(
            harms(tally),
            ["lost, in 2 of 2 rounds with kill and 1 of 2 rounds with term"]
        );
    }

    #[test]
    fn one_round_needs_no_count() {
        let mut tally = RoundFindings::default();
        tally.round("kill", vec![finding("a")]);
        assert_eq!(harms(tally), ["lost"]);
    }
}
