use super::{Decision, Drops, Heard, Message, Postgres, Session as _};
use crate::gate::commits::{Carries, CommitOutcome};
use crate::gate::proxy::relay::Refusal;

/// A connection right behind its login.
fn session() -> Postgres {
    let mut session = Postgres::new();
    assert_eq!(heard(&mut session, b'Z', b"I"), Heard::Ready);
    session
}

fn message(kind: u8, body: &[u8]) -> Message<'_> {
    Message {
        kind,
        body,
        length: body.len(),
    }
}

/// What a message of the database means.
fn heard(session: &mut Postgres, kind: u8, body: &[u8]) -> Heard {
    session.hear(message(kind, body))
}

/// What is decided of a message, which is then forwarded.
fn sent(session: &mut Postgres, kind: u8, body: &[u8]) -> Decision {
    let decision = session.decide(message(kind, body));
    session.forwarded(message(kind, body), true);
    decision
}

fn commit(statement: &str) -> Decision {
    Decision::Commit(statement.to_owned())
}

fn write(statement: &str) -> Decision {
    Decision::Write(statement.to_owned())
}

#[test]
fn a_simple_query_is_withheld_when_it_may_commit() {
    let mut session = session();
    assert_eq!(sent(&mut session, b'Q', b"SELECT 1\0"), Decision::Forward);
    heard(&mut session, b'Z', b"I");
    assert_eq!(
        sent(&mut session, b'Q', b"INSERT INTO m VALUES (1)\0"),
        commit("INSERT INTO m VALUES (1)")
    );
    heard(&mut session, b'Z', b"I");
    assert_eq!(sent(&mut session, b'Q', b"BEGIN\0"), Decision::Forward);
    heard(&mut session, b'Z', b"T");
    assert_eq!(
        sent(&mut session, b'Q', b"INSERT INTO m VALUES (1)\0"),
        write("INSERT INTO m VALUES (1)")
    );
    heard(&mut session, b'Z', b"T");
    assert_eq!(sent(&mut session, b'Q', b"COMMIT\0"), commit("COMMIT"));
    assert_eq!(
        session.passed.statements,
        ["BEGIN", "INSERT INTO m VALUES (1)", "COMMIT"]
    );
}

#[test]
fn the_extended_protocol_is_withheld_at_the_commit_or_at_the_groups_end() {
    let mut session = session();
    // An INSERT outside of a transaction: its Sync commits.
    assert_eq!(
        sent(&mut session, b'P', b"s1\0INSERT INTO m VALUES ($1)\0\0\0"),
        Decision::Forward
    );
    assert_eq!(sent(&mut session, b'B', b"\0s1\0"), Decision::Forward);
    assert_eq!(sent(&mut session, b'E', b"\0\0\0\0\0"), Decision::Forward);
    assert_eq!(
        sent(&mut session, b'S', b""),
        commit("INSERT INTO m VALUES ($1)")
    );
    heard(&mut session, b'Z', b"I");
    // In a transaction it does not.
    sent(&mut session, b'Q', b"BEGIN\0");
    heard(&mut session, b'Z', b"T");
    sent(&mut session, b'B', b"\0s1\0");
    assert_eq!(
        sent(&mut session, b'E', b"\0\0\0\0\0"),
        write("INSERT INTO m VALUES ($1)")
    );
    assert_eq!(sent(&mut session, b'S', b""), Decision::Forward);
    heard(&mut session, b'Z', b"T");
    // A prepared COMMIT commits as soon as it is executed.
    sent(&mut session, b'P', b"c\0COMMIT\0\0\0");
    sent(&mut session, b'B', b"\0c\0");
    assert_eq!(sent(&mut session, b'E', b"\0\0\0\0\0"), commit("COMMIT"));
    assert_eq!(sent(&mut session, b'S', b""), Decision::Forward);
}

#[test]
fn a_whole_transaction_in_one_group_is_withheld_at_its_commit() {
    let mut session = session();
    for (name, text) in [
        ("b", "BEGIN"),
        ("i", "INSERT INTO m VALUES (1)"),
        ("c", "COMMIT"),
    ] {
        sent(
            &mut session,
            b'P',
            format!("{name}\0{text}\0\0\0").as_bytes(),
        );
    }
    for (name, decision) in [
        ("b", Decision::Forward),
        ("i", write("INSERT INTO m VALUES (1)")),
        ("c", commit("COMMIT")),
    ] {
        sent(&mut session, b'B', format!("\0{name}\0").as_bytes());
        assert_eq!(sent(&mut session, b'E', b"\0\0\0\0\0"), decision, "{name}");
    }
}

#[test]
fn nothing_is_decided_while_earlier_messages_are_not_answered() {
    let mut session = session();
    sent(&mut session, b'Q', b"BEGIN\0");
    assert!(session.is_busy());
    assert_eq!(
        session.decide(message(b'Q', b"INSERT INTO m VALUES (1)\0")),
        Decision::Wait
    );
    heard(&mut session, b'Z', b"T");
    assert_eq!(
        session.decide(message(b'Q', b"INSERT INTO m VALUES (1)\0")),
        write("INSERT INTO m VALUES (1)")
    );
}

#[test]
fn what_cannot_be_read_is_withheld() {
    let session = session();
    let part = Message {
        kind: b'Q',
        body: b"SELECT 1",
        length: 100,
    };
    assert!(matches!(session.decide(part), Decision::Commit(_)));
    assert!(matches!(
        session.decide(message(b'Q', b"SELECT \xff\0")),
        Decision::Commit(_)
    ));
    assert!(matches!(
        session.decide(message(b'E', b"unknown\0\0\0\0\0")),
        Decision::Commit(_)
    ));
}

#[test]
fn a_copy_in_leaves_no_answer_outstanding() {
    // With a simple query: one answer, behind the data.
    let mut simple = session();
    let copy = b"COPY m FROM STDIN\0";
    assert_eq!(sent(&mut simple, b'Q', copy), Decision::Forward);
    assert_eq!(heard(&mut simple, b'G', b""), Heard::Asks);
    assert_eq!(sent(&mut simple, b'd', b"x"), Decision::Forward);
    // Their end commits.
    assert_eq!(sent(&mut simple, b'c', b""), commit("COPY m FROM STDIN"));
    assert_eq!(heard(&mut simple, b'Z', b"I"), Heard::Ready);
    // With the extended protocol: the first Sync is ignored by the database.
    let mut extended = session();
    sent(&mut extended, b'P', b"\0COPY m FROM STDIN\0\0\0");
    sent(&mut extended, b'B', b"\0\0");
    assert_eq!(sent(&mut extended, b'E', b"\0\0\0\0\0"), Decision::Forward);
    assert_eq!(sent(&mut extended, b'S', b""), Decision::Forward);
    heard(&mut extended, b'G', b"");
    sent(&mut extended, b'd', b"x");
    assert_eq!(sent(&mut extended, b'c', b""), commit("COPY m FROM STDIN"));
    assert_eq!(sent(&mut extended, b'S', b""), Decision::Forward);
    assert_eq!(heard(&mut extended, b'Z', b"I"), Heard::Ready);
    // The next one is a statement like any other.
    assert_eq!(sent(&mut extended, b'Q', b"SELECT 1\0"), Decision::Forward);
}

#[test]
fn a_copy_in_a_transaction_commits_nothing() {
    let mut session = session();
    sent(&mut session, b'Q', b"BEGIN\0");
    heard(&mut session, b'Z', b"T");
    assert_eq!(
        sent(&mut session, b'Q', b"COPY m FROM STDIN\0"),
        write("COPY m FROM STDIN")
    );
    heard(&mut session, b'G', b"");
    assert_eq!(sent(&mut session, b'c', b""), Decision::Forward);
    heard(&mut session, b'Z', b"T");
    assert_eq!(sent(&mut session, b'Q', b"COMMIT\0"), commit("COMMIT"));
}

#[test]
fn a_copy_that_is_to_fail_ends_with_one_answer() {
    // The query of a COPY is not answered yet; a group is begun again.
    for (extended, drops) in [(false, Drops::Message), (true, Drops::Group)] {
        let mut session = session();
        if extended {
            sent(&mut session, b'P', b"\0COPY m FROM STDIN\0\0\0");
            sent(&mut session, b'B', b"\0\0");
            sent(&mut session, b'E', b"\0\0\0\0\0");
            sent(&mut session, b'S', b"");
        } else {
            sent(&mut session, b'Q', b"COPY m FROM STDIN\0");
        }
        heard(&mut session, b'G', b"");
        let error = session.commit_error(Refusal::OnPurpose, b'c');
        assert_eq!(error.to_database[0], b'f');
        assert_eq!(error.drops, drops);
        heard(&mut session, b'E', b"SERROR\0C57014\0Mno\0\0");
        assert_eq!(heard(&mut session, b'Z', b"I"), Heard::Ready);
        assert!(!session.is_busy());
    }
}

#[test]
fn a_function_outside_of_a_transaction_is_withheld_at_its_groups_end() {
    let mut session = session();
    sent(&mut session, b'P', b"\0SELECT finish_message($1)\0\0\0");
    sent(&mut session, b'B', b"\0\0");
    assert_eq!(sent(&mut session, b'E', b"\0\0\0\0\0"), Decision::Forward);
    assert_eq!(
        sent(&mut session, b'S', b""),
        commit("SELECT finish_message($1)")
    );
}

#[test]
fn the_nonce_belongs_to_its_transaction() {
    let mut session = session();
    sent(&mut session, b'Q', b"BEGIN\0");
    heard(&mut session, b'Z', b"T");
    session.passed.carries = Carries::Answer;
    sent(&mut session, b'Q', b"COMMIT\0");
    assert_eq!(session.passed.carries, Carries::Answer);
    heard(&mut session, b'Z', b"I");
    assert_eq!(session.passed.carries, Carries::Other);
    assert!(session.passed.statements.is_empty());
}

#[test]
fn an_error_is_the_outcome_of_the_commit() {
    let mut session = session();
    sent(&mut session, b'Q', b"COMMIT\0");
    heard(&mut session, b'E', b"SERROR\0C23505\0Mduplicate key\0\0");
    heard(&mut session, b'Z', b"I");
    assert_eq!(
        session.passed.outcome(),
        CommitOutcome::Failed("duplicate key (23505)".into())
    );
    assert_eq!(session.passed.outcome(), CommitOutcome::Done);
}

#[test]
fn a_cancelled_statement_is_answered_as_the_database_does() {
    let mut session = session();
    let key = 7_u64 << 32 | 9;
    assert_eq!(
        heard(&mut session, b'K', &key.to_be_bytes()),
        Heard::Key(key)
    );
    let said = |why| {
        let error = Postgres::new().commit_error(why, b'Q').to_server;
        String::from_utf8_lossy(&error).into_owned()
    };
    assert!(said(Refusal::Cancelled).contains("57014"));
    assert!(said(Refusal::OnPurpose).contains("40001"));
}

/// Its transaction has failed, and what was done up to a savepoint can still be kept.
#[test]
fn a_statement_that_is_cancelled_in_a_transaction_leaves_it_open() {
    let mut session = session();
    let insert = b"INSERT INTO m VALUES (1)\0";
    let stays = |session: &Postgres, text: &[u8]| session.stays_open(message(b'Q', text));
    assert!(!stays(&session, insert));
    sent(&mut session, b'Q', b"BEGIN\0");
    heard(&mut session, b'Z', b"T");
    assert!(stays(&session, insert) && stays(&session, b"CALL p()\0"));
    assert!(!stays(&session, b"COMMIT\0") && !stays(&session, b"SELECT 1; COMMIT\0"));
    let error = session.commit_error(Refusal::CancelledInside, b'Q');
    assert!(error.to_server.ends_with(b"E") && error.to_database.starts_with(b"Q"));
    assert!(!error.to_database.windows(8).any(|it| it == b"ROLLBACK"));
    assert_eq!(heard(&mut session, b'Z', b"E"), Heard::Ready);
    assert_eq!(
        sent(&mut session, b'Q', b"ROLLBACK TO s\0"),
        Decision::Forward
    );
    heard(&mut session, b'Z', b"T");
    assert_eq!(sent(&mut session, b'Q', b"COMMIT\0"), commit("COMMIT"));
}
