//! What a server adds to what was said, and the times of it.

use super::super::{Own, Shows};
use super::{ALL, account, marked, rows, two};
use crate::model::{Role, StoredMessage};
use crate::report::Severity;
use crate::stream::session::Remembered;

/// Records of neither side, and words that the store has behind an answer, are no difference.
#[test]
fn what_the_server_adds_is_not_compared() {
    let told = [marked(1)];
    let record = |role: &str, content: &str| Remembered {
        role: role.to_owned(),
        content: content.to_owned(),
    };
    let (asked, said) = (told[0].user.as_str(), told[0].expected.as_str());
    let cited = format!("{said} [1]");
    let row = StoredMessage::new("2", Role::Assistant, cited.as_str());
    let compared = |stored: &[&[StoredMessage]], has_calls| {
        let own = Own {
            told: &told,
            shows: Shows::One,
            has_calls,
            stored,
        };
        let records = own.of(&[
            record("user", asked),
            record("reasoning", "They greet."),
            record("assistant", ""),
            record("assistant", &cited),
        ]);
        let texts = records.into_iter().map(|record| record.content);
        texts.collect::<Vec<_>>()
    };
    assert_eq!(compared(&[std::slice::from_ref(&row)], true), [asked, said]);
    // What only the page has may be another text, and an empty answer is one.
    assert_eq!(compared(&[], true), [asked, &cited]);
    assert_eq!(compared(&[&[row]], false), [asked, "", said]);
}

/// Start-up code that builds the table again, with the time of the start in each row.
#[test]
fn a_time_that_start_up_code_changes_is_a_warning() {
    const AT: i64 = 1_700_000_000_000_000;
    let told = two();
    let at = |time: Option<i64>| {
        let mut rows = rows(ALL);
        for row in &mut rows {
            row.time = time;
        }
        rows
    };
    let found = |was: Option<i64>, is: Option<i64>| {
        let (before, after) = (at(was), at(is));
        let findings = account(&told, &before, &after).findings();
        let codes = findings.iter().map(|it| (it.code, it.severity));
        codes.collect::<Vec<_>>()
    };
    let warned = [("saved-row-changed-later", Severity::Warning)];
    assert_eq!(found(Some(AT), Some(AT + 5_000_000)), warned);
    assert_eq!(found(Some(AT), None), warned);
    // A column of whole seconds, another zone, and a time that was not there.
    for is in [AT + 400_000, AT - 7_200_000_000] {
        assert_eq!(found(Some(AT), Some(is)), []);
    }
    assert_eq!(found(None, Some(AT)), []);
}
