use super::{Call, Entry, Exit, File, LockKind, PENDING, RESERVED, WAL_WRITE_LOCK, Watch, Written};
use std::time::Duration;

const NEVER: Duration = Duration::MAX;

fn lock(file: File, kind: LockKind, start: i64, length: i64) -> Call {
    Call::Lock {
        file,
        kind,
        start,
        length,
    }
}

fn take_log() -> Call {
    lock(File::Index, LockKind::Write, WAL_WRITE_LOCK, 1)
}

fn give_log() -> Call {
    lock(File::Index, LockKind::Give, WAL_WRITE_LOCK, 1)
}

fn header(last: bool) -> Call {
    Call::Write {
        file: File::Log,
        what: Written::FrameHeader { last },
    }
}

fn page(file: File, nonce: bool) -> Call {
    Call::Write {
        file,
        what: Written::Page { nonce },
    }
}

/// A call that succeeds.
fn done(watch: &mut Watch, thread: u32, call: Call) {
    assert_eq!(watch.enters(thread, call, NEVER), Entry::Go, "{call:?}");
    assert_eq!(watch.leaves(thread, call, true), Exit::Go, "{call:?}");
}

#[test]
fn a_commit_to_the_log_is_held_at_its_last_page_and_then_at_its_lock() {
    let mut watch = Watch::new(false);
    done(&mut watch, 1, take_log());
    done(&mut watch, 1, header(false));
    done(&mut watch, 1, page(File::Log, true));
    done(&mut watch, 1, header(true));
    assert_eq!(
        watch.enters(1, page(File::Log, false), NEVER),
        Entry::HoldCommit
    );
    assert!(watch.carries(1));
    watch.lets_through(1);
    assert_eq!(watch.enters(1, give_log(), NEVER), Entry::HoldAnswer);
    watch.gives_up(1);
    assert!(watch.is_free() && !watch.carries(1));
    // The next one is held again.
    done(&mut watch, 1, take_log());
    done(&mut watch, 1, header(true));
    assert_eq!(
        watch.enters(1, page(File::Log, false), NEVER),
        Entry::HoldCommit
    );
}

#[test]
fn a_last_frame_that_is_written_again_belongs_to_the_same_commit() {
    let mut watch = Watch::new(false);
    done(&mut watch, 1, header(true));
    assert_eq!(
        watch.enters(1, page(File::Log, true), NEVER),
        Entry::HoldCommit
    );
    watch.lets_through(1);
    done(&mut watch, 1, header(true));
    done(&mut watch, 1, page(File::Log, true));
    assert_eq!(watch.enters(1, give_log(), NEVER), Entry::HoldAnswer);
}

#[test]
fn a_rollback_journal_is_held_at_its_end_and_then_behind_pending() {
    for end in [
        Call::EndJournal,
        Call::Write {
            file: File::Journal,
            what: Written::Zeros,
        },
    ] {
        let mut watch = Watch::new(false);
        done(
            &mut watch,
            1,
            lock(File::Database, LockKind::Write, RESERVED, 1),
        );
        done(&mut watch, 1, page(File::Journal, false));
        done(&mut watch, 1, page(File::Database, true));
        assert_eq!(watch.enters(1, end, NEVER), Entry::HoldCommit);
        assert!(watch.carries(1));
        watch.lets_through(1);
        let give = lock(File::Database, LockKind::Give, PENDING, 2);
        assert_eq!(watch.enters(1, give, NEVER), Entry::Go);
        assert_eq!(watch.leaves(1, give, true), Exit::HoldAnswer);
    }
}

#[test]
fn a_second_writer_is_held_in_its_sleep_while_the_first_has_the_lock() {
    let mut watch = Watch::new(false);
    assert_eq!(watch.enters(2, Call::ShortSleep, NEVER), Entry::Go);
    done(&mut watch, 1, take_log());
    assert_eq!(watch.enters(2, Call::ShortSleep, NEVER), Entry::HoldSleep);
    assert_eq!(watch.enters(1, Call::ShortSleep, NEVER), Entry::Go);
    done(&mut watch, 1, give_log());
    assert!(watch.is_free());
}

#[test]
fn the_first_writer_lets_another_one_pass_when_it_is_asked_to() {
    let until = Duration::from_millis(300);
    let mut watch = Watch::new(true);
    assert_eq!(watch.enters(1, take_log(), until), Entry::Refuse);
    assert_eq!(watch.enters(1, Call::ShortSleep, until), Entry::HoldSleep);
    assert!(watch.yields(1, Duration::from_millis(299)));
    // Another one comes, and is the writer.
    assert_eq!(watch.enters(2, take_log(), until), Entry::Go);
    watch.leaves(2, take_log(), true);
    done(&mut watch, 2, header(true));
    assert_eq!(
        watch.enters(2, page(File::Log, false), until),
        Entry::HoldCommit
    );
    watch.lets_through(2);
    assert_eq!(watch.enters(2, give_log(), until), Entry::HoldAnswer);
    watch.gives_up(2);
    // Now the first may.
    assert!(!watch.yields(1, Duration::from_millis(100)));
    assert_eq!(watch.enters(1, take_log(), until), Entry::Go);
}

#[test]
fn a_writer_that_nobody_follows_does_not_wait_for_ever() {
    let mut watch = Watch::new(true);
    let until = Duration::from_millis(300);
    assert_eq!(watch.enters(1, take_log(), until), Entry::Refuse);
    assert!(!watch.yields(1, until));
    assert_eq!(watch.enters(1, take_log(), until), Entry::Go);
}

#[test]
fn other_locks_and_a_lock_that_was_not_given_change_nothing() {
    let mut watch = Watch::new(false);
    // A reader's lock, the checkpointer's, a shared lock on the database.
    done(&mut watch, 1, lock(File::Index, LockKind::Read, 124, 1));
    done(&mut watch, 1, lock(File::Index, LockKind::Write, 121, 1));
    done(
        &mut watch,
        1,
        lock(File::Database, LockKind::Read, 0x4000_0002, 510),
    );
    assert_eq!(watch.enters(1, take_log(), NEVER), Entry::Go);
    watch.leaves(1, take_log(), false);
    assert!(watch.is_free());
    // A thread that had the lock before the gate closed is known by its commit.
    done(&mut watch, 2, header(true));
    assert_eq!(
        watch.enters(2, page(File::Log, false), NEVER),
        Entry::HoldCommit
    );
    assert!(!watch.is_free());
    watch.ended(2);
    assert!(watch.is_free());
}

#[test]
fn a_commit_without_a_journal_is_held_at_its_first_page_and_then_at_its_lock() {
    let mut watch = Watch::new(false);
    let unjournaled = Call::Write {
        file: File::Database,
        what: Written::Unjournaled,
    };
    done(
        &mut watch,
        1,
        lock(File::Database, LockKind::Write, RESERVED, 1),
    );
    assert_eq!(watch.enters(1, unjournaled, NEVER), Entry::HoldCommit);
    watch.lets_through(1);
    done(&mut watch, 1, unjournaled);
    let give = lock(File::Database, LockKind::Give, PENDING, 2);
    assert_eq!(watch.enters(1, give, NEVER), Entry::Go);
    assert_eq!(watch.leaves(1, give, true), Exit::HoldAnswer);
    // Pages that are moved out of a log, or undone from a journal, are no commit.
    done(&mut watch, 2, page(File::Database, true));
}
