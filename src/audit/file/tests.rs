//! A snapshot comes back as it was written, or not at all.

use super::{Footer, Header, Mapping, Section, Snapshot, Store, open, write};
use crate::audit::evidence::Evidence;
use crate::audit::key::Key;
use crate::audit::snapshot_builder::{Detail, Late, Names, Settings, SnapshotBuilder, Summary};
use crate::cli_error::CliError;
use crate::model::{Engine, Role, StoredMessage};
use proptest::prelude::ProptestConfig;
use proptest::proptest;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn key() -> Key {
    Key::new([7; 32])
}

fn header() -> Header {
    Header {
        tool: "0.1.0".into(),
        store: Store {
            backend: "sqlite".into(),
            ..Store::default()
        },
        mapping: Mapping {
            name: "message (declared)".into(),
            digest: "ab".into(),
            ..Mapping::default()
        },
        ..Header::default()
    }
}

fn take(path: &Path, messages: usize, detail: Detail, names: Names) -> String {
    let settings = Settings {
        detail,
        names,
        ..Settings::at(1_700_000_000_000_000)
    };
    let mut builder = SnapshotBuilder::new(&key(), settings).unwrap();
    for number in 0..messages {
        let message = StoredMessage {
            conversation: Some(format!("talk-{}", number % 10)),
            append: Some(i64::try_from(number).unwrap()),
            time: Some(1_600_000_000_000_000),
            ..StoredMessage::new(format!("note-{number}"), Role::User, "my secret words")
        };
        builder.add(&message, Late::No).unwrap();
    }
    let mut out = fs::File::create(path).unwrap();
    write(&mut out, &header(), builder.finish().unwrap(), &key()).unwrap()
}

/// Reads all of it.
fn all(snapshot: &Snapshot) -> anyhow::Result<(usize, usize, usize, BTreeMap<String, usize>)> {
    let mut names = BTreeMap::new();
    snapshot.each_name(|_, name| *names.entry(name.to_owned()).or_default() += 1)?;
    let tallies = snapshot.tallies()?.collect::<anyhow::Result<Vec<_>>>()?;
    let entries = snapshot.entries()?.collect::<anyhow::Result<Vec<_>>>()?;
    snapshot.open()?;
    Ok((tallies.len(), entries.len(), snapshot.cells()?.len(), names))
}

fn stop(error: anyhow::Error) -> String {
    error.downcast::<CliError>().unwrap().message
}

#[test]
fn all_of_it_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.cas");
    let id = take(&path, 10_000, Detail::Messages, Names::Kept);
    let snapshot = open(&path, &key()).unwrap();
    assert_eq!(
        (snapshot.id.as_str(), snapshot.header.clone()),
        (id.as_str(), header())
    );
    assert_eq!(snapshot.summary.messages, 10_000);
    assert_eq!(snapshot.summary.high, Some(9999));
    let (tallies, entries, cells, names) = all(&snapshot).unwrap();
    assert_eq!((tallies, entries, cells), (10, 10_000, 0));
    assert_eq!(names.len(), 10_010);
    assert_eq!((names["talk-3"], names["note-9999"]), (1, 1));
    let again = take(&path, 10_000, Detail::Sketch(4096), Names::Hidden);
    assert_ne!(id, again, "each snapshot has its own id");
    let (tallies, entries, cells, names) = all(&open(&path, &key()).unwrap()).unwrap();
    assert_eq!((tallies, entries, cells, names.len()), (10, 0, 4096, 0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// A file of today must be readable by the program of tomorrow: a word that changes here is another
/// version of the file.
#[test]
fn the_words_in_the_file_are_these() {
    let mut evidence = Evidence {
        engine: Some(Engine::Sqlite),
        ..Evidence::default()
    };
    evidence.database.set("schema_version", "2");
    evidence
        .tables
        .entry("message".into())
        .or_default()
        .set("rootpage", "4");
    let header = Header {
        store: Store {
            backend: "sqlite".into(),
            url: "sqlite:chat.db".into(),
            messages: "message".into(),
            read: vec!["conversation".into()],
            running: Some(vec![(3, 5)]),
            log: Some(7),
        },
        evidence,
        mapping: Mapping {
            first_version: "cd".into(),
            sums: Some("sqlite 3".into()),
            summed: vec!["key (0)".into()],
            ..header().mapping
        },
        previous: Some("ef".into()),
        ..header()
    };
    let written = r#"{"tool":"0.1.0","store":{"backend":"sqlite","url":"sqlite:chat.db","messages":"message","read":["conversation"],"running":[[3,5]],"log":7},"evidence":{"backend":"sqlite","database":{"schema_version":"2"},"tables":{"message":{"rootpage":"4"}}},"mapping":{"name":"message (declared)","digest":"ab","first_version":"cd","sums":"sqlite 3","summed":["key (0)"]},"previous":"ef"}"#;
    assert_eq!(serde_json::to_string(&header).unwrap(), written);
    assert_eq!(serde_json::from_str::<Header>(written).unwrap(), header);
    let footer = Footer {
        summary: Summary {
            taken: 1,
            messages: 2,
            roles: [3, 4, 5],
            open: 6,
            unsettled: 7,
            ahead: 8,
            deleted: 9,
            asides: 0,
            others: 0,
            high: Some(10),
            last_time: Some(11),
            exact_to: Some(12),
            settle: 13,
            tail: Some(14),
            by_time: true,
        },
        sections: vec![Section {
            kind: 15,
            offset: 16,
            first: 17,
            frames: 18,
            records: 19,
        }],
    };
    let written = r#"{"summary":{"taken":1,"messages":2,"roles":[3,4,5],"open":6,"unsettled":7,"ahead":8,"deleted":9,"high":10,"last_time":11,"exact_to":12,"settle":13,"tail":14,"by_time":true},"sections":[{"kind":15,"offset":16,"first":17,"frames":18,"records":19}]}"#;
    assert_eq!(serde_json::to_string(&footer).unwrap(), written);
    assert_eq!(serde_json::from_str::<Footer>(written).unwrap(), footer);
}

#[test]
fn it_holds_no_content_and_no_identifier_unless_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.cas");
    let holds = |text: &str| {
        let bytes = fs::read(&path).unwrap();
        memchr::memmem::find(&bytes, text.as_bytes()).is_some()
    };
    take(&path, 3, Detail::Messages, Names::Hidden);
    assert!(!holds("secret") && !holds("note-") && !holds("talk-"));
    take(&path, 3, Detail::Messages, Names::Kept);
    assert!(!holds("secret") && holds("note-0"));
}

#[test]
fn what_does_not_fit_is_refused_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.cas");
    take(&path, 3, Detail::Messages, Names::Hidden);
    let other = stop(open(&path, &Key::new([8; 32])).unwrap_err());
    assert!(other.contains("was taken with the key"), "{other}");
    let mapping = Mapping {
        name: "notes (declared)".into(),
        digest: "cd".into(),
        ..Mapping::default()
    };
    let snapshot = open(&path, &key()).unwrap();
    let other = snapshot.fits(&mapping).unwrap_err().message;
    assert!(
        other.contains("message (declared) then, notes (declared) now"),
        "{other}"
    );
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 6;
    fs::write(&path, &bytes).unwrap();
    let newer = stop(open(&path, &key()).unwrap_err());
    assert!(
        newer.contains("version 6, but this chatctl reads only up to version 5"),
        "{newer}"
    );
    fs::write(&path, "id,name\n").unwrap();
    let csv = stop(open(&path, &key()).unwrap_err());
    assert!(csv.contains("is not a snapshot of chatctl"), "{csv}");
    let none = stop(open(&folder.path().join("none"), &key()).unwrap_err());
    assert!(none.contains("could not open the snapshot"), "{none}");
}

#[test]
fn a_snapshot_that_is_cut_short_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.cas");
    take(&path, 40, Detail::Sketch(16), Names::Kept);
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(7) {
        fs::write(&path, &whole[..length]).unwrap();
        let why = stop(open(&path, &key()).unwrap_err());
        let short = why.ends_with("is incomplete") || length < 34 && why.contains("not a snapshot");
        assert!(short, "{length} of {}: {why}", whole.len());
    }
    fs::write(&path, [whole.as_slice(), b"x"].concat()).unwrap();
    open(&path, &key()).unwrap_err();
}

/// The tags are of frames; what is between them must be nothing.
#[test]
fn junk_between_the_frames_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.cas");
    take(&path, 40, Detail::Messages, Names::Kept);
    let whole = fs::read(&path).unwrap();
    let end = whole.len() - 24;
    let footer = u64::from_le_bytes(whole[end..end + 8].try_into().unwrap());
    let at = usize::try_from(footer).unwrap();
    for junk in [1, 9, 25, 4096] {
        let mut bytes = whole.clone();
        // Whatever it looks like: another frame, or nothing at all.
        bytes.splice(at..at, whole.iter().copied().cycle().take(junk));
        let end = bytes.len() - 24;
        let moved = footer + u64::try_from(junk).unwrap();
        bytes[end..end + 8].copy_from_slice(&moved.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        let why = stop(open(&path, &key()).unwrap_err());
        assert!(why.ends_with("was altered"), "{junk}: {why}");
    }
    // Any place that the trailer may name is another one.
    for place in [0, 34, footer - 1, footer + 1, u64::MAX, u64::MAX / 2] {
        let mut bytes = whole.clone();
        bytes[end..end + 8].copy_from_slice(&place.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        stop(open(&path, &key()).unwrap_err());
    }
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [pipe.as_path(), folder.path(), Path::new("/dev/null")] {
        let why = stop(open(path, &key()).unwrap_err());
        assert!(why.ends_with("is not a file"), "{why}");
    }
}

#[test]
fn a_part_of_another_snapshot_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["a.cas", "b.cas"].map(|name| folder.path().join(name));
    take(&one, 40, Detail::Messages, Names::Hidden);
    take(&other, 40, Detail::Messages, Names::Hidden);
    let [mut bytes, foreign] = [&one, &other].map(|path| fs::read(path).unwrap());
    assert_eq!(bytes.len(), foreign.len());
    let middle = 600..bytes.len() - 800;
    bytes[middle.clone()].copy_from_slice(&foreign[middle]);
    fs::write(&one, bytes).unwrap();
    let why = open(&one, &key()).and_then(|snapshot| all(&snapshot));
    assert!(stop(why.unwrap_err()).ends_with("was altered"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bit_that_flips_is_noticed(place in 0.0..1.0f64, bit in 0..8u8) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.cas");
        take(&path, 30, Detail::Messages, Names::Kept);
        let mut bytes = fs::read(&path).unwrap();
        let at = (place * bytes.len() as f64) as usize;
        bytes[at] ^= 1 << bit;
        fs::write(&path, bytes).unwrap();
        let read = open(&path, &key()).and_then(|snapshot| all(&snapshot));
        assert!(read.is_err(), "bit {bit} of byte {at}");
        stop(read.unwrap_err());
    }
}
