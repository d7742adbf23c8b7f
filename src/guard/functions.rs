//! The functions of a file, and the conditions around a place, for languages with braces and
//! for Ruby. Python's are read in `python`.

use super::blank::Blanked;
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// A function or a method; a callback bears the name of what it is handed to, with a `&` before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// `init_db`, or `&app.listen` for a callback.
    pub name: String,
    /// Its first line.
    pub head: Range<usize>,
    /// What runs when it is called.
    pub body: Range<usize>,
    /// Decorators, annotations, attributes.
    pub marks: String,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is constant")
}

static KEYWORD: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"\b(?:function\s*\*?|func|fn|def|fun)\s+(?:\([^()]*\)\s*)?([A-Za-z_$][\w$]*)")
});
static ARROW: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"([A-Za-z_$][\w$]*)\s*(?::[^=;]+)?[=:]\s*(?:async\s*)?(?:function\b[^{]*|(?:\([^;]*\)|\w+)\s*(?::[^=;]+)?=>\s*)$",
    )
});
static CALLBACK: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?s)([A-Za-z_$][\w$.]*)\s*\(.*(?:=>\s*|\bfunction\s*\w*\s*\([^()]*\)\s*|\bfunc\s*\([^()]*\)[^{}]*)$",
    )
});
/// Also `async "delete-all"(body = {}) {`, whose name is a string.
static METHOD: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?s)([A-Za-z_$][\w$]*|["'][^"'\n]*["']|\])\s*\([^;]*\)\s*(?:throws\s[\w\s.,]+|:\s*[^={}]+|where\s[^{}]+)?$"#,
    )
});
static CONDITION: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?:^|[\s}])(if|else|elsif|unless|switch|match|case|catch)\b"));

/// `if (RESET) drop();` and Ruby's `drop if RESET`.
pub(super) fn one_line(text: &Blanked, at: usize) -> Vec<String> {
    static LEADING: LazyLock<Regex> = LazyLock::new(|| regex(r"^\s*(?:\}\s*else\s+)?if\b"));
    static TRAILING: LazyLock<Regex> = LazyLock::new(|| regex(r"\s(?:if|unless)\s.+$"));
    let start = text.bare[..at].rfind('\n').map_or(0, |at| at + 1);
    let end = text.bare[at..]
        .find('\n')
        .map_or(text.bare.len(), |len| at + len);
    let before = &text.bare[start..at];
    if LEADING.is_match(before) {
        return vec![text.code[start..at].trim().to_owned()];
    }
    let after = TRAILING.find(&text.bare[at..end]);
    after
        .map(|found| text.code[at + found.start()..end].trim().to_owned())
        .into_iter()
        .collect()
}

pub(super) fn around(text: &Blanked, blocks: &[Block], at: usize) -> Vec<String> {
    let blocks = blocks.iter().filter(|block| block.body.contains(&at));
    let mut out = Vec::new();
    for block in blocks.rev() {
        if block
            .function(text)
            .is_some_and(|function| !function.name.starts_with('&'))
        {
            break;
        }
        let head = text.bare[block.head.clone()].trim();
        if CONDITION.is_match(head) && !head.contains("=>") {
            let words: Vec<_> = text.code[block.head.clone()].split_whitespace().collect();
            out.push(words.join(" "));
        }
    }
    out
}

/// What is in braces, and the text before it back to the last statement.
#[derive(Debug, Clone)]
pub(super) struct Block {
    head: Range<usize>,
    body: Range<usize>,
}

pub(super) fn braces(text: &Blanked) -> Vec<Block> {
    const LONGEST_HEAD: usize = 600;
    let bytes = text.bare.as_bytes();
    let mut done: Vec<Block> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut statement = 0;
    // Inside round brackets a `;` or `}` ends no statement: `f({ a }, () => {`.
    let mut depth: Vec<i32> = vec![0];
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'(' => *depth.last_mut().expect("one level is always there") += 1,
            b')' => *depth.last_mut().expect("one level is always there") -= 1,
            b'{' => {
                let mut start = statement.max(at.saturating_sub(LONGEST_HEAD));
                while !text.bare.is_char_boundary(start) {
                    start += 1;
                }
                done.push(Block {
                    head: start..at,
                    body: at + 1..bytes.len(),
                });
                open.push(done.len() - 1);
                depth.push(0);
                statement = at + 1;
            }
            b'}' => {
                if let Some(block) = open.pop() {
                    done[block].body.end = at;
                    depth.pop();
                    let inside = depth.last().is_some_and(|depth| *depth > 0);
                    // A closed argument belongs to the call that is still open.
                    statement = if inside {
                        done[block].head.start
                    } else {
                        at + 1
                    };
                }
                if depth.is_empty() {
                    depth.push(0);
                }
            }
            b';' if depth.last() == Some(&0) => statement = at + 1,
            _ => {}
        }
    }
    done
}

impl Block {
    pub(super) fn function(&self, text: &Blanked) -> Option<Function> {
        let head = text.bare[self.head.clone()].trim_end();
        // Without semicolons the text before reaches back over whole statements.
        let lines: Vec<&str> = head.lines().collect();
        let mut name = None;
        for from in (0..lines.len()).rev() {
            let part = lines[from..].join("\n");
            let closed = part.matches('(').count() >= part.matches(')').count();
            if closed {
                name = name_of(part.trim());
                break;
            }
        }
        let start = self.head.start;
        let marks = text.code[start..self.head.end].trim();
        let trimmed = self.head.end - (text.bare[self.head.clone()].trim_start().len());
        Some(Function {
            name: name?,
            head: trimmed..self.head.end,
            body: self.body.clone(),
            marks: marks.to_owned(),
        })
    }
}

fn name_of(head: &str) -> Option<String> {
    const NO_NAMES: &[&str] = &[
        "if",
        "for",
        "while",
        "switch",
        "catch",
        "with",
        "return",
        "match",
        "else",
        "function",
        "synchronized",
        "using",
        "lock",
        "foreach",
        "elseif",
        "unless",
    ];
    let callback = CALLBACK
        .captures(head)
        .filter(|found| !NO_NAMES.contains(&&found[1]));
    if let Some(found) = &callback
        && !KEYWORD.is_match(&head[..found.get(1)?.start()])
        && !ARROW.is_match(head)
    {
        return Some(format!("&{}", &found[1]));
    }
    let named = KEYWORD
        .captures(head)
        .or_else(|| ARROW.captures(head))
        .or_else(|| METHOD.captures(head))?;
    (!NO_NAMES.contains(&&named[1])).then(|| named[1].to_owned())
}

/// Ruby's methods by indentation, as every formatter writes them.
pub(super) fn ruby(text: &Blanked) -> Vec<Function> {
    static DEF: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(?m)^([ \t]*)def\s+(?:self\.)?(\w+)[^\n]*"));
    let bare = &text.bare;
    DEF.captures_iter(bare)
        .map(|found| {
            let head = found.get(0).expect("group 0 is the match").range();
            let close = format!("\n{}end", &found[1]);
            let end = bare[head.end..]
                .find(&close)
                .map_or(bare.len(), |len| head.end + len);
            Function {
                name: found[2].to_owned(),
                body: head.end..end,
                head,
                marks: String::new(),
            }
        })
        .collect()
}
