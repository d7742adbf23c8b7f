//! What chatctl says of a file that is half applied, and of a run that ended in one file: nothing is
//! skipped, and no hint leads to running a statement twice.

use crate::common::backend::Backend;
use crate::common::faults::store::Host;
use crate::common::report;
use std::fs;

/// What is half applied is not skipped when its file is gone, and every hint leads to resuming it.
pub fn what_is_half_applied_is_resumed_and_never_skipped(host: &Host) {
    let store = host.store("gone");
    let half = |part: &str| {
        let text =
            format!("BEGIN;\nINSERT INTO runs VALUES (1);\nCOMMIT;\nBEGIN;\n{part};\nCOMMIT;\n");
        store.file("2_half.sql", &text);
    };
    half("DELETE FROM drafts");
    assert_eq!(store.up(&[]).exit, 1);
    let (status, exit) = report(&mut store.command("status"));
    let finding = &status["findings"][0];
    assert_eq!(finding["code"], "migration-unfinished");
    assert_eq!(exit, 1);
    let help = finding["help"].as_str().unwrap();
    assert!(
        help.starts_with("run `chatctl migrate`") && !help.contains("resolve"),
        "{help}"
    );
    let (plan, exit) = report(&mut store.command("plan"));
    let cases = plan["cases"].as_array().unwrap();
    assert_eq!((cases.len(), exit), (2, 10), "{plan:#}");
    assert_eq!(
        cases[0]["reason"],
        "statement 1 of 2 is applied; the run resumes at 2"
    );
    fs::remove_file(store.path("migrations/2_half.sql")).unwrap();
    store.file("3_more.sql", "INSERT INTO runs VALUES (3);\n");
    let output = store.command("up").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{told}");
    let says = "migration `2` is half applied, and its file is gone";
    assert!(
        told.contains(says) && told.contains("restore the file"),
        "{told}"
    );
    // `plan` changes nothing, so it reports what `status` reports.
    let (plan, exit) = report(&mut store.command("plan"));
    assert_eq!(exit, 1, "{plan:#}");
    assert_eq!(plan["findings"][0]["harm"], says, "{plan:#}");
    assert_eq!(store.backend.count(&store.url, "runs"), 1);
    let (status, exit) = report(&mut store.command("status"));
    assert_eq!(exit, 1, "{status:#}");
    assert_eq!(status["findings"][0], plan["findings"][0]);
    let help = status["findings"][0]["help"].as_str().unwrap();
    assert!(help.starts_with("restore the file"), "{help}");
    half("INSERT INTO drafts VALUES (3)");
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    assert_eq!(store.backend.count(&store.url, "runs"), 2);
    assert_eq!(store.backend.count(&store.url, "drafts"), 3);
    assert_eq!(store.status().1, 0);
}

/// A run that ends in one file names what it leaves applied, and what it did not run.
pub fn what_a_run_leaves_is_named(host: &Host) {
    let store = host.store("left");
    store.file("2_first.sql", "INSERT INTO runs VALUES (1);\n");
    store.file("3_tidy.sql", "DELETE FROM drafts;\n");
    store.file("4_more.sql", "INSERT INTO runs VALUES (4);\n");
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 1, "{ended:?}");
    let harm = ended.report["findings"][0]["harm"].as_str().unwrap();
    let cases = ended.report["cases"].as_array().unwrap();
    let (rows, name, left) = match store.backend {
        Backend::Sqlite => (0, "run", "rolled back, nothing was changed"),
        Backend::Postgres => (
            1,
            "3 tidy",
            "`3_tidy.sql` was rolled back; `2` is applied and stays; `4` was not run",
        ),
        Backend::Mysql => (
            1,
            "3 tidy",
            "`3_tidy.sql` was not applied; `2` is applied and stays; `4` was not run",
        ),
    };
    assert!(harm.ends_with(left), "{harm}");
    assert_eq!(cases[cases.len() - 1]["name"], name);
    assert_eq!(store.backend.count(&store.url, "runs"), rows);
}
