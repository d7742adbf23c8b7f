//! A value as the engine returned it, for display: nothing is rounded or converted.

/// One value. What is not a number, no truth value and no bytes is the text that the engine prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// No value.
    Null,
    /// True or false, where the engine has a type for it.
    Bool(bool),
    /// A number as JSON writes one, with every digit that the engine gave.
    Number(String),
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    /// A number; what JSON has no number for (`NaN`, `Infinity`, `007`) stays text.
    pub fn number(text: impl Into<String>) -> Self {
        let text = text.into();
        if is_number(&text) {
            Self::Number(text)
        } else {
            Self::Text(text)
        }
    }

    /// A text, or no value.
    pub fn optional(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(text.into()))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// RFC 8259, section 6.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let rest = text.strip_prefix('-').unwrap_or(text);
    let (rest, exponent) = match rest.split_once(['e', 'E']) {
        Some((rest, exponent)) => (rest, Some(exponent)),
        None => (rest, None),
    };
    let (whole, fraction) = match rest.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (rest, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn only_what_json_takes_for_a_number_is_one() {
        for text in ["0", "-1", "0.50", "1e+100", "18446744073709551615", "-0.0"] {
            assert_eq!(Value::number(text), Value::Number(text.to_owned()));
        }
        for text in [
            "", "-", "007", "NaN", "Infinity", "1.", ".5", "1e", "0x1f", "1 ",
        ] {
            assert_eq!(Value::number(text), Value::Text(text.to_owned()));
        }
    }
}
