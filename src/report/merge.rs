//! Reports of several machines as one.

use super::{Case, Finding, Report, Verdict};

/// Joins reports of one command. Of a case that is in several the worst counts, and a share that is missing is a
/// case that nobody has looked at.
///
/// # Errors
/// A sentence when there is nothing to join, or the reports are not of one run.
pub fn merge(reports: Vec<Report>) -> Result<Report, String> {
    let missing = missing(&reports)?;
    let mut reports = reports.into_iter();
    let mut whole = reports.next().ok_or("there is no report to merge")?;
    for report in reports {
        if report.command != whole.command {
            return Err(format!(
                "reports of `{}` and of `{}` are not parts of one run",
                whole.command, report.command
            ));
        }
        whole.started_at = whole.started_at.min(report.started_at);
        whole.took = whole.took.max(report.took);
        whole.store = whole.store.or(report.store);
        whole.pending |= report.pending;
        whole.checked += report.checked;
        whole.skipped += report.skipped;
        report
            .cases
            .into_iter()
            .for_each(|case| join(&mut whole.cases, case));
        report
            .findings
            .into_iter()
            .for_each(|finding| add(&mut whole, finding));
        whole.found.extend(report.found);
    }
    whole.cases.extend(missing.into_iter().map(absent));
    // The whole is played again from the parts.
    whole.replay = None;
    Ok(whole)
}

/// The share that a report is of, such as `2/4`.
fn share(report: &Report) -> Option<&str> {
    report.replay.as_ref()?.shard.as_deref()
}

/// The shares that no report is of.
fn missing(reports: &[Report]) -> Result<Vec<String>, String> {
    let shares: Vec<&str> = reports.iter().filter_map(share).collect();
    let Some((_, of)) = shares.first().and_then(|share| share.split_once('/')) else {
        return Ok(Vec::new());
    };
    if let Some(other) = shares
        .iter()
        .find(|share| !share.ends_with(&format!("/{of}")))
    {
        return Err(format!(
            "the shares {} and {other} are not parts of one run",
            shares[0]
        ));
    }
    let all = 1..=of.parse::<u64>().unwrap_or_default();
    let all = all.map(|number| format!("{number}/{of}"));
    Ok(all
        .filter(|share| !shares.contains(&share.as_str()))
        .collect())
}

fn absent(share: String) -> Case {
    Case {
        name: format!("shard/{share}"),
        session: "shard".to_owned(),
        fault: "none".to_owned(),
        client: "none".to_owned(),
        verdict: Verdict::Inconclusive,
        reason: format!("no report is of the share {share}, so its cases are not known"),
        took: Default::default(),
        timeline: Default::default(),
        metrics: Default::default(),
    }
}

/// Adds a case; of two with one name the worse stays.
fn join(cases: &mut Vec<Case>, case: Case) {
    match cases.iter_mut().find(|known| known.name == case.name) {
        Some(known) if known.verdict < case.verdict => *known = case,
        Some(_) => {}
        None => cases.push(case),
    }
}

/// Adds a finding; of two about the same the worse level counts.
fn add(whole: &mut Report, finding: Finding) {
    let same = whole.findings.iter_mut().find(|known| {
        known.code == finding.code
            && known.subject == finding.subject
            && known.place == finding.place
    });
    if let Some(known) = same {
        known.severity = known.severity.max(finding.severity);
    }
    whole.add(finding);
}

#[cfg(test)]
mod tests {
    use super::merge;
    use crate::report::{Case, Finding, Replay, Report, Severity, Verdict};

    fn case(name: &str, verdict: Verdict) -> Case {
        let (session, _) = name.split_once('/').unwrap();
        Case {
            name: name.to_owned(),
            session: session.to_owned(),
            fault: "none".to_owned(),
            client: "read-to-end".to_owned(),
            verdict,
            reason: "it is so".to_owned(),
            took: Default::default(),
            timeline: Default::default(),
            metrics: Default::default(),
        }
    }

    fn report(shard: Option<&str>, cases: &[(&str, Verdict)]) -> Report {
        let mut report = Report::new("verify-stream");
        report.cases = cases.iter().map(|(name, it)| case(name, *it)).collect();
        report.replay = Some(Replay {
            seed: 7,
            arguments: Vec::new(),
            shard: shard.map(str::to_owned),
        });
        report
    }

    #[test]
    fn the_worst_of_all_parts_counts() {
        use Verdict::{Held, Inconclusive, Proven, Violated};
        let first = report(Some("1/2"), &[("a/order", Proven), ("a/limits", Held)]);
        for (verdict, expected) in [
            (Held, Proven),
            (Inconclusive, Inconclusive),
            (Violated, Violated),
        ] {
            let second = report(Some("2/2"), &[("a/save-fails", verdict)]);
            let whole = merge(vec![first.clone(), second]).unwrap();
            assert_eq!((whole.cases.len(), whole.verdict()), (3, expected));
        }
        let again = report(Some("2/2"), &[("a/order", Violated)]);
        let whole = merge(vec![first.clone(), again]).unwrap();
        assert_eq!((whole.cases.len(), whole.verdict()), (2, Violated));
    }

    #[test]
    fn a_missing_share_is_never_a_pass() {
        let first = report(Some("1/3"), &[("a/order", Verdict::Proven)]);
        let third = report(Some("3/3"), &[]);
        let whole = merge(vec![first, third]).unwrap();
        assert_eq!(whole.cases[1].name, "shard/2/3");
        assert_eq!(whole.verdict(), Verdict::Inconclusive);
    }

    #[test]
    fn reports_of_different_runs_are_not_merged() {
        let half = report(Some("1/2"), &[]);
        let third = report(Some("2/3"), &[]);
        assert!(merge(vec![half.clone(), third]).is_err());
        assert!(merge(vec![half, Report::new("audit check")]).is_err());
        assert!(merge(Vec::new()).is_err());
    }

    #[test]
    fn a_finding_is_told_once_at_its_worst() {
        let finding = |severity| Finding::new("never-saved", severity, "a", "h", "h");
        let (mut first, mut second) = (report(None, &[]), report(None, &[]));
        first.add(finding(Severity::Warning));
        second.add(finding(Severity::Error));
        let whole = merge(vec![first, second]).unwrap();
        assert_eq!((whole.findings.len(), whole.errors()), (1, 1));
    }
}
