//! What chatctl reads of a PostgreSQL text, compared with what squawk's parser reads of it.
//!
//! The two share no code. Where they disagree, one of them is wrong: the list below says which, and why.

use crate::common::root;
use chatctl::sql::{Dialect, Kind, facts, split};
use squawk_syntax::SourceFile;
use std::collections::BTreeSet;
use std::fs;

/// Texts that the two read differently, and why.
const DISAGREEMENTS: &[(&str, &str)] = &[
    (
        "lint/unparsable-statement/bad.postgres.sql",
        "it is wrong on purpose, which squawk says and chatctl leaves to the server",
    ),
    (
        "migrations/err_syntax_error/postgres.sql",
        "it is wrong on purpose, which squawk says and chatctl leaves to the server",
    ),
];

/// What a statement is, in words that both sides have.
fn ours(kind: &Kind) -> Vec<&'static str> {
    vec![match kind {
        Kind::CreateTable { .. } => "create table",
        Kind::DropTable { .. } => "drop table",
        Kind::AlterTable { .. } | Kind::RenameTable { .. } => "alter table",
        Kind::CreateIndex { .. } => "create index",
        Kind::DropIndex { .. } => "drop index",
        Kind::Insert { .. } => "insert",
        Kind::Update { .. } => "update",
        Kind::Delete { .. } => "delete",
        Kind::Truncate { .. } => "truncate",
        Kind::Merge { .. } => "merge",
        Kind::With { writes } => {
            // The main statement is the last of them, or one that only reads.
            return writes.iter().flat_map(ours).chain(["select"]).collect();
        }
        Kind::CreateTrigger { .. } => "create trigger",
        Kind::DropTrigger => "drop trigger",
        Kind::CreateView { .. } => "create view",
        Kind::DropView { .. } => "drop view",
        Kind::RefreshView => "refresh",
        Kind::CreateSchema => "create schema",
        Kind::DropSchema { .. } => "drop schema",
        Kind::CreateDatabase { .. } => "create database",
        Kind::DropDatabase => "drop database",
        Kind::CreateFunction { .. } => "create function",
        Kind::DropFunction { .. } => "drop function",
        Kind::Do => "do",
        Kind::Call => "call",
        Kind::SetVariable { .. } => "set",
        Kind::Begin => "begin",
        Kind::Commit => "commit",
        Kind::Rollback { .. } => "rollback",
        Kind::Savepoint => "savepoint",
        Kind::Release => "release",
        Kind::Vacuum => "vacuum",
        Kind::Reindex { .. } => "reindex",
        Kind::Analyze => "analyze",
        Kind::Select => "select",
        Kind::Grant => "grant",
        Kind::Comment => "comment",
        Kind::AlterEnum { .. } => "alter type",
        Kind::DropType { .. } => "drop type",
        Kind::CreateOther { .. } => "create other",
        Kind::AlterOther { .. } => "alter other",
        Kind::DropOther { .. } => "drop other",
        Kind::Lock => "lock",
        Kind::Pragma { .. } | Kind::Use | Kind::Attach | Kind::Detach | Kind::Other => "other",
    }]
}

/// The same of a node of squawk's, by the name of its kind.
fn theirs(node: &str) -> Vec<&'static str> {
    vec![match node {
        "CREATE_TABLE" | "CREATE_TABLE_AS" | "CREATE_FOREIGN_TABLE" | "SELECT_INTO" => {
            "create table"
        }
        "DROP_TABLE" | "DROP_FOREIGN_TABLE" => "drop table",
        "ALTER_TABLE" | "ALTER_FOREIGN_TABLE" => "alter table",
        "CREATE_INDEX" => "create index",
        "DROP_INDEX" => "drop index",
        "INSERT" => "insert",
        // Into a table it writes, out of one it reads.
        "COPY" => return vec!["insert", "select"],
        "UPDATE" => "update",
        "DELETE" => "delete",
        "TRUNCATE" => "truncate",
        "MERGE" => "merge",
        "CREATE_TRIGGER" => "create trigger",
        "DROP_TRIGGER" => "drop trigger",
        "CREATE_VIEW" | "CREATE_MATERIALIZED_VIEW" => "create view",
        "DROP_VIEW" | "DROP_MATERIALIZED_VIEW" => "drop view",
        "REFRESH" => "refresh",
        "CREATE_SCHEMA" => "create schema",
        "DROP_SCHEMA" => "drop schema",
        "CREATE_DATABASE" => "create database",
        "DROP_DATABASE" => "drop database",
        "CREATE_FUNCTION" | "CREATE_PROCEDURE" => "create function",
        "DROP_FUNCTION" | "DROP_PROCEDURE" | "DROP_ROUTINE" => "drop function",
        "DO" => "do",
        "CALL" => "call",
        "SET" | "RESET" | "SET_ROLE" | "RESET_ROLE" | "SET_SESSION_AUTH" | "RESET_SESSION_AUTH"
        | "SET_CONSTRAINTS" | "SET_TRANSACTION" => "set",
        "BEGIN" => "begin",
        "COMMIT_TRANSACTION" => "commit",
        "ROLLBACK_TRANSACTION" => "rollback",
        "SAVEPOINT_CREATE" => "savepoint",
        "RELEASE_SAVEPOINT" => "release",
        "VACUUM" => "vacuum",
        "REINDEX" => "reindex",
        "ANALYZE" => "analyze",
        "SELECT" | "COMPOUND_SELECT" | "PAREN_SELECT" | "VALUES" | "TABLE" | "SHOW" => "select",
        // With ANALYZE it runs what it explains.
        "EXPLAIN" => return vec!["select", "other"],
        "GRANT" | "REVOKE" => "grant",
        "COMMENT_ON" => "comment",
        "ALTER_TYPE" => "alter type",
        "DROP_TYPE" | "DROP_DOMAIN" => "drop type",
        "LOCK" => "lock",
        other if other.starts_with("CREATE_") => "create other",
        other if other.starts_with("ALTER_") => "alter other",
        other if other.starts_with("DROP_") => "drop other",
        _ => "other",
    }]
}

/// Where the two disagree about a text.
fn disagreement(text: &str) -> Option<String> {
    let statements = match split(text, Dialect::Postgres) {
        Ok(statements) => statements,
        Err(error) => return Some(format!("chatctl: {error}")),
    };
    let parsed = SourceFile::parse(text);
    if let Some(error) = parsed.errors().first() {
        return Some(format!("squawk: {error:?}"));
    }
    let own: Vec<_> = statements
        .iter()
        .map(|statement| ours(&facts(statement, Dialect::Postgres).kind))
        .collect();
    let nodes = parsed.syntax_node().children();
    let nodes = nodes.map(|node| format!("{:?}", node.kind()));
    let nodes: Vec<_> = nodes.filter(|node| node != "EMPTY_STMT").collect();
    if own.len() != nodes.len() {
        return Some(format!("{} statements and {nodes:?}", own.len()));
    }
    let mut pairs = own.iter().zip(&nodes).zip(&statements);
    let ((own, node), statement) = pairs.find(|((own, node), _)| {
        let theirs = theirs(node);
        !own.iter().any(|word| theirs.contains(word))
    })?;
    Some(format!("{own:?} and {node} at line {}", statement.line))
}

/// The PostgreSQL texts of the fixtures, by their paths below `fixtures`.
fn texts() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["migrations", "lint"] {
        for case in fs::read_dir(root().join("fixtures").join(folder)).unwrap() {
            let case = case.unwrap().path();
            if !case.is_dir() {
                continue;
            }
            for file in fs::read_dir(&case).unwrap() {
                let file = file.unwrap().path();
                let name = file.file_name().unwrap().to_str().unwrap();
                if name.ends_with("postgres.sql") {
                    let case = case.file_name().unwrap().to_str().unwrap();
                    let text = fs::read_to_string(&file).unwrap();
                    found.push((format!("{folder}/{case}/{name}"), text));
                }
            }
        }
    }
    found.sort();
    found
}

#[test]
fn texts_are_read_as_squawk_reads_them() {
    let texts = texts();
    assert!(texts.len() > 200, "only {} texts were found", texts.len());
    let found: Vec<_> = texts
        .iter()
        .filter_map(|(name, text)| Some((name.as_str(), disagreement(text)?)))
        .collect();
    let known: BTreeSet<_> = DISAGREEMENTS.iter().map(|(name, _)| *name).collect();
    let new: Vec<_> = found
        .iter()
        .filter(|(name, _)| !known.contains(name))
        .map(|(name, what)| format!("{name}: {what}"))
        .collect();
    assert!(new.is_empty(), "{}", new.join("\n"));
    let found: BTreeSet<_> = found.iter().map(|(name, _)| *name).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "these are read alike by now: {gone:?}");
}

#[test]
fn a_text_that_is_read_otherwise_is_found() {
    for text in ["SELECT 1; SELEC 2;", "DROP TABLE a b;"] {
        assert!(disagreement(text).is_some(), "{text}");
    }
    assert_eq!(disagreement("BEGIN; DELETE FROM a; COMMIT;"), None);
}
