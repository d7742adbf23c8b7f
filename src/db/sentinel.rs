//! The sentinel: something harmless that goes with its table only, and with nothing else. It is a
//! comment where tables have comments.

use super::{Db, Tried, Writer};

/// What is to become of the sentinels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Tables without one get one.
    Arm,
    /// Tables are as they were before they got one.
    Remove,
}

/// Makes the statement that arms or disarms a table; none where there is nothing to do.
pub(super) type Arm =
    for<'a> fn(&'a dyn Db, &'a mut dyn Writer, &'a str, Act) -> Tried<'a, Option<String>>;

/// How the sentinel begins in the comment of a table; a number in hexadecimal follows.
pub(super) const COMMENT: &str = "chatctl:";

/// A number that no other table has.
pub(super) fn fresh() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// The comment with its sentinel, or as it was before; none if there is nothing to do.
pub(super) fn comment(there: &str, act: Act) -> Option<String> {
    match (act, nonce(there)) {
        (Act::Arm, Some(_)) | (Act::Remove, None) => None,
        (Act::Arm, None) if there.is_empty() => Some(format!("{COMMENT}{}", fresh())),
        (Act::Arm, None) => Some(format!("{there} {COMMENT}{}", fresh())),
        (Act::Remove, Some(nonce)) => {
            let sentinel = format!("{COMMENT}{nonce}");
            let with_space = format!(" {sentinel}");
            Some(if there.contains(&with_space) {
                there.replacen(&with_space, "", 1)
            } else {
                there.replacen(&sentinel, "", 1)
            })
        }
    }
}

/// The sentinel in the comment of a table: its nonce.
pub(super) fn nonce(comment: &str) -> Option<&str> {
    let (_, rest) = comment.rsplit_once(COMMENT)?;
    let end = rest
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(rest.len());
    (end > 0).then_some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::{Act, comment, nonce};

    #[test]
    fn a_comment_is_as_it_was_after_it_was_armed() {
        for was in [
            "",
            "our messages",
            "ends with a space ",
            "a 'quoted' \\ one",
        ] {
            let armed = comment(was, Act::Arm).unwrap();
            assert!(armed.starts_with(was));
            assert_eq!(comment(&armed, Act::Arm), None);
            assert_eq!(comment(&armed, Act::Remove).unwrap(), was);
            assert_eq!(comment(was, Act::Remove), None);
        }
    }

    #[test]
    fn the_sentinel_is_found_in_a_comment() {
        assert_eq!(nonce("chatctl:0a1b"), Some("0a1b"));
        assert_eq!(nonce("our messages chatctl:0a1b, all"), Some("0a1b"));
        for none in ["", "chatctl:", "chatctl: 0a", "our messages"] {
            assert_eq!(nonce(none), None, "{none}");
        }
    }
}
