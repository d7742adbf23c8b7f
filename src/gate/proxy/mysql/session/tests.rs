use super::{BEGINS, Decision, Heard, Message, Mysql, Session as _};
use crate::gate::commits::{Carries, CommitOutcome};
use crate::gate::proxy::relay::Refusal;

const IDLE: u16 = 2;
const OPEN: u16 = 3;

fn message(body: &[u8]) -> Message<'_> {
    Message {
        kind: BEGINS,
        body,
        length: body.len(),
    }
}

/// What is decided of a command, which is then forwarded.
fn sent(session: &mut Mysql, command: u8, text: &str) -> Decision {
    let body = [&[command], text.as_bytes()].concat();
    let decision = session.decide(message(&body));
    session.forwarded(message(&body), true);
    decision
}

fn heard(session: &mut Mysql, body: &[u8]) -> Heard {
    session.hear(message(body))
}

fn ok(flags: u16) -> Vec<u8> {
    [&[0, 0, 0], flags.to_le_bytes().as_slice(), &[0, 0]].concat()
}

fn eof(flags: u16) -> Vec<u8> {
    [&[0xfe, 0, 0], flags.to_le_bytes().as_slice()].concat()
}

fn commit(statement: &str) -> Decision {
    Decision::Commit(statement.to_owned())
}

fn write(statement: &str) -> Decision {
    Decision::Write(statement.to_owned())
}

#[test]
fn a_query_is_withheld_when_it_may_commit() {
    let mut session = Mysql::new(true, IDLE);
    assert_eq!(
        sent(&mut session, 3, "INSERT INTO m VALUES (1)"),
        commit("INSERT INTO m VALUES (1)")
    );
    assert_eq!(heard(&mut session, &ok(IDLE)), Heard::Ready);
    assert_eq!(sent(&mut session, 3, "BEGIN"), Decision::Forward);
    heard(&mut session, &ok(OPEN));
    assert_eq!(
        sent(&mut session, 3, "INSERT INTO m VALUES (1)"),
        write("INSERT INTO m VALUES (1)")
    );
    heard(&mut session, &ok(OPEN));
    assert_eq!(sent(&mut session, 3, "COMMIT"), commit("COMMIT"));
    assert_eq!(
        session.passed.statements,
        ["BEGIN", "INSERT INTO m VALUES (1)", "COMMIT"]
    );
    heard(&mut session, &ok(IDLE));
    assert!(session.passed.statements.is_empty());
}

#[test]
fn without_autocommit_only_the_commit_is_withheld() {
    let mut session = Mysql::new(true, 0);
    assert_eq!(
        sent(&mut session, 3, "INSERT INTO m VALUES (1)"),
        write("INSERT INTO m VALUES (1)")
    );
    heard(&mut session, &ok(1));
    assert_eq!(sent(&mut session, 3, "COMMIT"), commit("COMMIT"));
    heard(&mut session, &ok(0));
    assert_eq!(
        sent(&mut session, 3, "ALTER TABLE m ADD x INT"),
        commit("ALTER TABLE m ADD x INT")
    );
}

#[test]
fn the_end_of_a_result_is_found_in_both_forms() {
    let column = b"\x03def";
    for (deprecates, packets) in [
        (
            true,
            vec![vec![1], column.to_vec(), b"\x01a".to_vec(), {
                let mut end = ok(IDLE);
                end[0] = 0xfe;
                end
            }],
        ),
        (
            false,
            vec![
                vec![1],
                column.to_vec(),
                eof(IDLE),
                b"\x01a".to_vec(),
                eof(IDLE),
            ],
        ),
    ] {
        let mut session = Mysql::new(deprecates, IDLE);
        sent(&mut session, 3, "SELECT 1");
        let (last, before) = packets.split_last().expect("there are packets");
        for packet in before {
            assert_eq!(heard(&mut session, packet), Heard::Other);
        }
        assert!(session.is_busy());
        assert_eq!(heard(&mut session, last), Heard::Ready);
    }
}

#[test]
fn several_results_and_a_local_file_belong_to_one_response() {
    let mut session = Mysql::new(true, IDLE);
    sent(&mut session, 3, "UPDATE a SET x = 1; UPDATE b SET x = 1");
    assert_eq!(heard(&mut session, &ok(IDLE | 8)), Heard::Other);
    assert_eq!(heard(&mut session, &ok(IDLE)), Heard::Ready);
    sent(&mut session, 3, "LOAD DATA LOCAL INFILE 'x' INTO TABLE m");
    assert_eq!(heard(&mut session, b"\xfbx"), Heard::Asks);
    assert_eq!(heard(&mut session, &ok(IDLE)), Heard::Ready);
}

#[test]
fn a_prepared_statement_is_known_by_its_number() {
    for deprecates in [true, false] {
        let mut session = Mysql::new(deprecates, IDLE);
        assert_eq!(
            sent(&mut session, 0x16, "INSERT INTO m VALUES (?)"),
            Decision::Forward
        );
        // OK, number 7, no column, one parameter.
        assert_eq!(
            heard(&mut session, &[0, 7, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
            Heard::Other
        );
        let parameter = heard(&mut session, b"\x03def");
        if deprecates {
            assert_eq!(parameter, Heard::Ready);
        } else {
            assert_eq!(heard(&mut session, &eof(IDLE)), Heard::Ready);
        }
        let execute = [0x17, 7, 0, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(
            session.decide(message(&execute)),
            commit("INSERT INTO m VALUES (?)")
        );
        let unknown = [0x17, 8, 0, 0, 0, 0, 1, 0, 0, 0];
        assert!(matches!(
            session.decide(message(&unknown)),
            Decision::Commit(_)
        ));
        // MariaDB: the one that was prepared last.
        let last = [0x17, 255, 255, 255, 255, 0, 1, 0, 0, 0];
        assert_eq!(
            session.decide(message(&last)),
            commit("INSERT INTO m VALUES (?)")
        );
    }
}

#[test]
fn commands_in_flight_are_waited_for() {
    let mut session = Mysql::new(true, IDLE);
    sent(&mut session, 3, "BEGIN");
    assert_eq!(
        session.decide(message(b"\x03INSERT INTO m VALUES (1)")),
        Decision::Wait
    );
    heard(&mut session, &ok(OPEN));
    assert_eq!(
        session.decide(message(b"\x03INSERT INTO m VALUES (1)")),
        write("INSERT INTO m VALUES (1)")
    );
    // A ping and the end of a statement need no decision.
    assert_eq!(sent(&mut session, 0x0e, ""), Decision::Forward);
    assert_eq!(heard(&mut session, &ok(OPEN)), Heard::Ready);
    assert_eq!(sent(&mut session, 0x19, "\x07\0\0\0"), Decision::Forward);
    assert!(!session.is_busy());
}

#[test]
fn the_nonce_belongs_to_its_transaction() {
    let mut session = Mysql::new(true, OPEN);
    session.passed.carries = Carries::Answer;
    sent(&mut session, 3, "SELECT 1");
    heard(&mut session, &[1]);
    heard(&mut session, b"\x03def");
    let mut end = ok(OPEN);
    end[0] = 0xfe;
    heard(&mut session, &end);
    assert_eq!(session.passed.carries, Carries::Answer);
    sent(&mut session, 3, "COMMIT");
    heard(&mut session, &ok(IDLE));
    assert_eq!(session.passed.carries, Carries::Other);
}

#[test]
fn an_error_is_the_outcome_of_the_commit_and_progress_is_none() {
    let mut session = Mysql::new(true, OPEN);
    sent(&mut session, 3, "COMMIT");
    assert_eq!(heard(&mut session, b"\xff\xff\xff\x01\x01"), Heard::Other);
    assert_eq!(
        heard(&mut session, b"\xff\xbd\x04#40001Deadlock found"),
        Heard::Ready
    );
    assert_eq!(
        session.passed.outcome(),
        CommitOutcome::Failed("Deadlock found (1213)".into())
    );
}

#[test]
fn a_row_that_fills_a_packet_is_continued_by_the_next() {
    let mut session = Mysql::new(true, IDLE);
    sent(&mut session, 3, "SELECT big");
    heard(&mut session, &[1]);
    heard(&mut session, b"\x03def");
    let long = Message {
        kind: 1,
        body: b"\xfd",
        length: 0xff_ffff,
    };
    assert_eq!(session.hear(long), Heard::Other);
    // It begins as an end of the result would.
    assert_eq!(heard(&mut session, b"\xfe\0\0\0\0\0\0"), Heard::Other);
    let mut end = ok(IDLE);
    end[0] = 0xfe;
    assert_eq!(heard(&mut session, &end), Heard::Ready);
}

#[test]
fn under_a_lock_only_what_unlocks_is_withheld() {
    let mut session = Mysql::new(true, IDLE);
    let insert = "INSERT INTO m VALUES (1)";
    let unlock = |session: &mut Mysql| sent(session, 3, "UNLOCK TABLES");
    assert_eq!(unlock(&mut session), Decision::Forward);
    heard(&mut session, &ok(IDLE));
    assert_eq!(
        sent(&mut session, 3, "LOCK TABLES m WRITE"),
        Decision::Lock("LOCK TABLES m WRITE".to_owned())
    );
    heard(&mut session, &ok(IDLE));
    assert_eq!(sent(&mut session, 3, insert), Decision::Forward);
    heard(&mut session, &ok(IDLE));
    assert_eq!(unlock(&mut session), commit("UNLOCK TABLES"));
    heard(&mut session, &ok(IDLE));
    assert_eq!(sent(&mut session, 3, insert), commit(insert));
    heard(&mut session, &ok(IDLE));
    // With autocommit off nothing is committed by it, unless something has begun.
    for (flags, decision) in [
        (0, Decision::Lock("LOCK TABLES m WRITE".to_owned())),
        (1, commit("LOCK TABLES m WRITE")),
    ] {
        let session = Mysql::new(true, flags);
        let body = [&[3], b"LOCK TABLES m WRITE".as_slice()].concat();
        assert_eq!(session.decide(message(&body)), decision);
    }
    // A lock that was refused locks nothing.
    sent(&mut session, 3, "LOCK TABLES none WRITE");
    heard(&mut session, b"\xff\x7a\x04#42S02no such table");
    assert_eq!(sent(&mut session, 3, insert), commit(insert));
}

#[test]
fn a_statement_is_cancelled_by_the_number_of_its_connection() {
    let cancels = |text: &str| {
        let body = [&[3], text.as_bytes()].concat();
        Mysql::cancels(message(&body)).map(|(number, _)| number)
    };
    assert_eq!(cancels("KILL QUERY 41"), Some(41));
    assert_eq!(cancels(" kill soft query 41; "), Some(41));
    // These end the connection, or name none.
    for other in [
        "KILL 41",
        "KILL CONNECTION 41",
        "KILL QUERY @n",
        "SELECT 41",
    ] {
        assert_eq!(cancels(other), None, "{other}");
    }
}

/// A transaction stays as it was before the statement; one that can't be committed is rolled back.
#[test]
fn a_cancelled_statement_is_answered_as_interrupted() {
    let mut session = Mysql::new(true, IDLE);
    let query = |text: &str| [&[3], text.as_bytes()].concat();
    let stays = |session: &Mysql, text: &str| session.stays_open(message(&query(text)));
    assert!(!stays(&session, "INSERT INTO m VALUES (1)"));
    sent(&mut session, 3, "BEGIN");
    heard(&mut session, &ok(OPEN));
    assert!(stays(&session, "INSERT INTO m VALUES (1)") && !stays(&session, "COMMIT"));
    let mut sent_instead = |why| {
        let error = session.commit_error(why, BEGINS);
        let text = String::from_utf8_lossy(&error.to_server).into_owned();
        let instead = String::from_utf8_lossy(&error.to_database[5..]).into_owned();
        (instead, text.contains("interrupted"))
    };
    assert_eq!(
        sent_instead(Refusal::CancelledInside),
        ("DO 0".to_owned(), true)
    );
    assert_eq!(
        sent_instead(Refusal::Cancelled),
        ("ROLLBACK".to_owned(), true)
    );
    assert_eq!(
        sent_instead(Refusal::OnPurpose),
        ("ROLLBACK".to_owned(), false)
    );
}
