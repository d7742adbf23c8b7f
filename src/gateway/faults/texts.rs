//! Texts that stores, drivers and servers do not expect.

use super::{Fault, NOTHING};
use crate::stream::marks;

pub(super) const NUL: Fault = Fault {
    name: "nul",
    what: "the text contains U+0000",
    breaks: "PostgreSQL refuses it in text and jsonb, so the whole save fails. C code cuts the text \
             there.",
    says: Some(|_| "Before\0after.".to_owned()),
    ..NOTHING
};

pub(super) const LONE_SURROGATE: Fault = Fault {
    name: "lone-surrogate",
    what: "the text contains half of a surrogate pair, as the JSON escape \\ud83d",
    breaks: "Python keeps it in a str that can't be encoded: the stream or the save raises an error. Models send \
             it when a token ends inside an emoji.",
    says: Some(|_| format!("Cut {} here.", marks::HALF_PAIR)),
    ..NOTHING
};

pub(super) const EMOJI: Fault = Fault {
    name: "emoji",
    what: "the text contains characters of four bytes, and emoji of several characters",
    breaks: "MySQL's utf8mb3 refuses them or stores question marks. Code that cuts texts by bytes or \
             UTF-16 units cuts inside them.",
    says: Some(|rng| {
        let mut all = ["👋", "🧑‍🚀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇺🇦", "👍🏽", "𝒳", "𠜎"];
        rng.shuffle(&mut all);
        format!("{}.", all.join(" "))
    }),
    ..NOTHING
};

pub(super) const RTL: Fault = Fault {
    name: "rtl",
    what: "the text is written from right to left, with direction marks",
    breaks: "Code pages other than UTF-8 lose the letters.",
    says: Some(|_| "שלום עולם \u{200f}(1) مرحبا بالعالم، كيف الحال؟".to_owned()),
    ..NOTHING
};

pub(super) const CRLF: Fault = Fault {
    name: "crlf",
    what: "the text contains CR LF line ends, and lines that look like server-sent events",
    breaks: "A server that writes the text into `data:` without splitting its lines ends its own \
             event there: the client loses what follows, or sees a [DONE] that is part of the text.",
    says: Some(|_| "One.\r\n\r\ndata: [DONE]\r\n\r\nevent: error\r\ndata: two.\r\n".to_owned()),
    ..NOTHING
};

pub(super) const MARKUP: Fault = Fault {
    name: "markup",
    what: "the text contains HTML, Markdown, backslashes, percent signs and placeholders",
    breaks: "Code that escapes or cleans a text before it is stored changes what the model said: each reload \
        shows `&lt;`, or tags and stars are gone.",
    says: Some(|_| {
        r#"<b>Bold</b> & "quoted" &amp; 5 < 6 > 4, **stars**, _lines_, `code`, [a link](https://example.org/a?b=1&c=2), me@example.org, C:\new\table, 100%s %20 $1 {name}."#
            .to_owned()
    }),
    ..NOTHING
};

pub(super) const DECOMPOSED: Fault = Fault {
    name: "decomposed",
    what: "the text contains letters whose accents are separate characters, and ligatures",
    breaks: "Code that normalizes texts (NFC, NFKC) stores other characters: a hash or a signature of the text \
        no longer fits, and `½` becomes `1⁄2`.",
    says: Some(|_| {
        "Cafe\u{301}, man\u{303}ana, \u{1112}\u{1161}\u{11ab}, \u{fb01}x ½ cup.".to_owned()
    }),
    ..NOTHING
};

pub(super) const CODE: Fault = Fault {
    name: "code",
    what: "the text contains a block of code with indented lines",
    breaks: "Code that joins lines or takes white space out of them destroys what the user copies: in Python and \
        YAML the indentation has a meaning.",
    says: Some(|_| {
        "\n```python\ndef total(tasks):\n    for task in tasks:\n        if task.done:\n            return 1\n    return 0\n```\nDone."
            .to_owned()
    }),
    ..NOTHING
};

/// More than the columns and buffers that are made for a paragraph hold, and no more than a model says at once, in bytes.
const LONG: usize = 20 << 10;

pub(super) const LONG_TEXT: Fault = Fault {
    name: "long",
    what: "the text is 20 KB long",
    breaks: "Columns such as VARCHAR(255), buffers of 4 KB and code that limits a text cut it: each reload shows a \
        part of it as the whole answer.",
    says: Some(|rng| lines(rng, LONG)),
    ..NOTHING
};

/// How long the text is, in bytes.
const MEGABYTE_LONG: usize = 1 << 20;

pub(super) const MEGABYTE: Fault = Fault {
    name: "megabyte",
    what: "the text is 1 MB long",
    breaks: "MySQL's TEXT holds 64 KB: the save fails, or a lax server cuts the text silently. Limits on lines \
        and messages end the stream.",
    says: Some(|rng| lines(rng, MEGABYTE_LONG)),
    ..NOTHING
};

/// Lines that differ, of so many bytes in all.
fn lines(rng: &mut fastrand::Rng, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 32);
    while text.len() < bytes {
        text.push_str(&format!("Line {} of it.\n", rng.u32(..)));
    }
    text
}
