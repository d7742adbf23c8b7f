//! Rules that a real engine is hard put to show; the others are shown by `tests/it/evidence.rs`.

use super::{Evidence, Judged, Rows, RowsFate, judge};
use crate::audit::evidence::Marks;
use crate::model::Engine;
use crate::report::Severity;
use std::collections::BTreeMap;

fn marks(facts: &str) -> Marks {
    let mut marks = Marks::default();
    for fact in facts.split_whitespace() {
        let (name, value) = fact.split_once('=').unwrap();
        marks.set(name, value);
    }
    marks
}

/// Two looks at the table `t`: of the database, and of the table.
fn judged(engine: Engine, looks: [(&str, &str); 2], rows: Rows) -> Judged {
    let [before, after] = looks.map(|(database, table)| Evidence {
        engine: Some(engine),
        database: marks(database),
        tables: BTreeMap::from([("t".to_owned(), marks(table))]),
    });
    judge(&before, &after, &BTreeMap::from([("t".to_owned(), rows)]))
}

fn codes(judged: &Judged) -> Vec<(&str, Severity)> {
    let findings = judged.findings.iter();
    findings.map(|it| (it.code, it.severity)).collect()
}

const INTACT: Rows = Rows {
    before: 3,
    after: 3,
    kept: RowsFate::Intact,
};
const EMPTY: Rows = Rows {
    before: 3,
    after: 0,
    kept: RowsFate::Lost,
};

#[test]
fn transaction_ids_may_begin_again() {
    let looks = [
        (
            "database=1",
            "oid=1 relfilenode=1 oldest=4294967000 newest=4294967200",
        ),
        ("database=1", "oid=1 relfilenode=2 oldest=7 newest=9"),
    ];
    let lost = Rows { after: 1, ..EMPTY };
    assert_eq!(
        codes(&judged(Engine::Postgres, looks, lost)),
        [("table-truncated", Severity::Error)]
    );
}

#[test]
fn an_oid_that_is_not_known_proves_nothing() {
    let looks = [("database=1", ""), ("database=1", "oid=7")];
    assert_eq!(codes(&judged(Engine::Postgres, looks, INTACT)), []);
}

#[test]
fn an_id_that_was_handed_out_and_not_used_may_be_given_again_after_a_restart() {
    let looks = [
        ("started=100", "counted=256 highest=240"),
        ("started=900", "counted=241 highest=240"),
    ];
    assert_eq!(codes(&judged(Engine::Mysql, looks, INTACT)), []);
    let looks = [looks[0], ("started=101", "counted=241 highest=240")];
    assert_eq!(
        codes(&judged(Engine::Mysql, looks, INTACT)),
        [("sequence-rewound", Severity::Warning)]
    );
}

#[test]
fn a_table_that_others_may_not_number_is_judged_by_what_it_lost() {
    let looks = [
        ("started=1 drops=4 truncates=0", "created=10:00 counted=9"),
        ("started=1 drops=4 truncates=1", "created=10:00 counted=1"),
    ];
    assert_eq!(
        codes(&judged(Engine::Mysql, looks, EMPTY)),
        [("table-truncated", Severity::Error)]
    );
    let unsure = [
        looks[0],
        ("started=800 drops=0 truncates=0", "created=10:00 counted=1"),
    ];
    assert_eq!(
        codes(&judged(Engine::Mysql, unsure, EMPTY)),
        [
            ("table-truncated", Severity::Warning),
            ("sequence-rewound", Severity::Error)
        ]
    );
}

/// Every fact of a table differs between two servers that have the same; the sentinel doesn't.
#[test]
fn another_server_of_the_same_data_proves_only_what_is_the_same_in_all() {
    let here = "table_id=18 created=10:00 counted=13 highest=9";
    let there = "table_id=21 created=11:00 counted=10 highest=9";
    let looks = |[here, there]: [&'static str; 2]| {
        [
            ("server=1 started=1 drops=4", here),
            ("server=2 started=9 drops=7", there),
        ]
    };
    let same = judged(Engine::Mysql, looks([here, there]), INTACT);
    assert_eq!(codes(&same), []);
    assert!(same.notes[0].contains("not known"), "{:?}", same.notes);
    let none = codes(&judged(Engine::Mysql, looks([here, there]), EMPTY)).len();
    assert_eq!(none, 0, "the rows that are gone are told by themselves");
    // Ids that are in use are given again, whichever server gives them.
    let rewound = "table_id=21 created=11:00 counted=4 highest=3";
    assert_eq!(
        codes(&judged(Engine::Mysql, looks([here, rewound]), EMPTY)),
        [("sequence-rewound", Severity::Error)]
    );
    let armed = "table_id=18 created=10:00 counted=13 highest=9 sentinel=0a";
    assert_eq!(
        codes(&judged(Engine::Mysql, looks([armed, there]), EMPTY)),
        [("table-recreated", Severity::Error)]
    );
}

#[test]
fn a_schema_that_is_older_than_before_is_in_another_file() {
    let looks = [("schema_version=9", ""), ("schema_version=4", "")];
    assert_eq!(
        codes(&judged(Engine::Sqlite, looks, EMPTY)),
        [("file-replaced", Severity::Error)]
    );
}

#[test]
fn a_file_is_named_without_quotes_and_its_birth_is_a_time() {
    let looks = [
        ("born=1796272907818270272", ""),
        ("born=1796272981306272900", ""),
    ];
    let judged = judged(Engine::Sqlite, looks, EMPTY);
    let finding = &judged.findings[0];
    assert_eq!(finding.harm, "the database is in another file than before");
    assert!(
        finding.evidence.iter().any(|it| it.fact.starts_with(
            "born was 2026-12-03T04:41:47.818Z and is 2026-12-03T04:43:01.306Z; this alone says: "
        )),
        "{:?}",
        finding.evidence
    );
}

#[test]
fn the_facts_that_changed_and_those_that_are_not_known_are_reported() {
    let looks = [("database=1", "oid=1"), ("database=1", "oid=2")];
    let judged = judged(Engine::Postgres, looks, EMPTY);
    let told: Vec<_> = judged.findings[0]
        .evidence
        .iter()
        .map(|it| it.fact.as_str())
        .collect();
    assert!(told.contains(
        &"oid was 1 and is 2; this alone says: only a table that was created again has another one"
    ));
    assert!(
        told.iter()
            .any(|fact| fact.starts_with("not known") && fact.contains("relfilenode"))
    );
}

#[test]
fn a_store_that_moved_to_another_engine_is_not_judged() {
    let before = Evidence {
        engine: Some(Engine::Sqlite),
        tables: BTreeMap::from([("t".to_owned(), Marks::default())]),
        ..Evidence::default()
    };
    let after = Evidence {
        engine: Some(Engine::Postgres),
        ..Evidence::default()
    };
    let judged = judge(&before, &after, &BTreeMap::new());
    assert_eq!((judged.findings.len(), judged.notes.len()), (0, 1));
}

#[test]
fn evidence_is_read_back_as_it_was_written() {
    let evidence = Evidence {
        engine: Some(Engine::Postgres),
        database: marks("database=1"),
        tables: BTreeMap::from([("t".to_owned(), marks("oid=1"))]),
    };
    let text = serde_json::to_string(&evidence).unwrap();
    assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
    assert!(text.contains(r#""t":{"oid":"1"}"#), "{text}");
}

#[test]
fn a_table_whose_rows_are_all_read_from_a_new_one_was_renamed() {
    let look = |table: &str| Evidence {
        engine: Some(Engine::Sqlite),
        database: marks("schema_version=1"),
        tables: BTreeMap::from([(table.to_owned(), marks("rowid=4"))]),
    };
    let told = |after: Evidence, rows| {
        let rows = BTreeMap::from([("t".to_owned(), rows)]);
        let judged = judge(&look("t"), &after, &rows);
        let codes = codes(&judged).into_iter();
        codes
            .map(|(code, severity)| (code.to_owned(), severity))
            .collect::<Vec<_>>()
    };
    let is = |code: &str, severity| vec![(code.to_owned(), severity)];
    let lost = Rows {
        kept: RowsFate::Lost,
        ..INTACT
    };
    let unknown = Rows {
        kept: RowsFate::Unknown,
        ..INTACT
    };
    let renamed = is("schema-changed", Severity::Note);
    assert_eq!(told(look("u"), INTACT), renamed);
    let missing = is("table-missing", Severity::Error);
    for rows in [lost, unknown, EMPTY] {
        assert_eq!(told(look("u"), rows), missing, "{rows:?}");
    }
    // Nothing else can have them.
    let none = Evidence {
        tables: BTreeMap::new(),
        ..look("t")
    };
    assert_eq!(told(none, INTACT), missing);
}
