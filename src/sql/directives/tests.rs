use super::*;
use Dialect::{Mysql, Postgres, Sqlite};

#[track_caller]
fn errors(sql: &str) -> Vec<String> {
    let found = directives(sql, Postgres);
    found.errors.iter().map(ToString::to_string).collect()
}

#[test]
fn allow_loss_names_a_table_or_a_column() {
    for (subject, schema, table, column) in [
        ("messages", None, "messages", None),
        ("messages.body", None, "messages", Some("body")),
        ("messages.*", None, "messages", None),
        (
            "public.messages.body",
            Some("public"),
            "messages",
            Some("body"),
        ),
        ("public.messages.*", Some("public"), "messages", None),
        ("\"a b\".\"c.d\"", None, "a b", Some("c.d")),
    ] {
        let sql = format!("-- chatctl: allow-loss {subject} reason=\"x\"\nSELECT 1;");
        let found = directives(&sql, Sqlite);
        assert_eq!(found.errors, []);
        let expected = AllowLoss {
            schema: schema.map(str::to_owned),
            table: table.to_owned(),
            column: column.map(str::to_owned),
            rows: None,
            reason: "x".to_owned(),
            line: 1,
        };
        assert_eq!(found.allow_loss, [expected], "{subject}");
    }
}

/// What is behind the word in a comment is the same in another place.
#[test]
fn a_subject_alone_is_read_as_in_a_comment() {
    for subject in [
        "messages",
        "messages.body",
        "messages.*",
        "app.messages.body",
        "\"a b\".\"c.d\"",
    ] {
        let sql = format!("-- chatctl: allow-loss {subject} reason=\"x\"\nSELECT 1;");
        let found = &directives(&sql, Postgres).allow_loss[0];
        let alone = AllowLoss::of(subject, Postgres).unwrap();
        assert_eq!(
            (&alone.schema, &alone.table, &alone.column),
            (&found.schema, &found.table, &found.column),
            "{subject}"
        );
    }
    for subject in [
        "",
        "a.b.c.d",
        "m.",
        "a b",
        "m rows<=5",
        "*",
        "m; DROP TABLE m",
    ] {
        let message = AllowLoss::of(subject, Postgres).unwrap_err();
        assert!(message.contains(&format!("`{subject}`")), "{message}");
    }
}

#[test]
fn fields_come_in_any_order_and_reasons_hold_anything() {
    for (fields, rows, reason) in [
        (r#"rows<=120 reason="see #42""#, Some(120), "see #42"),
        (
            r#"reason = "a \"b\" c\\" rows <= 1_000"#,
            Some(1000),
            r#"a "b" c\"#,
        ),
        (r#"rows<=0 reason="é; -- '""#, Some(0), "é; -- '"),
    ] {
        let sql = format!("SELECT 1;\r\n--chatctl: allow-loss m {fields}\r\n");
        let found = directives(&sql, Sqlite);
        assert_eq!(found.errors, [], "{fields}");
        let [loss] = found.allow_loss.as_slice() else {
            panic!("{fields}");
        };
        assert_eq!(
            (loss.rows, loss.reason.as_str(), loss.line),
            (rows, reason, 2)
        );
    }
}

#[test]
fn an_ignore_counts_for_the_next_statement_or_the_file() {
    let sql = "-- chatctl: ignore squawk/all reason=\"file\"\n\n\
               -- chatctl: ignore first reason=\"x\"\n-- a remark\nSELECT 1;\n\n\
               -- chatctl: ignore second reason=\"x\"\n\n\
               SELECT\n  -- chatctl: ignore inside reason=\"x\"\n  2;\n";
    let found = directives(sql, Postgres);
    assert_eq!(found.errors, []);
    let statements = crate::sql::split(sql, Postgres).unwrap();
    let hits: Vec<_> = found
        .ignores
        .iter()
        .map(|ignore| {
            let hits = statements.iter().map(|s| ignore.applies_to(s)).collect();
            (ignore.code.as_str(), ignore.line, hits)
        })
        .collect::<Vec<(_, _, Vec<bool>)>>();
    assert_eq!(
        hits,
        [
            ("squawk/all", 1, vec![true, true]),
            ("first", 3, vec![true, false]),
            ("second", 7, vec![false, true]),
            ("inside", 10, vec![false, true]),
        ]
    );
    assert_eq!(found.ignores[0].scope, Scope::File);
    let crlf = sql.replace('\n', "\r\n");
    let again = directives(&crlf, Postgres);
    assert_eq!(again.ignores[0].scope, Scope::File);
    assert!(matches!(again.ignores[1].scope, Scope::Statement(_)));
}

#[test]
fn no_transaction_may_stand_anywhere_before_the_first_statement() {
    for (sql, line, seen_by_sqlx) in [
        ("-- no-transaction\nSELECT 1", 1, true),
        ("-- no-transaction because of the index\nSELECT 1", 1, true),
        ("\u{feff}-- no-transaction\nSELECT 1", 1, false),
        ("\n--no-transaction\r\nSELECT 1", 2, false),
    ] {
        let found = directives(sql, Postgres).no_transaction;
        assert_eq!(found, Some(NoTransaction { line, seen_by_sqlx }));
    }
    assert_eq!(
        directives("-- none\nSELECT 1", Postgres).no_transaction,
        None
    );
}

#[test]
fn comments_and_strings_of_others_are_left_alone() {
    for sql in [
        "SELECT '-- chatctl: allow-loss m'",
        "SELECT $$\n-- chatctl: nonsense\n$$",
        "-- chatctl is a tool\nSELECT 1",
        "-- note: ignore this\nSELECT 1",
        "-- squawk-ignore ban-drop-table\nSELECT 1",
        "-- no transaction is open here, so ignore it\nSELECT 1",
        "/* chatctl */ SELECT 1",
    ] {
        assert_eq!(directives(sql, Postgres), Directives::default(), "{sql}");
    }
    let hash = "# chatctl: ignore x reason=\"y\"\nSELECT 1";
    assert_eq!(directives(hash, Mysql).errors.len(), 1);
}

#[test]
#[rustfmt::skip]
fn malformed_directives_are_errors_with_a_suggestion() {
    let tail = "\nSELECT 1;";
    for (line, expected) in [
        ("-- chatctl: allow-los m reason=\"x\"", "unknown directive `allow-los`; did you mean `allow-loss`?"),
        ("-- chatctl: allow_loss m reason=\"x\"", "unknown directive `allow_loss`; did you mean `allow-loss`?"),
        ("-- chatctl: allow loss m reason=\"x\"", "unknown directive `allow`; did you mean `allow-loss`?"),
        ("-- chatctl: frobnicate", "unknown directive `frobnicate`"),
        ("-- chatctl: ", "unknown directive ``"),
        ("-- chatctl ignore x reason=\"x\"", "`chatctl` needs a colon after it; did you mean `chatctl: ignore`?"),
        ("-- chatcli: ignore x reason=\"x\"", "`chatcli:` does not address chatctl; did you mean `chatctl: ignore`?"),
        ("-- chatctl: ignore x", "`reason=\"…\"` is missing"),
        ("-- chatctl: ignore reason=\"x\"", "the directive names no code"),
        ("-- chatctl: allow-loss reason=\"x\"", "the directive names no table"),
        ("-- chatctl: allow-loss rows<=5 reason=\"x\"", "the directive names no table"),
        ("-- chatctl: allow-loss a.b.c.d reason=\"x\"", "`a.b.c.d` is neither `table` nor `table.column`"),
        ("-- chatctl: allow-loss m. reason=\"x\"", "`m.` is neither `table` nor `table.column`"),
        ("-- chatctl: allow-loss m rows=5 reason=\"x\"", "`rows` needs a whole number as its upper bound; did you mean `rows<=120`?"),
        ("-- chatctl: allow-loss m rows<=5% reason=\"x\"", "`rows` needs a whole number as its upper bound; did you mean `rows<=120`?"),
        ("-- chatctl: allow-loss m row<=5 reason=\"x\"", "`row<=5` is not a field of this directive; did you mean `rows`?"),
        ("-- chatctl: ignore x rows<=5 reason=\"x\"", "`rows<=5` is not a field of this directive"),
        ("-- chatctl: ignore x reason=\"x\" reason=\"y\"", "`reason` is given twice"),
        ("-- chatctl: ignore x reason=\"x", "the reason has no closing `\"`"),
        ("-- chatctl: ignore x reason=\" \"", "the reason is empty"),
        ("-- chatctl: ignore x reason=“x”", "`reason` needs a text in straight double quotes; did you mean `reason=\"…\"`?"),
        ("/* chatctl: ignore x reason=\"x\" */", "a directive has to be a line comment that starts with `--`"),
        ("-- no transaction", "`-- no transaction` has no effect; did you mean `-- no-transaction`?"),
        ("-- No-Transactions", "`-- No-Transactions` has no effect; did you mean `-- no-transaction`?"),
    ] {
        assert_eq!(
            errors(&[line, tail].concat()),
            [format!("1:1: {expected}")],
            "{line}"
        );
    }
    assert_eq!(
        errors("SELECT 1;\n  -- no-transaction\nSELECT 2"),
        ["2:3: `-- no-transaction` has to be before the first statement"]
    );
    assert_eq!(
        errors("SELECT 1; -- chatctl: ignore x reason=\"x\"\nSELECT 2"),
        [
            "1:11: `ignore` counts for the next statement; put it on a line above the one it is about"
        ]
    );
    assert_eq!(
        errors("SELECT 1;\n-- chatctl: ignore x reason=\"x\""),
        ["2:1: no statement follows this `ignore`"]
    );
}
