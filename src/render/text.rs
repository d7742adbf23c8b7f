//! Words that several formats share, so that one report reads the same in all of them.

use super::escape;
use crate::outcome::Outcome;
use crate::report::{Case, Finding, Moment, Report, Severity, Verdict};
use crate::text::plural;
use std::borrow::Cow;
use std::time::{Duration, SystemTime};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Said instead of a table when a run had nothing to look at.
pub(super) const NOTHING: &str = "nothing was examined, so nothing is known";

/// A labelled line below a finding: whose word it is, and what was said.
pub(super) struct Fact {
    pub(super) label: &'static str,
    /// Escaped as a block: it may hold newlines, and nothing else that is unsafe.
    pub(super) text: String,
    /// Somebody's word, in contrast to our own.
    pub(super) is_evidence: bool,
}

/// `violated: 1 error, 0 warnings in 3 cases (10 checks), 4.2 s`; where a finding stands for many
/// things, with their numbers.
pub(super) fn summary(report: &Report) -> String {
    let skipped = match report.skipped {
        0 => String::new(),
        count => format!(", {count} skipped"),
    };
    // A migration that touches no row checks none; where chats are read, none is worth knowing.
    let reads_chats = report
        .store
        .as_ref()
        .is_none_or(|store| !store.mapping.is_empty());
    let checks = if report.checked == 0 && !reads_chats {
        String::new()
    } else {
        format!(" ({})", plural(report.checked, "check"))
    };
    let pending = match Outcome::from(report) {
        Outcome::Pending => {
            "; not all migrations are applied (exit code 10): `chatctl migrate` applies what is pending"
        }
        _ => "",
    };
    // Where notes fail the run, nothing else says what did.
    let notes = report.found.iter().any(|it| it.severity == Severity::Note);
    let others = report.errors() + report.warnings();
    let notes = if notes && report.verdict() == Verdict::Violated && others == 0 {
        format!(", notes{}", found(report, Severity::Note))
    } else {
        String::new()
    };
    format!(
        "{}: {}{}, {}{}{notes} in {}{skipped}{checks}, {}{pending}",
        report.verdict(),
        plural(report.errors() as u64, "error"),
        found(report, Severity::Error),
        plural(report.warnings() as u64, "warning"),
        found(report, Severity::Warning),
        plural(report.cases.len() as u64, "case"),
        took(report.took),
    )
}

/// ` (82 unanswered-turn, 3 empty-answer)`; nothing where nothing was counted.
fn found(report: &Report, severity: Severity) -> String {
    let found = report.found.iter().filter(|it| it.severity == severity);
    let found: Vec<_> = found
        .map(|it| format!("{} {}", it.count, it.code))
        .collect();
    if found.is_empty() {
        String::new()
    } else {
        format!(" ({})", found.join(", "))
    }
}

/// The first characters of a text, and how many are left out when it is longer.
pub(super) fn clipped(text: &str, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        None => Cow::Borrowed(text),
        Some((at, _)) => {
            let more = text[at..].chars().count();
            Cow::Owned(format!("{}… (+{more} characters)", &text[..at]))
        }
    }
}

/// A fragment as a sentence: a capital letter and a full stop.
pub(super) fn sentence(fragment: &str) -> String {
    let fragment = escape::line(fragment);
    let mut chars = fragment.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), chars.as_str())
}

/// A duration for people: `812 ms`, `4.2 s`, `2 min 5 s`.
pub(super) fn took(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

/// Whether any of the cases took a time: those of a list, such as one of versions, take none.
pub(super) fn is_timed(cases: &[Case]) -> bool {
    cases.iter().any(|case| !case.took.is_zero())
}

/// RFC 3339 in UTC with milliseconds, the only form in which a report gives a time.
pub(super) fn time(at: SystemTime) -> String {
    // A clock before 1970 cannot be written in this form, and must not stop a report.
    humantime::format_rfc3339_millis(at.max(SystemTime::UNIX_EPOCH)).to_string()
}

/// A time to the second, where fractions say nothing.
pub(super) fn second(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at.max(SystemTime::UNIX_EPOCH)).to_string()
}

/// Milliseconds since the start of the trial, as they are in a timeline.
pub(super) fn at_ms(moment: &Moment) -> f64 {
    moment.at.as_secs_f64() * 1000.0
}

/// The word before a finding.
pub(super) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// What is below a finding in every format for people: where, whose word, help, explain.
pub(super) fn facts(finding: &Finding) -> Vec<Fact> {
    let fact = |label, text: &str, is_evidence| Fact {
        label,
        text: escape::block(text.trim_end_matches('\n')).into_owned(),
        is_evidence,
    };
    let mut facts = Vec::new();
    if let Some(place) = place(finding) {
        facts.push(fact("where", &place, false));
    }
    for evidence in &finding.evidence {
        facts.push(fact(evidence.source.word(), &evidence.fact, true));
    }
    if !finding.help.is_empty() {
        facts.push(fact("help", &finding.help, false));
    }
    let explain = format!("chatctl explain {}", finding.code);
    facts.push(fact("explain", &explain, false));
    facts
}

/// Subject, case and file, as far as the harm does not name them already.
fn place(finding: &Finding) -> Option<String> {
    let mut parts = Vec::new();
    let case = finding.place.case.as_deref();
    let in_file = in_file(finding);
    let subject = &finding.subject;
    // A session called `turn` is in every sentence about a turn: a word must be quoted there.
    let is_in_harm = if subject.contains(' ') {
        finding.harm.contains(subject)
    } else {
        finding.harm.contains(&format!("`{subject}`"))
    };
    let is_known = subject.is_empty()
        || is_in_harm
        || case == Some(subject)
        || in_file
            .as_deref()
            .is_some_and(|place| names(place, subject));
    if !is_known {
        parts.push(escape::line(subject).into_owned());
    }
    if let Some(case) = case {
        parts.push(format!("case {}", escape::line(case)));
    }
    parts.extend(in_file.map(|place| escape::line(&place).into_owned()));
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The place in a file that a finding is about, as an editor takes it.
fn in_file(finding: &Finding) -> Option<String> {
    let place = &finding.place;
    let numbers = [place.line, place.column].into_iter().flatten();
    let file = place.file.clone()?;
    Some(numbers.fold(file, |place, number| format!("{place}:{number}")))
}

/// Whether a subject is a place, or the end of its path: `1_a.sql:3` of `migrations/1_a.sql:3:5`.
fn names(place: &str, subject: &str) -> bool {
    let mut starts = place.match_indices('/').map(|(at, _)| at + 1);
    let is_at = |at: usize| {
        let rest = place[at..].strip_prefix(subject);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    };
    is_at(0) || starts.any(is_at)
}

/// A finding without colour or wrapping, for bodies that a machine carries to a person.
pub(super) fn finding(finding: &Finding) -> String {
    let severity = severity(finding.severity);
    let harm = escape::block(&finding.harm);
    let mut text = format!("{severity}[{}] {harm}\n", finding.code);
    for fact in facts(finding) {
        let indented = fact.text.replace('\n', "\n    ");
        let gap = if fact.text.contains('\n') {
            "\n    "
        } else {
            " "
        };
        text.push_str(&format!("  {}:{gap}{indented}\n", fact.label));
    }
    text
}

/// A timeline without colour or wrapping; empty when nothing was written down.
pub(super) fn timeline(case: &Case) -> String {
    let line = |moment: &Moment| {
        let what = escape::line(&moment.what);
        let when = match case.timeline.time_of(moment) {
            Some(time) => second(time),
            None => format!("{:>10.1} ms", at_ms(moment)),
        };
        format!("{when}  {:<7}  {what}\n", moment.lane.word())
    };
    case.timeline.moments().iter().map(line).collect()
}

/// Why a case has its verdict; never empty.
pub(super) fn reason(case: &Case) -> String {
    if case.reason.trim().is_empty() {
        "-".to_owned()
    } else {
        escape::line(&case.reason).into_owned()
    }
}

/// Cases that no finding speaks for: they need a line of their own where only findings have one.
pub(super) fn unspoken(report: &Report) -> impl Iterator<Item = &Case> {
    let accused = report.errors() > 0;
    report.cases.iter().filter(move |case| match case.verdict {
        Verdict::Inconclusive | Verdict::Refused => true,
        Verdict::Violated => !accused,
        Verdict::Proven | Verdict::Held => false,
    })
}

/// Breaks a line at blanks, and between letters that are as wide as two, so that none is wider than
/// `width` columns. A word that is wider stays whole, for it may be an id or a path that is copied; a time
/// stays on the line of its date. Runs of blanks inside a line stay: they may be the very difference that
/// is reported.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    // Counted along: a text of a megabyte may have no blank, and a letter may have no width.
    let mut used = 0;
    let mut rest = text.trim_end_matches(' ');
    while !rest.is_empty() {
        let word_at = rest.find(|char| char != ' ').unwrap_or(rest.len());
        let end = word_at + first_word(&rest[word_at..]).len();
        let (gap, word) = (&rest[..word_at], &rest[word_at..end]);
        rest = &rest[end..];
        let wide = gap.width() + word.width();
        if used + wide <= width {
            line.push_str(gap);
            line.push_str(word);
            used += wide;
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        for part in unbroken(word) {
            let wide = part.width();
            if used > 0 && used + wide > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push_str(part);
            used += wide;
        }
    }
    lines.push(line);
    lines
}

/// How wide the widest part of a text is that is never broken over lines.
pub(super) fn widest_word(text: &str) -> usize {
    let mut widest = 0;
    let mut rest = text.trim_start_matches(' ');
    while !rest.is_empty() {
        let word = first_word(rest);
        widest = unbroken(word)
            .map(UnicodeWidthStr::width)
            .fold(widest, usize::max);
        rest = rest[word.len()..].trim_start_matches(' ');
    }
    widest
}

/// The word at the beginning of a text; a date with the time behind it is one.
fn first_word(text: &str) -> &str {
    let end = |from: usize| text[from..].find(' ').map_or(text.len(), |at| from + at);
    let word = end(0);
    match text.get(word + 1..) {
        Some(next)
            if is_like(&text[..word], "0000-00-00")
                && is_like(next.get(..5).unwrap_or(""), "00:00") =>
        {
            &text[..end(word + 1)]
        }
        _ => &text[..word],
    }
}

/// Whether a text has digits where the form has them, and is the same elsewhere.
fn is_like(text: &str, form: &str) -> bool {
    let alike = |(text, form): (u8, u8)| match form {
        b'0' => text.is_ascii_digit(),
        other => text == other,
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(alike)
}

/// A word in parts that are never broken. Chinese and Japanese have no blanks between words.
fn unbroken(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let mut chars = rest.char_indices();
        let (_, first) = chars.next()?;
        let was_wide = first.width() == Some(2);
        let end = chars.find(|(_, char)| match char.width().unwrap_or(0) {
            0 => false,
            2 => true,
            _ => was_wide,
        });
        let (part, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        rest = after;
        Some(part)
    })
}

/// A line that is not wider than so many columns: what is too much of it is left out.
pub(super) fn shortened(line: &str, width: usize) -> Cow<'_, str> {
    if line.width() <= width {
        return Cow::Borrowed(line);
    }
    let mut used = 1;
    let fits = |char: &char| {
        used += char.width().unwrap_or(0);
        used <= width
    };
    Cow::Owned(line.chars().take_while(fits).chain(['…']).collect())
}

/// An image in base64 is what no person reads: each is reported by its kind and size.
pub(super) fn pictured(text: &str) -> Cow<'_, str> {
    let mut told: Option<String> = None;
    let mut shown = 0;
    let mut at = 0;
    while let Some(run) = next_run(text, at) {
        at = run.end;
        let Some((from, kind)) = kind_of(text, &run) else {
            continue;
        };
        let told = told.get_or_insert_default();
        told.push_str(&text[shown..from]);
        told.push_str(&format!("[{kind}, {}]", size(run.len())));
        shown = run.end;
    }
    match told {
        Some(told) => Cow::Owned(told + &text[shown..]),
        None => Cow::Borrowed(text),
    }
}

/// Shorter runs are words, or ids.
const SHORTEST_IMAGE: usize = 64;

/// How files begin that are kept in base64, and what they are.
const KINDS: &[(&str, &str)] = &[
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi0", "application/pdf"),
];

/// The next run of characters of base64 that is long enough, from a place on.
fn next_run(text: &str, mut from: usize) -> Option<std::ops::Range<usize>> {
    let is_of = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(byte);
    let bytes = text.as_bytes();
    while from < bytes.len() {
        let start = from + bytes[from..].iter().position(is_of)?;
        let length = bytes[start..].iter().take_while(|byte| is_of(byte)).count();
        if length >= SHORTEST_IMAGE {
            return Some(start..start + length);
        }
        from = start + length;
    }
    None
}

/// Where the telling begins, and what it is: by the words of a data URL, or by the first bytes.
fn kind_of<'t>(text: &'t str, run: &std::ops::Range<usize>) -> Option<(usize, &'t str)> {
    let before = &text[..run.start];
    if let Some(head) = before.strip_suffix(";base64,")
        && let Some(at) = head.rfind("data:")
        && let kind = &head[at + 5..]
        && !kind.contains(|char: char| char.is_whitespace() || "\"'<>(),".contains(char))
    {
        let kind = kind.split(';').next().unwrap_or_default();
        return Some((at, if kind.is_empty() { "data" } else { kind }));
    }
    let known = KINDS
        .iter()
        .find(|(start, _)| text[run.clone()].starts_with(start));
    known.map(|(_, kind)| (run.start, *kind))
}

/// The bytes of so many characters of base64, as a person says it.
fn size(characters: usize) -> String {
    let bytes = characters / 4 * 3;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", (bytes + 500) / 1000),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Finding, Severity, SystemTime, took, wrap};

    #[test]
    fn a_place_is_named_once() {
        for (subject, harm, file, shown) in [
            (
                "1_a.sql:3",
                "it drops `b`",
                Some("m/1_a.sql"),
                Some("m/1_a.sql:3:5"),
            ),
            (
                "m/1_a.sql:3:5",
                "it drops `b`",
                Some("m/1_a.sql"),
                Some("m/1_a.sql:3:5"),
            ),
            (
                "a.sql:3",
                "it drops `b`",
                Some("m/1_a.sql"),
                Some("a.sql:3, m/1_a.sql:3:5"),
            ),
            ("b", "it drops `b`", None, None),
            // The name of a session that is a word of the sentence.
            ("turn", "the turn is lost", None, Some("turn")),
            (
                "turn 1 of hello",
                "the answer of turn 1 of hello",
                None,
                None,
            ),
        ] {
            let mut finding = Finding::new("code", Severity::Error, subject, harm, "");
            if let Some(file) = file {
                finding.place.file = Some(file.to_owned());
                (finding.place.line, finding.place.column) = (Some(3), Some(5));
            }
            assert_eq!(super::place(&finding).as_deref(), shown, "{subject}");
        }
    }

    #[test]
    fn durations_read_like_a_person_would_say_them() {
        assert_eq!(took(Duration::from_micros(812_400)), "812 ms");
        assert_eq!(took(Duration::from_millis(4_230)), "4.2 s");
        assert_eq!(took(Duration::from_millis(59_990)), "1 min 0 s");
        assert_eq!(took(Duration::from_secs(125)), "2 min 5 s");
    }

    #[test]
    fn a_clock_before_1970_does_not_stop_a_report() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(super::time(before), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn wrapping_keeps_inner_blanks_and_the_width() {
        assert_eq!(wrap("say `a  b` now", 10), ["say `a  b`", "now"]);
        assert_eq!(wrap("漢字漢字", 4), ["漢字", "漢字"]);
        assert_eq!(wrap("", 4), [""]);
        // Letters without a width stay with the one before them, however many they are.
        let marks = "\u{301}".repeat(200_000);
        assert_eq!(wrap(&format!("abcd{marks} e"), 4).len(), 2);
    }

    #[test]
    fn a_word_a_path_and_a_time_stay_whole() {
        assert_eq!(wrap("abcdefghij kl", 4), ["abcdefghij", "kl"]);
        assert_eq!(
            wrap("a /var/lib/chat.db b", 6),
            ["a", "/var/lib/chat.db", "b"]
        );
        assert_eq!(
            wrap("at 2026-01-02 03:04:05 it", 12),
            ["at", "2026-01-02 03:04:05", "it"]
        );
        assert_eq!(wrap("2026-01-02 was", 12), ["2026-01-02", "was"]);
        assert_eq!(wrap("漢字chat-17漢字", 6), ["漢字", "chat-17", "漢字"]);
        assert_eq!(super::widest_word("at 2026-01-02 03:04:05 漢字漢字"), 19);
        assert_eq!(super::shortened("漢字漢字", 4), "漢…");
        assert_eq!(super::shortened("abcd", 4), "abcd");
    }

    #[test]
    fn an_image_is_known_by_its_kind_and_size() {
        let png = format!("iVBORw0KGgo{}", "A".repeat(64_000 - 11));
        for (text, told) in [
            (
                format!("see data:image/webp;base64,{png} there"),
                "see [image/webp, 48 kB] there",
            ),
            (
                format!("{{\"data\":\"{png}\"}}"),
                "{\"data\":\"[image/png, 48 kB]\"}",
            ),
            (
                format!("![x](data:image/svg+xml;charset=utf-8;base64,{png})"),
                "![x]([image/svg+xml, 48 kB])",
            ),
            (
                format!("data:{}", "a".repeat(90)),
                &*format!("data:{}", "a".repeat(90)),
            ),
            (
                "data:image/png;base64,iVBORw0KGgo=".to_owned(),
                "data:image/png;base64,iVBORw0KGgo=",
            ),
        ] {
            assert_eq!(super::pictured(&text), told);
        }
    }
}
