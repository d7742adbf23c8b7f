use super::{Applied, Newer, OutOfOrder, Policy, Reached, Refusal, State, Wrong, plan, status};
use crate::cli_error::{CliError, Kind};
use crate::migrate::source::{File, Migration, Unsupported, Version, checksum};

fn file(version: i64) -> Migration {
    let file = File {
        name: format!("{version}_step.sql"),
        bytes: format!("SELECT {version};\n").into_bytes(),
    };
    Migration::whole(Version::number(version), "step".to_owned(), &file).unwrap()
}

fn files(versions: &[i64]) -> Vec<Migration> {
    versions.iter().copied().map(file).collect()
}

fn row(version: i64) -> Applied {
    Applied {
        version: Version::number(version),
        description: "step".to_owned(),
        checksum: checksum(format!("SELECT {version};\n").as_bytes()),
        reached: Reached::End,
        installed_on: None,
        execution_ns: 1,
    }
}

fn rows(versions: &[i64]) -> Vec<Applied> {
    versions.iter().copied().map(row).collect()
}

const STRICT: Policy = Policy {
    to: None,
    out_of_order: OutOfOrder::Refuse,
    newer: Newer::Refuse,
};

fn to(version: i64) -> Policy {
    Policy {
        to: Some(Version::number(version)),
        ..STRICT
    }
}

fn refused(files: &[Migration], applied: &[Applied], policy: &Policy) -> Refusal {
    plan(files, applied, policy).unwrap_err()
}

fn pending(files: &[Migration], applied: &[Applied], policy: &Policy) -> Vec<i64> {
    let plan = plan(files, applied, policy).unwrap();
    plan.pending
        .iter()
        .map(|it| it.version.as_number().unwrap())
        .collect()
}

fn states(files: &[Migration], applied: &[Applied]) -> Vec<State> {
    status(files, applied).iter().map(|row| row.state).collect()
}

#[test]
fn runs_everything_on_a_new_database() {
    assert_eq!(pending(&files(&[1, 2, 10]), &[], &STRICT), [1, 2, 10]);
}

#[test]
fn runs_only_what_is_not_applied() {
    assert_eq!(pending(&files(&[1, 2, 3]), &rows(&[1, 2]), &STRICT), [3]);
}

#[test]
fn runs_nothing_when_everything_is_applied() {
    let files = files(&[1, 2]);
    assert_eq!(pending(&files, &rows(&[1, 2]), &STRICT), [0_i64; 0]);
    assert_eq!(
        states(&files, &rows(&[1, 2])),
        [State::Applied, State::Applied]
    );
}

#[test]
fn stops_at_the_target() {
    let files = files(&[1, 2, 3]);
    let applied = rows(&[1]);
    let plan = plan(&files, &applied, &to(2)).unwrap();
    assert_eq!(plan.pending, [&files[1]]);
    assert_eq!(plan.beyond, [&files[2]]);
}

#[test]
fn runs_nothing_when_the_target_is_where_the_database_is() {
    assert_eq!(
        pending(&files(&[1, 2, 3]), &rows(&[1, 2]), &to(2)),
        [0_i64; 0]
    );
}

#[test]
fn refuses_two_files_with_one_version() {
    let mut files = files(&[1, 2]);
    files.push(Migration {
        path: "other/2_other.sql".into(),
        ..file(2)
    });
    let refusal = refused(&files, &[], &STRICT);
    assert_eq!(refusal.wrong, Wrong::Duplicate);
    assert_eq!(
        refusal.message,
        "`2_step.sql` and `other/2_other.sql` both have version `2`"
    );
}

#[test]
fn refuses_a_dirty_migration() {
    let mut applied = rows(&[1, 2]);
    applied[1].reached = Reached::Unknown;
    let refusal = refused(&files(&[1, 2, 3]), &applied, &STRICT);
    assert_eq!(refusal.wrong, Wrong::Dirty);
    assert_eq!(refusal.message, "migration `2` began and did not finish");
    assert!(
        refusal
            .hint
            .contains("`chatctl migrate resolve 2 --as retry`")
    );
    assert!(
        refusal
            .hint
            .contains("`chatctl migrate resolve 2 --as applied`")
    );
    assert_eq!(states(&files(&[1, 2]), &applied)[1], State::Dirty);
}

#[test]
fn refuses_a_dirty_migration_whose_file_is_gone() {
    let mut applied = rows(&[1, 2]);
    applied[1].reached = Reached::Unknown;
    assert_eq!(refused(&files(&[1]), &applied, &STRICT).wrong, Wrong::Dirty);
}

#[test]
fn resumes_what_is_half_applied_and_refuses_what_has_no_file() {
    let mut applied = rows(&[1, 3, 4]);
    applied[1].reached = Reached::Known;
    // A later one that is applied does not make it late.
    let files = files(&[1, 3, 4]);
    assert_eq!(pending(&files, &applied, &STRICT), [3]);
    assert_eq!(states(&files, &applied)[1], State::HalfApplied);
    let gone = [file(1), file(4)];
    let refusal = refused(&gone, &applied, &STRICT);
    assert_eq!(refusal.wrong, Wrong::HalfMissing);
    assert_eq!(
        refusal.message,
        "migration `3` is half applied, and its file is gone"
    );
    assert!(!refusal.hint.contains("resolve"), "{}", refusal.hint);
    // An older release has nothing to do with what a newer one runs.
    let lenient = Policy {
        newer: Newer::Allow,
        ..STRICT
    };
    assert_eq!(pending(&[file(1)], &applied[..2], &lenient), [0_i64; 0]);
    assert_eq!(
        refused(&[file(1)], &applied[..2], &STRICT).wrong,
        Wrong::HalfMissing
    );
    assert_eq!(refused(&gone, &applied, &lenient).wrong, Wrong::HalfMissing);
}

#[test]
fn a_folder_that_has_none_of_the_versions_is_the_wrong_one() {
    let refusal = refused(&files(&[5, 9]), &rows(&[1, 2, 3]), &STRICT);
    assert_eq!(refusal.wrong, Wrong::Missing);
    assert!(
        refusal
            .message
            .starts_with("none of the 3 applied versions"),
        "{}",
        refusal.message
    );
    assert!(!refusal.hint.contains("repair"), "{}", refusal.hint);
    // One that is there is enough.
    let refusal = refused(&files(&[3, 9]), &rows(&[1, 2, 3]), &STRICT);
    assert!(
        refusal.hint.contains("repair --missing 1"),
        "{}",
        refusal.hint
    );
}

#[test]
fn refuses_an_edited_file() {
    let mut applied = rows(&[1, 2]);
    applied[0].checksum = checksum(b"SELECT 1 ;\n");
    let refusal = refused(&files(&[1, 2]), &applied, &STRICT);
    assert_eq!(refusal.wrong, Wrong::Changed);
    assert_eq!(
        refusal.message,
        "migration `1` was edited after being applied: `1_step.sql`"
    );
    assert!(refusal.hint.contains("`chatctl migrate new NAME`"));
}

#[test]
fn refuses_other_line_ends_with_the_command_that_mends_them() {
    let mut applied = rows(&[1, 2]);
    applied[0].checksum = checksum(b"SELECT 1;\r\n");
    let refusal = refused(&files(&[1, 2]), &applied, &STRICT);
    assert_eq!(refusal.wrong, Wrong::ChangedByLineEnds);
    assert!(refusal.hint.ends_with("`chatctl migrate repair --eol`"));
    assert_eq!(
        states(&files(&[1, 2]), &applied)[0],
        State::Changed { by_line_ends: true }
    );
}

#[test]
fn an_edit_outweighs_line_ends() {
    let mut applied = rows(&[1, 2]);
    applied[0].checksum = checksum(b"SELECT 1;\r\n");
    applied[1].checksum = checksum(b"SELECT 3;\n");
    let refusal = refused(&files(&[1, 2]), &applied, &STRICT);
    assert_eq!(refusal.wrong, Wrong::Changed);
    assert_eq!(refusal.versions, [Version::number(2)]);
}

#[test]
fn ignored_characters_that_came_later_are_no_edit() {
    let mut files = files(&[1]);
    files[0].checksum = checksum(b"SELECT 1;");
    assert_eq!(
        states(&files, &rows(&[1])),
        [State::Changed { by_line_ends: true }]
    );
}

#[test]
fn a_history_without_checksums_is_not_compared() {
    let mut applied = rows(&[1]);
    applied[0].checksum.clear();
    assert_eq!(states(&files(&[1]), &applied), [State::Applied]);
}

#[test]
fn refuses_a_missing_file() {
    let refusal = refused(&files(&[1, 3]), &rows(&[1, 2, 3]), &STRICT);
    assert_eq!(refusal.wrong, Wrong::Missing);
    assert_eq!(
        refusal.message,
        "migration `2` was applied, and its file is gone"
    );
    // A baseline would leave the missing one missing, and skip what is pending.
    assert!(
        refusal
            .hint
            .ends_with("`chatctl migrate repair --missing 2`")
    );
    assert_eq!(
        states(&files(&[1, 3]), &rows(&[1, 2, 3]))[1],
        State::Missing
    );
}

#[test]
fn refuses_a_database_that_is_newer_than_the_files() {
    let refusal = refused(&files(&[1]), &rows(&[1, 2, 3]), &STRICT);
    assert_eq!(refusal.wrong, Wrong::Newer);
    assert!(refusal.message.contains("2 migrations (`2`, `3`)"));
    assert!(refusal.hint.contains("version `3`"));
    assert!(refusal.hint.contains("up --allow-newer"));
    assert_eq!(states(&[], &rows(&[1])), [State::Newer]);
    let allow = Policy {
        newer: Newer::Allow,
        ..STRICT
    };
    assert!(pending(&files(&[1]), &rows(&[1, 2, 3]), &allow).is_empty());
    // What is older than the newest is no less out of order.
    let refusal = refused(&files(&[1, 2]), &rows(&[1, 3]), &allow);
    assert_eq!(refusal.wrong, Wrong::OutOfOrder);
    let refusal = refused(&files(&[1, 3]), &rows(&[1, 2, 3, 4]), &allow);
    assert_eq!(refusal.wrong, Wrong::Missing);
}

#[test]
fn refuses_a_file_that_is_older_than_what_is_applied() {
    let refusal = refused(&files(&[1, 2, 3]), &rows(&[1, 3]), &STRICT);
    assert_eq!(refusal.wrong, Wrong::OutOfOrder);
    assert_eq!(
        refusal.message,
        "migration `2` is older than the newest applied one"
    );
    assert!(refusal.hint.contains("--allow-out-of-order"));
}

#[test]
fn runs_an_older_file_when_that_is_allowed() {
    let allow = Policy {
        to: None,
        out_of_order: OutOfOrder::Allow,
        newer: Newer::Refuse,
    };
    let files = files(&[1, 2, 3, 4]);
    let applied = rows(&[1, 3]);
    let plan = plan(&files, &applied, &allow).unwrap();
    assert_eq!(plan.pending, [&files[1], &files[3]]);
    assert_eq!(plan.out_of_order, [&files[1]]);
}

#[test]
fn runs_an_older_file_that_may_come_in_any_order() {
    let mut files = files(&[1, 2, 3]);
    files[1].any_order = true;
    assert_eq!(pending(&files, &rows(&[1, 3]), &STRICT), [2]);
}

#[test]
fn refuses_an_unknown_target() {
    let refusal = refused(&files(&[20240101, 20240102]), &[], &to(20240103));
    assert_eq!(refusal.wrong, Wrong::UnknownTarget);
    assert!(refusal.hint.starts_with("did you mean `--to 2024010"));
    assert_eq!(CliError::from(refusal).kind, Kind::Usage);
}

#[test]
fn refuses_a_target_that_is_passed() {
    let refusal = refused(&files(&[1, 2]), &rows(&[1, 2]), &to(1));
    assert_eq!(refusal.wrong, Wrong::TargetPassed);
    // A restore would lose the rows that came since.
    assert!(!refusal.hint.contains("restore"));
}

#[test]
fn refuses_a_pending_file_that_only_its_own_tool_can_run() {
    let mut files = files(&[1, 2, 3]);
    files[1].unsupported = Some(Unsupported::new(
        "it is written in Go; chatctl runs only SQL",
    ));
    let refusal = refused(&files, &[], &STRICT);
    assert_eq!(refusal.wrong, Wrong::Unsupported);
    // The baseline alone would skip the first file.
    assert_eq!(
        refusal.hint,
        "apply the earlier ones: `chatctl migrate up --to 1`; then run it with its own tool, and record that: `chatctl migrate baseline 2`"
    );
    assert_eq!(CliError::from(refusal).kind, Kind::Refused);
    assert_eq!(pending(&files, &[], &to(1)), [1]);
    let refusal = refused(&files, &rows(&[1]), &STRICT);
    assert!(
        refusal.hint.starts_with("run it with its own tool"),
        "{}",
        refusal.hint
    );
    // Once it is applied, nothing is in the way.
    assert_eq!(pending(&files, &rows(&[1, 2]), &STRICT), [3]);
}

#[test]
fn a_long_list_is_cut_and_says_so() {
    let refusal = refused(&files(&[9]), &rows(&[1, 2, 3, 4, 5, 6, 7, 9]), &STRICT);
    assert!(
        refusal
            .message
            .starts_with("7 migrations (`1`, `2`, `3`, `4`, `5` and 2 more)")
    );
}

#[test]
fn the_status_has_every_version_once_and_in_order() {
    let mut applied = rows(&[2, 1, 5]);
    applied[0].installed_on = Some("2024-01-01 00:00:00".to_owned());
    let found = status(&files(&[4, 2, 1]), &applied);
    let versions: Vec<_> = found.iter().map(|row| row.version.text()).collect();
    assert_eq!(versions, ["1", "2", "4", "5"]);
    assert_eq!(
        found[1].installed_on.as_deref(),
        Some("2024-01-01 00:00:00")
    );
    assert_eq!(found[2].state, State::OutOfOrder);
    assert_eq!(found[3].state.name(), "newer");
}
