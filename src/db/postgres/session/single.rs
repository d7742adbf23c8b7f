//! Statements that need no preparing.

/// Whether a text can't be more than one statement, whatever a migration has set: it has no `;`. Such a
/// statement needs no preparing, which is one more way to the server and back. COPY is left out, which
/// changes what the connection speaks.
pub(super) fn is_surely_one(statement: &str) -> bool {
    const WORDS: [&str; 7] = [
        "alter", "comment", "create", "delete", "drop", "insert", "update",
    ];
    let word = statement.split_whitespace().next().unwrap_or_default();
    let is_known = WORDS.iter().any(|it| word.eq_ignore_ascii_case(it));
    is_known && !statement.contains([';', '\0'])
}

#[cfg(test)]
mod tests {
    use super::is_surely_one;

    #[test]
    fn what_may_be_several_statements_is_prepared() {
        for one in [
            "CREATE TABLE a (b text DEFAULT 'c')",
            "\n update a SET b = 1",
        ] {
            assert!(is_surely_one(one), "{one}");
        }
        for other in [
            "INSERT INTO a VALUES ('\\'); COMMIT; --')",
            "CREATE TABLE a (b text DEFAULT ';')",
            "COPY a FROM STDIN",
            "DO $$ BEGIN END $$",
            "WITH a AS (SELECT 1) SELECT 1",
            "-- CREATE\nCOMMIT",
            "",
        ] {
            assert!(!is_surely_one(other), "{other}");
        }
    }
}
