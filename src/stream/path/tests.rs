//! The steps select what the library selects.

use super::{Document, Path};
use crate::stream::body::Body;
use crate::stream::profiles;
use crate::stream::sse::Item;
use fastrand::Rng;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// What a path selects, by its steps and by the library.
fn both(path: &Path, text: &str) -> [Vec<String>; 2] {
    let document = Document::parse(text).unwrap();
    let mut by_steps = Vec::new();
    path.for_each(&document, |json| by_steps.push(json.to_string()));
    let by_library = path.library.query(document.value());
    let by_library = by_library.iter().map(|json| json.to_string()).collect();
    [by_steps, by_library]
}

fn agree(path: &Path, text: &str) {
    let [by_steps, by_library] = both(path, text);
    assert_eq!(by_steps, by_library, "{path} in {text}");
}

/// Every path in the files of the shipped profiles, by its quotes.
fn shipped_paths() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/stream/profiles/shipped");
    let mut paths = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        paths.extend(
            text.split('"')
                .filter(|part| part.starts_with('$'))
                .map(str::to_owned),
        );
    }
    paths.sort();
    paths.dedup();
    paths
}

/// The JSON of every event in the fixtures of the profiles.
fn shipped_documents() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/profiles");
    let mut documents = Vec::new();
    for profile in profiles::ALL {
        for kind in ["normal", "error", "tool", "cut"] {
            let file = folder.join(format!("{}.{kind}.txt", profile.name));
            let Ok(body) = fs::read(file) else { continue };
            let mut decoder = Body::new(&profile.framing());
            let messages: Vec<_> = if profile.framing().needs_a_socket() {
                body.split(|byte| *byte == b'\n').collect()
            } else {
                vec![&body[..]]
            };
            let mut items = Vec::new();
            for message in messages {
                items.extend(decoder.push(Duration::ZERO, message).unwrap());
            }
            items.extend(decoder.finish(Duration::ZERO).unwrap());
            documents.extend(items.into_iter().filter_map(|item| match item {
                Item::Frame(frame) => Document::parse(&frame.data).is_ok().then_some(frame.data),
                Item::Line(_) => None,
            }));
        }
    }
    documents
}

#[test]
fn every_shipped_path_has_steps_and_selects_the_same() {
    let (paths, documents) = (shipped_paths(), shipped_documents());
    assert!(paths.len() > 100 && documents.len() > 300);
    for path in paths {
        let path = Path::parse(&path).unwrap();
        assert!(path.steps.is_some(), "{path} is followed by the library");
        for document in &documents {
            agree(&path, document);
        }
    }
}

const NAMES: [&str; 5] = ["a", "b", "type", "ü", "c d"];
const SCALARS: [&str; 12] = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "1.0",
    "2.5",
    "\"\"",
    "\"a\"",
    "\"type\"",
    "18446744073709551615",
];

fn document(rng: &mut Rng, depth: usize) -> String {
    if depth == 0 || rng.u8(..4) == 0 {
        return rng.choice(SCALARS).unwrap().to_owned();
    }
    let size = rng.usize(..4);
    if rng.bool() {
        let items: Vec<_> = (0..size).map(|_| document(rng, depth - 1)).collect();
        format!("[{}]", items.join(", "))
    } else {
        // A name may come again.
        let field = |rng: &mut Rng| {
            let name = rng.choice(NAMES).unwrap();
            format!("\"{name}\": {}", document(rng, depth - 1))
        };
        let fields: Vec<_> = (0..size).map(|_| field(rng)).collect();
        format!("{{{}}}", fields.join(", "))
    }
}

fn name(rng: &mut Rng) -> String {
    let name = rng.choice(NAMES).unwrap();
    match rng.u8(..3) {
        0 if !name.contains(' ') => format!(".{name}"),
        1 => format!("[\"{name}\"]"),
        _ => format!("['{name}']"),
    }
}

fn singular(rng: &mut Rng, from: i32) -> String {
    let start = rng.choice(["$", "@"]).unwrap();
    let segments = (0..rng.usize(..3)).map(|_| match rng.u8(..4) {
        0 => format!("[{}]", rng.i32(from..3)),
        _ => name(rng),
    });
    start.to_owned() + &segments.collect::<String>()
}

fn operand(rng: &mut Rng) -> String {
    if rng.bool() {
        // In a comparison the library finds nothing at a negative index.
        singular(rng, 0)
    } else {
        rng.choice(SCALARS).unwrap().replace('"', "'")
    }
}

fn test(rng: &mut Rng, depth: usize) -> String {
    let blank = rng.choice(["", " "]).unwrap();
    match rng.u8(..if depth == 0 { 3 } else { 7 }) {
        0 => singular(rng, -3),
        1 => format!("!{}", singular(rng, -3)),
        2 => {
            let sign = rng.choice(["==", "!="]).unwrap();
            format!("{}{blank}{sign}{blank}{}", operand(rng), operand(rng))
        }
        3 => format!("({})", test(rng, depth - 1)),
        4 => format!("!({})", test(rng, depth - 1)),
        5 => format!("{} &&{blank}{}", test(rng, depth - 1), test(rng, depth - 1)),
        _ => format!("{}{blank}|| {}", test(rng, depth - 1), test(rng, depth - 1)),
    }
}

fn selector(rng: &mut Rng) -> String {
    match rng.u8(..5) {
        0 => "*".to_owned(),
        1 => rng.i32(-3..3).to_string(),
        2 => format!("'{}'", rng.choice(NAMES).unwrap()),
        _ => format!("?{}", test(rng, 2)),
    }
}

fn path(rng: &mut Rng) -> String {
    let segments = (0..rng.usize(1..4)).map(|_| match rng.u8(..8) {
        0 => ".*".to_owned(),
        1 => format!("[{}]", selector(rng)),
        2 => format!("[{}, {}]", selector(rng), selector(rng)),
        3 => "..*".to_owned(),
        4 => format!("..[{}]", selector(rng)),
        5 => format!("..{}", rng.choice(["a", "b", "type"]).unwrap()),
        _ => name(rng),
    });
    "$".to_owned() + &segments.collect::<String>()
}

#[test]
fn generated_paths_select_the_same_in_generated_documents() {
    let mut rng = Rng::with_seed(15);
    let mut selected = 0;
    for _ in 0..4_000 {
        let text = path(&mut rng);
        let path = Path::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(path.steps.is_some(), "{text} is followed by the library");
        for _ in 0..5 {
            let document = document(&mut rng, 4);
            selected += both(&path, &document)[0].len();
            agree(&path, &document);
        }
    }
    assert!(selected > 5_000, "{selected} values were compared");
}

/// Forms that are read by the library alone.
#[test]
fn other_forms_go_to_the_library() {
    for path in [
        "$[1:]",
        "$[::-1]",
        "$.a[?length(@.b) > 1]",
        "$[?match(@.a, 'x.*')]",
        "$.a[?@ >= 2]",
        r"$['a\'b']",
        r#"$["\u0061"]"#,
    ] {
        let path = Path::parse(path).unwrap();
        assert_eq!(path.steps, None, "{path}");
        let text = r#"{"a":[{"b":"12"},{"b":[]},3],"a'b":{"a":"xy"},"c":{"a":"xz"}}"#;
        agree(&path, text);
        agree(&path, "[1,2,3]");
    }
}

/// As RFC 9535 has it, section 2.3.3.
#[test]
fn a_negative_index_counts_from_the_end_in_a_comparison_too() {
    let path = Path::parse("$[?@.a == $[-1]]").unwrap();
    let [by_steps, _] = both(&path, r#"[{"a":1},{"a":7},7]"#);
    assert_eq!(by_steps, [r#"{"a":7}"#]);
}

#[test]
fn what_is_no_path_is_an_error() {
    for path in ["", "a", "$.", "$[", "$[?@.a ==]", "$[?(@.a]", "$ "] {
        assert!(Path::parse(path).is_err(), "{path:?}");
    }
}

#[test]
fn one_integer_is_a_number() {
    let integer = |path: &str, text: &str| {
        let document = Document::parse(text).unwrap();
        Path::parse(path).unwrap().integer(&document)
    };
    assert_eq!(integer("$.n", r#"{"n":7}"#), Some(7));
    assert_eq!(integer("$.n", r#"{"n":7.5}"#), None);
    assert_eq!(integer("$[*]", "[7,8]"), None);
    assert_eq!(integer("$[*]", "[]"), None);
}
