//! Types that keep fewer digits behind the point than those before them. Pure.

/// How a value is written that such a type keeps, by how the value is; none where it keeps all.
pub(super) fn to(was: &str, definition: &str) -> Option<impl Fn(&str) -> String + use<>> {
    let (was, becomes) = (Kept::of(was)?, Kept::of(definition)?);
    let is_rounded = match (&was, &becomes) {
        (Kept::Digits(were), Kept::Digits(are)) => are < were,
        (Kept::Float(_) | Kept::Digits(_), Kept::Float(Size::Single)) => was != becomes,
        (Kept::Float(_), Kept::Digits(_)) => true,
        (Kept::Moment(_, were), Kept::Moment(_, are)) => are < were,
        _ => false,
    };
    is_rounded.then_some(move |value: &str| match &becomes {
        Kept::Digits(digits) => format!("round({value}, {digits})"),
        Kept::Float(_) => format!("CAST({value} AS FLOAT)"),
        Kept::Moment("date", _) => format!("CAST({value} AS DATE)"),
        Kept::Moment("time", digits) => format!("CAST({value} AS TIME({digits}))"),
        Kept::Moment(_, digits) => format!("CAST({value} AS DATETIME({digits}))"),
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Size {
    Single,
    Double,
}

/// What a type keeps of a number or of a time.
#[derive(Debug, PartialEq, Eq)]
enum Kept {
    /// So many digits behind the point.
    Digits(i32),
    Float(Size),
    /// Of a second; less than none of a day.
    Moment(&'static str, i32),
}

impl Kept {
    /// By the beginning of a definition.
    fn of(definition: &str) -> Option<Self> {
        let definition = definition.trim_start().to_ascii_lowercase();
        let end = definition.find(|it: char| !it.is_ascii_alphanumeric());
        let (name, rest) = definition.split_at(end.unwrap_or(definition.len()));
        let inside = rest.trim_start().strip_prefix('(');
        let inside = inside.and_then(|it| it.split(')').next());
        let number = |at: usize| {
            let part = inside.and_then(|it| it.split(',').nth(at));
            part.and_then(|it| it.trim().parse().ok()).unwrap_or(0)
        };
        Some(match name {
            "tinyint" | "smallint" | "mediumint" | "int" | "integer" | "bigint" => Self::Digits(0),
            "decimal" | "dec" | "numeric" | "fixed" => Self::Digits(number(1)),
            "float" => Self::Float(Size::Single),
            "double" | "real" => Self::Float(Size::Double),
            "date" => Self::Moment("date", -1),
            "time" => Self::Moment("time", number(0)),
            "datetime" | "timestamp" => Self::Moment("datetime", number(0)),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::to;

    #[test]
    fn what_keeps_fewer_digits_rounds() {
        for (was, becomes, written) in [
            (
                "decimal(10,4)",
                "DECIMAL(10, 2) NOT NULL",
                Some("round(c, 2)"),
            ),
            ("decimal(10,2)", "DECIMAL(12,4)", None),
            ("decimal(10,2)", "INT", Some("round(c, 0)")),
            ("int(11)", "BIGINT", None),
            ("double", "DECIMAL(10,2)", Some("round(c, 2)")),
            ("double", "FLOAT", Some("CAST(c AS FLOAT)")),
            ("float", "DOUBLE", None),
            ("float", "FLOAT NOT NULL", None),
            ("datetime(6)", "DATETIME", Some("CAST(c AS DATETIME(0))")),
            ("datetime", "TIMESTAMP(3)", None),
            (
                "timestamp(3)",
                "datetime(2)",
                Some("CAST(c AS DATETIME(2))"),
            ),
            ("datetime", "DATE", Some("CAST(c AS DATE)")),
            ("time(3)", "TIME", Some("CAST(c AS TIME(0))")),
            ("varchar(20)", "VARCHAR(10)", None),
            ("decimal(10,4)", "VARCHAR(10)", None),
        ] {
            let found = to(was, becomes).map(|written| written("c"));
            assert_eq!(found.as_deref(), written, "{was} {becomes}");
        }
    }
}
