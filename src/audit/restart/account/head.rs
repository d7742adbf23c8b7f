//! The row of the conversation itself, by which a list shows it to its user.

use super::Way;
use crate::model::Conversation;
use crate::report::{Finding, Severity, Source};

/// What became of that row, where it is not as it was.
pub(in super::super) fn head(
    session: &str,
    way: &Way,
    before: &Conversation,
    after: Option<&Conversation>,
) -> Option<Finding> {
    let (how, fact) = match after {
        None => ("has lost its row", "is gone".to_owned()),
        Some(after) if after.deleted && !before.deleted => {
            ("is marked as deleted", "is marked as deleted".to_owned())
        }
        Some(after) if before.user.is_some() && after.user != before.user => {
            let user = |of: &Conversation| of.user.clone().unwrap_or_else(|| "nobody".to_owned());
            let fact = format!(
                "belonged to {} and now belongs to {}",
                user(before),
                user(after)
            );
            ("belongs to another user", fact)
        }
        Some(_) => return None,
    };
    let finding = Finding::new(
        "conversation-not-found",
        Severity::Error,
        session,
        format!(
            "after {} a conversation {how}: a list of conversations no longer shows it, although its messages exist",
            way.words
        ),
        "let start-up code create only missing tables, and leave the rows of conversations unchanged",
    );
    let fact = format!("the row of conversation {} {fact}", before.key);
    Some(finding.with(Source::Store, fact))
}

/// The same, where a reload may show all messages all the same: who has the conversation's address finds it.
pub(in super::super) fn if_shown(lost: Finding, is_shown: bool) -> Finding {
    let severity = if is_shown {
        Severity::Warning
    } else {
        lost.severity
    };
    Finding { severity, ..lost }
}

#[cfg(test)]
mod tests {
    use super::{head, if_shown};
    use crate::audit::restart::WAYS;
    use crate::model::Conversation;
    use crate::report::Severity;

    #[test]
    fn a_row_that_its_user_does_not_find_is_reported() {
        let row = |user: Option<&str>, deleted: bool| Conversation {
            key: "7".to_owned(),
            user: user.map(str::to_owned),
            deleted,
            ..Conversation::default()
        };
        let ours = row(Some("ann"), false);
        let harm = |after: Option<&Conversation>| {
            let found = head("s", &WAYS[0], &ours, after);
            found.map(|finding| finding.harm)
        };
        assert_eq!(harm(Some(&ours)), None);
        for (after, part) in [
            (None, "lost its row"),
            (Some(row(Some("ann"), true)), "as deleted"),
            (Some(row(Some("bob"), false)), "another user"),
            (Some(row(None, false)), "another user"),
        ] {
            let harm = harm(after.as_ref()).unwrap();
            assert!(harm.contains(part), "{harm}");
        }
        let lost = head("s", &WAYS[0], &ours, None).unwrap();
        assert_eq!(if_shown(lost.clone(), false).severity, Severity::Error);
        assert_eq!(if_shown(lost, true).severity, Severity::Warning);
        // A store that names no users may begin to.
        let nobodys = row(None, false);
        assert!(head("s", &WAYS[0], &nobodys, Some(&ours)).is_none());
        let deleted = row(None, true);
        assert!(head("s", &WAYS[0], &deleted, Some(&deleted)).is_none());
    }
}
