//! The forms in which programs store a text so that they get the same text back. Pure.
//!
//! A text that is encrypted or compressed is not among them: there, chatctl finds no row at all.

/// What a program did to a text before it stored it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Characters that HTML gives a meaning are entities.
    Html,
    /// It is a string of JSON, with or without its quotes.
    Json,
    /// Its bytes are percent-encoded, as in a URL.
    Url,
}

impl Form {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Html => "escaped for HTML",
            Self::Json => "encoded as a JSON string",
            Self::Url => "percent-encoded",
        }
    }
}

/// In which form a text is the one that was said.
pub fn of(said: &str, stored: &str) -> Option<Form> {
    let is_it = |text: Option<String>| text.is_some_and(|text| text.trim() == said.trim());
    let (bare, quoted) = (format!("\"{}\"", stored.trim()), stored.trim());
    let json = |text: &str| serde_json::from_str::<String>(text).ok();
    if stored.trim() == said.trim() {
        None
    } else if is_it(Some(without_entities(stored))) {
        Some(Form::Html)
    } else if is_it(json(quoted)) || is_it(json(&bare)) {
        Some(Form::Json)
    } else if is_it(from_url(stored)) {
        Some(Form::Url)
    } else {
        None
    }
}

/// The text behind the entities that servers escape for HTML.
pub fn without_entities(text: &str) -> String {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = rest.split_once(';').map(|(name, _)| &name[1..]);
        let character = name.and_then(entity);
        let length = match (character, name) {
            (Some(_), Some(name)) => name.len() + 2,
            _ => 1,
        };
        plain.push(character.unwrap_or('&'));
        rest = &rest[length..];
    }
    plain.push_str(rest);
    plain
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "amp" => '&',
        "nbsp" => '\u{a0}',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)?
        }
    })
}

/// The text of a URL's part; nothing where it is none.
fn from_url(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{Form, of, without_entities};

    const SAID: &str = "It's \"so\": 1 < 2 &\nnot 3. Grüße";

    #[test]
    fn a_text_is_known_in_each_form() {
        let json = serde_json::to_string(SAID).unwrap();
        let forms = [
            (
                "It&#x27;s &quot;so&quot;: 1 &lt; 2 &amp;\nnot 3. Grüße",
                Form::Html,
            ),
            (json.as_str(), Form::Json),
            (json.trim_matches('"'), Form::Json),
            (
                "\"It's \\\"so\\\": 1 < 2 &\\nnot 3. Gr\\u00fc\\u00dfe\"",
                Form::Json,
            ),
            (
                "It's%20%22so%22%3A+1%20%3C+2%20%26%0Anot+3.+Gr%C3%BC%C3%9Fe",
                Form::Url,
            ),
        ];
        for (stored, form) in forms {
            assert_eq!(of(SAID, stored), Some(form), "{stored}");
        }
    }

    /// Nothing that lacks a part of the text, or has another one.
    #[test]
    fn another_text_is_no_form() {
        for stored in [
            SAID,
            "It&#x27;s &quot;so&quot;: 1 &lt; 2 &amp;\nnot 3. Gr",
            "\"It's \\\"so\\\": 1 < 2 &\\nnot 3.\"",
            "It&#x27;s &quot;so&quot;: 1 &amp;lt; 2 &amp;\nnot 3. Grüße",
            "It's \"so\": 1 < 2 & not 3. Grüße",
            "It's%20%2",
        ] {
            assert_eq!(of(SAID, stored), None, "{stored}");
        }
    }

    #[test]
    fn each_entity_is_read_once() {
        assert_eq!(
            without_entities("a &amp;lt; b && c &what; &#39;"),
            "a &lt; b && c &what; '"
        );
        assert_eq!(without_entities("ü &#x1F389; &#0;&"), "ü \u{1f389} \0&");
    }
}
