//! One set of views through every format that can carry one.

use super::tests::golden;
use super::{ALL, Style, escape, named};
use crate::model::Value;
use crate::report::{Align, Column, Head, Holds, Line, Note, Piece, Sheet, Text, Tool, Transcript};

const HOSTILE: &str = "=1+1 \u{1b}[2J | \"q\",\u{202e}x\u{200f}\u{61c}\r\n@all <b> `";

fn rendered(format: &str, pieces: &[Piece], style: Style) -> String {
    let mut show = named(format).unwrap().view.unwrap()(&style);
    let mut out = Vec::new();
    for piece in pieces {
        show.piece(piece, &mut out).unwrap();
    }
    show.end(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn sheet() -> Vec<Piece> {
    let mut columns = ["id", "id", "content", "data"].map(Column::text).to_vec();
    columns[0].align = Align::Right;
    let head = Sheet {
        command: "inspect sql",
        title: "query".to_owned(),
        columns,
    };
    let long = "a long text that has to be wrapped when the terminal is narrow, ".repeat(2);
    let rows = [
        ["18446744073709551615", "1", "", "x"],
        ["0.50", "2", "-", "y"],
        ["3", "3", HOSTILE, "z"],
        ["4", "4", &long, "w"],
    ];
    let mut pieces = vec![Piece::Head(Head::Sheet(head))];
    for [id, second, content, _] in rows {
        pieces.push(Piece::Row(vec![
            Value::number(id),
            Value::number(second),
            content.into(),
            Value::Blob(vec![0, 255]),
        ]));
    }
    pieces.push(Piece::Row(vec![
        Value::Null,
        Value::Bool(true),
        Value::Null,
        Value::Null,
    ]));
    pieces.push(Piece::Note(Note {
        text: "5 rows shown, the limit; more may exist (--limit)".to_owned(),
        cut: true,
    }));
    pieces
}

fn transcript() -> Vec<Piece> {
    let line = |key: &str, role: &str, text: &str| Line {
        key: key.to_owned(),
        role: role.to_owned(),
        time: Some("2026-01-02T03:04:05.000Z".to_owned()),
        text: text.to_owned(),
        ..Line::default()
    };
    let code = "Here is how it goes, in a sentence that is longer than the terminal is wide, so that it wraps:\n\n\
        ```sh\nls    -l   # a line of code that is much longer than the terminal is wide, and that stays as it is\n```\ndone";
    let mut asked = line("2", "assistant", code);
    asked.tools = vec![Tool {
        name: "get_weather".to_owned(),
        input: Some(format!("{{\"city\": \"{}\"}}", "Paris ".repeat(20))),
        output: Some("sunny".to_owned()),
    }];
    let mut open = line("4", "assistant", "");
    open.state = Some("open");
    open.flags = vec!["unanswered"];
    let head = Transcript {
        command: "inspect show",
        key: "17".to_owned(),
        title: Some("Milk | more".to_owned()),
        user: Some("42".to_owned()),
        created: Some("2026-01-02T03:04:05.000Z".to_owned()),
        last: None,
        full: false,
    };
    let lines = [
        line("1", "user", "hi"),
        asked,
        line("3", "user", HOSTILE),
        open,
    ];
    let lines = lines.map(|line| Piece::Line(Box::new(line)));
    std::iter::once(Piece::Head(Head::Transcript(head)))
        .chain(lines)
        .collect()
}

fn file() -> Vec<Piece> {
    let head = Text {
        command: "inspect mapping",
        text: format!(
            "# a comment that is longer than the terminal is wide, and that stays on its line\n[[store]]\ntitle = \"```\"\n\n{HOSTILE}"
        ),
    };
    let note = Note {
        text: "two places look like the chats alike".to_owned(),
        cut: false,
    };
    vec![Piece::Head(Head::Text(head)), Piece::Note(note)]
}

fn of_views() -> impl Iterator<Item = &'static str> {
    let carries = ALL.iter().filter(|format| format.view.is_some());
    carries.map(|format| format.name)
}

#[test]
fn views_read_as_agreed() {
    let narrow = Style {
        width: Some(60),
        ..Style::default()
    };
    for format in of_views() {
        golden(
            &format!("sheet.{format}"),
            &rendered(format, &sheet(), narrow),
        );
        golden(
            &format!("talk.{format}"),
            &rendered(format, &transcript(), narrow),
        );
        golden(
            &format!("text.{format}"),
            &rendered(format, &file(), narrow),
        );
    }
    let narrower = Style {
        width: Some(40),
        ..Style::default()
    };
    golden("sheet-40.human", &rendered("human", &sheet(), narrower));
}

/// A terminal obeys what it is sent, so nothing that it would obey is sent to one.
#[test]
fn nothing_unsafe_reaches_a_terminal() {
    let style = Style {
        terminal: true,
        ..Style::default()
    };
    for format in of_views() {
        for pieces in [sheet(), transcript(), file()] {
            let text = rendered(format, &pieces, style).replace("\r\n", "\n");
            let found = text
                .chars()
                .find(|char| *char != '\n' && escape::is_unsafe(*char));
            assert_eq!(found, None, "{format}");
        }
    }
}

#[test]
fn what_is_piped_is_what_is_stored() {
    let csv = rendered("csv", &sheet(), Style::default());
    assert!(csv.contains(&HOSTILE.replace('"', "\"\"")), "{csv}");
    let json: serde_json::Value =
        serde_json::from_str(&rendered("json", &sheet(), Style::default())).unwrap();
    assert_eq!(json["rows"][2]["content"], HOSTILE);
    assert_eq!(json["rows"][4]["id"], serde_json::Value::Null);
    assert_eq!(json["rows"][0]["data"]["blob"], "00ff");
    assert_eq!(json["columns"][1]["name"], "id");
    assert_eq!(json["cut"], true);
    let lines = rendered("jsonl", &sheet(), Style::default());
    assert!(
        lines.starts_with("{\"id\": 18446744073709551615, \"id_2\": 1"),
        "{lines}"
    );
    assert_eq!(lines.lines().count(), 5);
}

#[test]
fn a_pause_shows_the_rows_so_far_and_later_rows_keep_the_columns() {
    let mut show = named("human").unwrap().view.unwrap()(&Style::default());
    let mut out = Vec::new();
    let pieces = sheet();
    show.piece(&pieces[0], &mut out).unwrap();
    show.piece(&pieces[2], &mut out).unwrap();
    let before = out.len();
    show.pause(&mut out).unwrap();
    assert!(out.len() > before);
    let shown = out.len();
    show.piece(&pieces[3], &mut out).unwrap();
    assert!(
        out.len() > shown,
        "a row after the first page is shown at once"
    );
}

const ID: &str = "0192f3a4-7c1e-7b2a-9d11-5f0e8a6b1c2d";
const AT: &str = "2026-01-02T03:04:05.000Z";
const PATH: &str = "/var/lib/chat/uploads/report.pdf";

/// Conversations with ids as they are.
fn listed() -> Vec<Piece> {
    let columns = vec![
        Column::of(Holds::Ids, "conversation"),
        Column::of(Holds::Stored, "title").spare(2),
        Column::of(Holds::Stored, "user").spare(0),
        Column::number("messages").spare(1),
        Column::of(Holds::Times, "last activity").spare(3),
    ];
    let head = Sheet {
        command: "inspect conversations",
        title: "conversations".to_owned(),
        columns,
    };
    let title = format!("a long title that speaks of {PATH} and what is in it");
    let row = [
        ID.into(),
        title.as_str().into(),
        ID.into(),
        Value::number("12"),
        AT.into(),
    ];
    vec![Piece::Head(Head::Sheet(head)), Piece::Row(row.to_vec())]
}

fn shown(pieces: &[Piece], width: Option<u16>, verbose: bool) -> String {
    let style = Style {
        width,
        verbose,
        ..Style::default()
    };
    rendered("human", pieces, style)
}

/// Texts are wrapped first, then columns are left out in their order; an id, a time and a path stay whole.
#[test]
fn a_sheet_that_is_too_wide_says_what_it_leaves_out() {
    for (width, left_out) in [
        (200, None),
        (130, Some("user")),
        (104, Some("user, messages")),
        (70, Some("title, user, messages")),
        (50, Some("title, user, messages, last activity")),
    ] {
        let text = shown(&listed(), Some(width), false);
        assert!(text.contains(ID), "{width}: {text}");
        match left_out {
            None => assert!(!text.contains("left out"), "{text}"),
            Some(names) => {
                let told = text
                    .split_once("left out, as the terminal has")
                    .unwrap_or_else(|| panic!("{width}: {text}"))
                    .1;
                let told = told.replace('\n', " ");
                assert!(
                    told.contains(&format!(": {names}; --verbose")),
                    "{width}: {text}"
                );
            }
        }
        let says = |name: &str| left_out.is_none_or(|names| !names.contains(name));
        assert_eq!(text.contains(AT), says("last activity"), "{width}: {text}");
        assert_eq!(text.contains(PATH), says("title"), "{width}: {text}");
        for line in text.lines().filter(|line| line.contains(ID)) {
            assert!(
                line.chars().count() <= usize::from(width),
                "{width}: {line}"
            );
        }
    }
    for text in [
        shown(&listed(), Some(60), true),
        shown(&listed(), None, false),
    ] {
        assert!(
            text.matches(ID).count() == 2 && text.contains(AT) && text.contains(PATH),
            "{text}"
        );
        assert!(!text.contains("left out"), "{text}");
    }
    assert!(shown(&listed(), Some(60), true).contains("each value is on a line of its own"));
}

#[test]
fn a_long_message_and_an_image_are_shown_in_full_on_demand() {
    let picture = format!("data:image/png;base64,iVBORw0KGgo{}", "A".repeat(63_989));
    let message = |text: &str| {
        let line = Line {
            key: "1".to_owned(),
            role: "user".to_owned(),
            text: text.to_owned(),
            ..Line::default()
        };
        Piece::Line(Box::new(line))
    };
    let pieces = |full| {
        let head = Transcript {
            full,
            ..Transcript::default()
        };
        let long = format!("{}END", "word ".repeat(1000));
        vec![
            Piece::Head(Head::Transcript(head)),
            message(&picture),
            message(&long),
        ]
    };
    let brief = shown(&pieces(false), Some(80), false);
    assert!(brief.contains("  [image/png, 48 kB]\n"), "{brief}");
    assert!(
        brief.contains("… 1003 more characters; --full shows them"),
        "{brief}"
    );
    assert!(!brief.contains("END"));
    let full = shown(&pieces(true), Some(80), false);
    assert!(full.contains(&picture) && full.contains("END") && !full.contains("--full"));
    let json = rendered("json", &pieces(false), Style::default());
    assert!(json.contains(&picture) && json.contains("END"));
}

#[test]
fn a_message_that_only_calls_a_tool_is_not_empty() {
    let tools = vec![Tool {
        name: "f".to_owned(),
        ..Tool::default()
    }];
    let line = Line {
        role: "assistant".to_owned(),
        tools,
        ..Line::default()
    };
    let text = shown(&[Piece::Line(Box::new(line))], Some(80), false);
    assert!(
        text.contains("⚙ f()") && !text.contains("(empty)"),
        "{text}"
    );
}
