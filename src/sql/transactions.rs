//! The transactions that a file opens and commits itself.

use super::Kind;
use std::ops::Range;

/// The statements of a file's own transactions, each from its BEGIN up to its COMMIT, both by their
/// number. None when they are no pairs, or say more than where a transaction begins and ends.
pub fn transactions<'a>(
    statements: impl Iterator<Item = (&'a Kind, &'a str)>,
) -> Option<Vec<Range<usize>>> {
    let mut found = Vec::new();
    let mut open = None;
    for (number, (kind, text)) in statements.enumerate() {
        match (kind, open) {
            (Kind::Begin, None) if says_only(text, &BEGINS) => open = Some(number),
            (Kind::Commit, Some(begin)) if says_only(text, &COMMITS) => {
                found.push(begin..number);
                open = None;
            }
            (
                Kind::Begin
                | Kind::Commit
                | Kind::Rollback {
                    to_savepoint: false,
                },
                _,
            ) => return None,
            _ => {}
        }
    }
    open.is_none().then_some(found)
}

/// The words of a BEGIN that asks for only what chatctl's own has.
const BEGINS: [&str; 12] = [
    "BEGIN",
    "START",
    "WORK",
    "TRANSACTION",
    "DEFERRED",
    "IMMEDIATE",
    "EXCLUSIVE",
    "ISOLATION",
    "LEVEL",
    "READ",
    "COMMITTED",
    "WRITE",
];

/// The words of a COMMIT that begins no further transaction.
const COMMITS: [&str; 6] = ["COMMIT", "END", "WORK", "TRANSACTION", "AND", "NO"];

fn says_only(text: &str, words: &[&str]) -> bool {
    let mut said = text
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| !word.is_empty());
    said.all(|word| words.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::transactions;
    use crate::sql;
    use crate::sql::Dialect;

    fn of(text: &str) -> Option<Vec<std::ops::Range<usize>>> {
        let dialect = Dialect::Postgres;
        let statements = sql::split(text, dialect).expect("it can be split");
        let facts: Vec<_> = statements
            .iter()
            .map(|statement| sql::facts(statement, dialect))
            .collect();
        transactions(
            facts
                .iter()
                .map(|it| &it.kind)
                .zip(statements.iter().map(|it| it.text)),
        )
    }

    #[test]
    fn pairs_are_found() {
        assert_eq!(of("SELECT 1;"), Some(vec![]));
        assert_eq!(
            of("SELECT 1; BEGIN; SELECT 2; COMMIT; begin work; END;"),
            Some(vec![1..3, 4..5])
        );
        assert_eq!(
            of("START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; COMMIT TRANSACTION"),
            Some(std::iter::once(0..1).collect())
        );
        assert_eq!(
            of("BEGIN; SAVEPOINT s; ROLLBACK TO s; COMMIT;"),
            Some(std::iter::once(0..3).collect())
        );
    }

    #[test]
    fn what_is_no_pair_is_none() {
        for text in [
            "COMMIT;",
            "BEGIN;",
            "BEGIN; BEGIN; COMMIT;",
            "BEGIN; COMMIT; COMMIT;",
            "BEGIN; ROLLBACK;",
            "BEGIN READ ONLY; COMMIT;",
            "BEGIN; COMMIT AND CHAIN; COMMIT;",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
