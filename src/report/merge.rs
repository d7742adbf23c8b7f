//! Reports of several machines as one.

use super::asked::{Asked, NO_CASE};
use super::{Case, Finding, Report, asked};

/// Joins reports of one command. Of a case that is in several the worst counts, and a share that is missing is a
/// case that nobody has looked at. The whole never says more than one run would have said: what was
/// asked for by name is in one of the shares, or undecided.
///
/// # Errors
/// A sentence when there is nothing to join, or the reports are not of one run.
pub fn merge(reports: Vec<Report>) -> Result<Report, String> {
    of_one_run(&reports)?;
    let missing = missing(&reports)?;
    let asked = asked(&reports);
    let empty = empty(&reports);
    let mut reports = reports.into_iter();
    let mut whole = reports.next().ok_or("there is no report to merge")?;
    for report in reports {
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
    match asked {
        Some(asked) if missing.is_empty() => {
            without_cases(&mut whole, &asked);
            asked.add_missing(&mut whole);
        }
        // What is missing may be in the share that is missing.
        Some(_) | None => {}
    }
    let absent = missing.iter().map(|share| absent(share));
    whole.cases.extend(absent.chain(empty));
    // The whole is played again from the parts.
    whole.replay = None;
    Ok(whole)
}

/// Refuses reports that are not of one run.
fn of_one_run(reports: &[Report]) -> Result<(), String> {
    for pair in reports.windows(2) {
        let [first, other] = pair else { continue };
        if first.command != other.command {
            return Err(format!(
                "reports of `{}` and of `{}` are not parts of one run",
                first.command, other.command
            ));
        }
        if first.version != other.version {
            return Err(format!(
                "reports of chatctl {} and {} are not parts of one run",
                first.version, other.version
            ));
        }
    }
    let shares: Vec<_> = reports.iter().filter(|it| share(it).is_some()).collect();
    for pair in shares.windows(2) {
        if let [first, other] = pair
            && let Some(what) = difference(first, other)
        {
            let name = |report| share(report).unwrap_or_default();
            return Err(format!(
                "the shares {} and {} are not of one run: {what}",
                name(first),
                name(other)
            ));
        }
    }
    Ok(())
}

/// What two shares of one run can't differ in. Each machine has its own database, so only its kind counts.
fn difference(first: &Report, other: &Report) -> Option<String> {
    let two = |what: &str, (first, other): (&str, &str)| {
        (first != other).then(|| format!("{what} is `{first}` here and `{other}` there"))
    };
    let words = (arguments(first), arguments(other));
    let only = |one: &[&str], than: &[&str]| -> String {
        let own = one.iter().filter(|word| !than.contains(word));
        let own: Vec<_> = own.copied().collect();
        own.join(" ")
    };
    let (here, there) = (only(&words.0, &words.1), only(&words.1, &words.0));
    if let Some(what) = two("of their arguments", (&here, &there)) {
        return Some(what);
    }
    let stores = first.store.as_ref().zip(other.store.as_ref());
    if let Some(what) =
        stores.and_then(|(a, b)| two("the kind of the store", (&a.backend, &b.backend)))
    {
        return Some(what);
    }
    // A run that ends at the first error does not come to the other sessions.
    let ended = [first, other].iter().any(|it| it.errors() > 0);
    let sessions = [first, other].map(|it| {
        let sessions: Vec<_> = asked::sessions(it).into_iter().collect();
        sessions.join(", ")
    });
    // Of a share without any case nothing is known, and it is undecided by itself.
    if sessions.iter().any(String::is_empty) {
        return None;
    }
    let sessions = two("the sessions", (&sessions[0], &sessions[1]));
    sessions.filter(|_| !(ended && words.0.contains(&"--fail-fast")))
}

/// What the shares of a run have in common: neither the share and the seed, nor the addresses of a machine.
fn arguments(report: &Report) -> Vec<&str> {
    const OWN: [&str; 10] = [
        "--shard=",
        "--seed=",
        "--server=",
        // Ports and folders of a machine.
        "--start=",
        "--ready=",
        "--origin=",
        "--gateway=",
        "--database-listen=",
        "--gate-control=",
        "--read-from=",
    ];
    let replay = report.replay.iter();
    let words = replay.flat_map(|replay| replay.arguments.iter().map(String::as_str));
    words
        .filter(|word| !OWN.iter().any(|flag| word.starts_with(flag)))
        .collect()
}

/// What the run was asked for whose shares these are.
fn asked(reports: &[Report]) -> Option<Asked> {
    let share = reports.iter().find(|it| share(it).is_some())?;
    let replay = share.replay.as_ref()?;
    Some(Asked::by(&replay.arguments))
}

/// A session without a case in any share: where cases are named, none of them is one of its; else something
/// was not played.
fn without_cases(whole: &mut Report, asked: &Asked) {
    for session in asked::sessions(whole) {
        let is_of = |case: &Case| case.session == session;
        let is_none = |case: &Case| asked::within(case) == Some(NO_CASE);
        if !whole.cases.iter().filter(|it| is_of(it)).all(is_none) {
            continue;
        }
        whole.cases.retain(|case| !is_of(case));
        if asked.named.is_empty() {
            let reason = "no share has a case of this session";
            whole.cases.push(Case::unplayed(&session, NO_CASE, reason));
        }
    }
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

/// The shares in which nothing was played at all, not even to find that there is no case.
fn empty(reports: &[Report]) -> Vec<Case> {
    let empty = reports.iter().filter(|report| report.cases.is_empty());
    let reason = "the report of this share has no case";
    empty
        .filter_map(share)
        .map(|share| Case::unplayed("shard", share, reason))
        .collect()
}

fn absent(share: &str) -> Case {
    let reason = format!("no report is of the share {share}, so its cases are not known");
    Case::unplayed("shard", share, reason)
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
    use crate::report::{Case, Finding, Replay, Report, Severity, StoreLine, Verdict};

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
        assert_eq!(whole.cases[2].name, "shard/3/3", "nothing was played in it");
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

    fn share(number: u8, arguments: &[&str], cases: &[(&str, Verdict)]) -> Report {
        let of = format!("{number}/2");
        let mut report = report(Some(&of), cases);
        let replay = report.replay.as_mut().unwrap();
        let own = [format!("--shard={of}"), format!("--seed={number}")];
        let arguments = arguments.iter().map(|it| (*it).to_owned());
        replay.arguments = own.into_iter().chain(arguments).collect();
        report
    }

    #[test]
    fn shares_of_different_runs_are_refused_by_name() {
        let (proven, held) = (("a/order", Verdict::Proven), ("a/limits", Verdict::Held));
        let first = share(1, &["--suite=full", "--server=http://one:80"], &[proven]);
        let refused = |other: Report, words: &str| {
            let why = merge(vec![first.clone(), other]).unwrap_err();
            let begins = "the shares 1/2 and 2/2 are not of one run: ";
            assert!(why.starts_with(begins) && why.contains(words), "{why}");
        };
        let same = ["--suite=full", "--server=http://two:80"];
        refused(share(2, &["--suite=quick"], &[held]), "`--suite=full` here");
        refused(
            share(2, &same, &[("b/order", Verdict::Proven)]),
            "the sessions",
        );
        assert!(merge(vec![first.clone(), share(2, &same, &[held])]).is_ok());
        let stored = |report: &Report, backend: &str| {
            let mut report = report.clone();
            report.store = Some(StoreLine {
                backend: backend.to_owned(),
                url: format!("{backend}:chat.db"),
                mapping: String::new(),
            });
            report
        };
        let both = [
            stored(&first, "sqlite"),
            stored(&share(2, &same, &[held]), "mysql"),
        ];
        assert!(
            merge(both.to_vec())
                .unwrap_err()
                .contains("kind of the store")
        );
        let older = Report {
            version: "0.0.1",
            ..share(2, &same, &[held])
        };
        assert!(
            merge(vec![first.clone(), older])
                .unwrap_err()
                .contains("chatctl")
        );
        // Its other session came after the error.
        let ends = ["--fail-fast"];
        let mut one = share(1, &ends, &[("a/order", Verdict::Violated)]);
        one.add(Finding::new("never-saved", Severity::Error, "a", "h", "h"));
        let two = share(2, &ends, &[held, ("b/order", Verdict::Held)]);
        assert_eq!(merge(vec![one, two]).unwrap().verdict(), Verdict::Violated);
    }

    #[test]
    fn what_no_share_has_is_no_pass() {
        let verdict = |arguments: &[&str], first: (&str, Verdict), second: (&str, Verdict)| {
            let shares = vec![
                share(1, arguments, &[first]),
                share(2, arguments, &[second]),
            ];
            merge(shares).unwrap().verdict()
        };
        let none = ("a/no-case", Verdict::Held);
        let order = ("a/order", Verdict::Proven);
        let weak = ("a/order", Verdict::Held);
        use Verdict::{Held, Inconclusive, Proven};
        for (arguments, first, second, expected) in [
            (&["--case=nothing"][..], none, none, Inconclusive),
            (&["--cases=nothing"], none, order, Inconclusive),
            (&["--case=order"], none, order, Proven),
            (&[], none, none, Inconclusive),
            (&[], none, weak, Held),
            (&["--require=proven"], none, order, Proven),
            (&["--require=proven"], none, weak, Inconclusive),
            (
                &["--require=proven", "--case=limits"],
                ("a/limits", Held),
                none,
                Inconclusive,
            ),
        ] {
            assert_eq!(verdict(arguments, first, second), expected, "{arguments:?}");
        }
        // The named cases are of another session.
        let named = ["--case=a/order"];
        let other = ("b/no-case", Held);
        let shares = [(1, none), (2, order)].map(|(at, of)| share(at, &named, &[of, other]));
        let whole = merge(shares.to_vec()).unwrap();
        assert_eq!(whole.verdict(), Proven, "{:?}", whole.cases);
    }

    #[test]
    fn pending_migrations_stay_pending() {
        let mut plan = Report::new("migrate plan");
        plan.cases = vec![case("a/plan", Verdict::Held)];
        plan.pending = true;
        let done = Report {
            pending: false,
            ..plan.clone()
        };
        assert!(merge(vec![plan, done]).unwrap().pending);
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
