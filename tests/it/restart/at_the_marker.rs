//! Killed at the final marker: whoever saves after it is caught, however little later, and a busy
//! machine makes no difference to what is said.

use crate::common::{Turn, errors, small};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Threads that do nothing, as fast as they can.
struct Load {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Two for each processor.
    fn new() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let busy = |_| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || while !over.load(Ordering::Relaxed) {})
        };
        let count = std::thread::available_parallelism().unwrap().get() * 2;
        Self {
            threads: (0..count).map(busy).collect(),
            over,
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// The verdict on a server that saves so, and why.
fn killed(options: &[&str]) -> (Value, String) {
    let (report, _) = small::audit(options, &["--stop", "kill-at-final", "--rounds", "1"]);
    let reason = report["cases"][0]["reason"].as_str().unwrap().to_owned();
    (report, reason)
}

fn is_caught(save: &str) {
    let (report, reason) = killed(&["--save", save]);
    assert_eq!(
        errors(&report),
        ["message-lost-on-kill"],
        "{save}: {report:#}"
    );
    assert!(
        reason.contains("is lost after SIGKILL at the final marker"),
        "{reason}"
    );
    assert!(
        report["findings"]
            .to_string()
            .contains(" ms after the marker"),
        "{report:#}"
    );
}

/// Nothing is lost; and where the machine, or the server, let nothing be shown, that is said after
/// ten tries.
fn is_innocent(options: &[&str]) {
    let (report, reason) = killed(options);
    assert!(errors(&report).is_empty(), "{report:#}");
    let case = &report["cases"][0];
    let gap = case["metrics"]["gap_ms"].as_f64().unwrap();
    let kills = case["timeline"].to_string().matches("SIGKILL").count();
    let told = match report["verdict"].as_str().unwrap() {
        "held" if gap <= 5.0 => "ms after the marker: a faster save is not caught",
        "inconclusive" if kills == 10 => "in 10 tries the server was killed",
        other => panic!("{other} with {gap} ms: {report:#}"),
    };
    assert!(reason.contains(told), "{reason}");
}

#[test]
fn a_save_after_the_marker_is_caught() {
    let _turn = Turn::shared();
    for save in ["5", "20", "100"] {
        is_caught(save);
    }
    is_innocent(&[]);
}

#[test]
fn a_busy_machine_changes_no_verdict() {
    let _turn = Turn::alone();
    let _load = Load::new();
    for save in ["5", "20", "100"] {
        is_caught(save);
    }
    is_innocent(&[]);
}

/// Where a marker lay unread for long, no round shows anything. What is lost is lost all the same.
#[test]
fn a_kill_that_comes_late_shows_nothing() {
    let _turn = Turn::shared();
    is_innocent(&["--flood", "1"]);
    let (report, _) = killed(&["--flood", "1", "--save", "never"]);
    assert_eq!(errors(&report), ["message-lost-on-kill"], "{report:#}");
}

/// Asked to end in the middle of an answer, a server brings it to its end, or keeps what there is.
#[test]
fn asked_to_end_in_the_middle_of_an_answer() {
    let stop = &["--stop", "term-in-stream", "--rounds", "2"];
    let (report, exit) = small::audit(&[], stop);
    crate::restart::is_clean(&report, exit, 2);
    let told = report["cases"][0]["timeline"].to_string();
    assert!(
        told.contains("the answer came to its final marker"),
        "{told}"
    );
    let (report, exit) = small::audit(&["--cut"], stop);
    crate::restart::is_clean(&report, exit, 2);
    let told = report["cases"][0]["timeline"].to_string();
    let strange = ["came to its final marker", "did not end within"];
    assert!(!strange.iter().any(|what| told.contains(what)), "{told}");
    // What it lets come to its end and does not save is lost.
    let (report, exit) = small::audit(&["--save", "never"], stop);
    let told = (errors(&report), exit);
    assert_eq!(told, (vec!["message-lost-on-restart"], 1), "{report:#}");
}
