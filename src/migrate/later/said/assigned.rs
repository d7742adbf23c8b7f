//! The values that a statement of a body assigns to columns.

use super::{Said, Tokens};
use crate::sql::{Dialect, Kind, TokenKind};

/// What an assignment puts in the place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::migrate::later) enum Assigned {
    /// Nothing: NULL or the empty text.
    Blank,
    /// What follows from the row that gets it.
    Derived,
    /// What may only say yes or no: TRUE, 0.
    Flag,
    /// What follows from the time.
    Clock,
    /// What follows from the written row.
    Written,
    /// What the written row has in the same column.
    Same,
    /// What the row had in the same column before it was written.
    Before,
    /// A digest of what it was.
    Hashed,
    /// What a query of other rows gives.
    Asked,
    /// One text or number for all rows.
    Constant,
    /// At most so many characters of what it was.
    Cut(u64),
    /// Something else.
    Other,
}

/// What tells the time.
pub(super) const CLOCKS: [&str; 18] = [
    "CLOCK_TIMESTAMP",
    "CURDATE",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURTIME",
    "DATE",
    "DATETIME",
    "JULIANDAY",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "NOW",
    "STRFTIME",
    "SYSDATE",
    "TIME",
    "UNIXEPOCH",
    "UNIX_TIMESTAMP",
    "UTC_TIMESTAMP",
];

impl Said {
    /// What an UPDATE assigns, or an INSERT or a MERGE where a row is there already: columns and values.
    pub(in crate::migrate::later) fn assignments(&self) -> Vec<(String, Assigned)> {
        let tokens = self.tokens();
        let parts = self.assigned_parts(&tokens);
        let parts = parts.iter();
        parts
            .filter_map(|part| self.assignment(&tokens, part))
            .collect()
    }

    /// The places of the tokens of each assignment.
    fn assigned_parts(&self, tokens: &Tokens<'_>) -> Vec<Vec<usize>> {
        let begins = |index: usize| match &self.facts.kind {
            Kind::Insert { .. } | Kind::Merge { .. } => {
                let set = tokens.is(index, &["SET"]) && index > 0;
                set && tokens.is(index - 1, &["UPDATE"])
                    || tokens.is(index, &["UPDATE"]) && index > 0 && tokens.is(index - 1, &["KEY"])
            }
            _ => tokens.is(index, &["SET"]),
        };
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for (index, depth) in tokens.depths() {
            let is_next =
                matches!(self.facts.kind, Kind::Merge { .. }) && tokens.is(index, &["WHEN"]);
            let ends =
                tokens.is(index, &["WHERE", "FROM", "RETURNING", "ORDER", "LIMIT"]) || is_next;
            if depth == 0 && parts.is_empty() && begins(index) {
                parts.push(Vec::new());
            } else if depth == 0 && ends && !parts.is_empty() {
                break;
            } else if depth == 0 && tokens.at(index) == "," && !parts.is_empty() {
                parts.push(Vec::new());
            } else if let Some(part) = parts.last_mut() {
                part.push(index);
            }
        }
        parts
    }

    /// What an `INSERT INTO t (a, b) SELECT x, y` gives to its columns.
    pub(in crate::migrate::later) fn inserted(&self) -> Vec<(String, Assigned)> {
        let tokens = self.tokens();
        let depths = tokens.depths();
        let select = depths.iter();
        let mut select =
            select.filter(|(index, depth)| *depth == 0 && tokens.is(*index, &["SELECT"]));
        let Some((select, _)) = select.next().copied() else {
            return Vec::new();
        };
        let names = (0..select)
            .filter(|index| depths[*index].1 == 1 && !matches!(tokens.at(*index), "(" | ")" | ","));
        let mut values: Vec<Vec<usize>> = vec![Vec::new()];
        for (index, depth) in &depths[select + 1..] {
            match tokens.at(*index) {
                "," if *depth == 0 => values.push(Vec::new()),
                _ if *depth == 0 && tokens.is(*index, &["FROM"]) => break,
                _ => values.last_mut().into_iter().for_each(|it| it.push(*index)),
            }
        }
        let pairs = names.zip(&values);
        let pairs = pairs.map(|(name, value)| {
            let name = tokens.name(name);
            (name.to_owned(), self.assigned(&tokens, value, name))
        });
        pairs.collect()
    }

    /// Whether what it assigns to a column follows from the row that gets it, by one of these columns.
    pub(in crate::migrate::later) fn follows_its_row(
        &self,
        column: &str,
        table: &str,
        columns: &[&str],
    ) -> bool {
        let tokens = self.tokens();
        let parts = self.assigned_parts(&tokens);
        let is_it = |part: &&Vec<usize>| {
            part.iter()
                .take_while(|index| tokens.at(**index) != "=")
                .any(|index| tokens.name(*index).eq_ignore_ascii_case(column))
        };
        parts.iter().filter(is_it).any(|part| {
            let equals = part.iter().position(|index| tokens.at(*index) == "=");
            let value = &part[equals.map_or(0, |equals| equals + 1)..];
            value.iter().any(|index| {
                let name = tokens.name(*index);
                let qualified = *index > 0 && tokens.at(*index - 1) == ".";
                let of_table = name.eq_ignore_ascii_case(table) && tokens.at(index + 1) == ".";
                let is_column = columns.iter().any(|it| name.eq_ignore_ascii_case(it));
                of_table || is_column && !qualified
            })
        })
    }

    /// Whether its condition finds the row that sets the action off, or those that refer to it, by one of
    /// these columns.
    pub(in crate::migrate::later) fn is_of_row(&self, key: &[&str]) -> bool {
        let tokens = self.tokens();
        let condition = self.condition(&tokens);
        condition.clone().any(|index| {
            let column = tokens.name(index + 2);
            let is_key = key.iter().any(|it| column.eq_ignore_ascii_case(it));
            let is_equal = |at: Option<usize>| {
                at.is_some_and(|at| {
                    let before = at.checked_sub(1).map_or("", |before| tokens.at(before));
                    tokens.at(at) == "=" && !matches!(before, "<" | ">" | "!")
                })
            };
            let equals = is_equal(index.checked_sub(1)) || is_equal(Some(index + 3));
            tokens.is_of_row(index) && is_key && equals
        })
    }

    /// Whether it gives each row of a table what follows from the one that is written.
    pub(in crate::migrate::later) fn gives_one_to_all(&self, assigned: Assigned) -> bool {
        let is_one = match assigned {
            Assigned::Same | Assigned::Before | Assigned::Written | Assigned::Hashed => true,
            Assigned::Blank
            | Assigned::Derived
            | Assigned::Flag
            | Assigned::Clock
            | Assigned::Asked
            | Assigned::Constant
            | Assigned::Cut(_)
            | Assigned::Other => false,
        };
        is_one && self.is_of_all_rows()
    }

    /// Whether it is an UPDATE of each row of one table.
    fn is_of_all_rows(&self) -> bool {
        let tokens = self.tokens();
        let picks = |(index, depth): &(usize, usize)| {
            *depth == 0 && tokens.is(*index, &["FROM", "JOIN", "LIMIT", "USING"])
        };
        let is_plain = !tokens.depths().iter().any(picks);
        let all = match self.facts.kind {
            Kind::Update { has_where } => !has_where || self.has_idle_condition(&tokens),
            _ => false,
        };
        all && is_plain && self.facts.tables().count() == 1
    }

    /// Whether it has one condition at most.
    fn is_plain(&self, tokens: &Tokens<'_>) -> bool {
        let mut condition = self.condition(tokens);
        !condition
            .any(|index| tokens.is(index, &["AND", "OR", "IS", "IN", "NOT", "LIKE", "EXISTS"]))
    }

    /// What it gives to columns of each row that is written, whatever the row is: `NEW.body := …`, or an
    /// UPDATE of that row by these columns.
    /// It has these columns.
    pub(in crate::migrate::later) fn of_each_row(
        &self,
        key: &[&str],
        columns: &[&str],
    ) -> Vec<(String, Assigned)> {
        let tokens = self.tokens();
        match &self.facts.kind {
            Kind::Update { .. } if self.is_of_row(key) && self.is_plain(&tokens) => {
                self.assignments()
            }
            Kind::Update { .. } => Vec::new(),
            _ => [self.written(), self.whole(columns)].concat(),
        }
    }

    /// `column = value`, also `NEW.column := value`.
    fn assignment(&self, tokens: &Tokens<'_>, part: &[usize]) -> Option<(String, Assigned)> {
        let equals = part.iter().position(|index| tokens.at(*index) == "=")?;
        let names = part[..equals].iter().rev();
        let mut names = names.filter(|index| !matches!(tokens.at(**index), ":"));
        let column = tokens.name(*names.next()?);
        let value = &part[equals + 1..];
        Some((column.to_owned(), self.assigned(tokens, value, column)))
    }

    pub(super) fn assigned(&self, tokens: &Tokens<'_>, value: &[usize], column: &str) -> Assigned {
        let Some(first) = value.first() else {
            return Assigned::Other;
        };
        // A query of no table gives what it has.
        let asks = tokens.at(*first) == "(" && tokens.is(first + 1, &["SELECT"]);
        // One that is put together in pieces may end here.
        let asked = value.get(2..value.len() - 1).filter(|_| asks);
        if let Some(asked) = asked
            && !value.iter().any(|index| tokens.is(*index, &["FROM"]))
        {
            return self.assigned(tokens, asked, column);
        }
        // Behind a literal comes at most a cast.
        let alone = value.len() == 1 || tokens.at(value[1]) == ":";
        let kind = tokens.all[*first].kind;
        let is_text = kind == TokenKind::String
            || self.dialect == Dialect::Sqlite && kind == TokenKind::QuotedName;
        let text = tokens.at(*first);
        let empty = is_text && text.trim_start_matches(['E', 'e']).len() == 2;
        if alone && (tokens.is(*first, &["NULL"]) || empty) {
            return Assigned::Blank;
        }
        if let Some(length) = cut(tokens, value, column) {
            return Assigned::Cut(length);
        }
        let flag = tokens.is(*first, &["TRUE", "FALSE"]) || matches!(text, "0" | "1");
        if alone && flag {
            return Assigned::Flag;
        }
        if alone && (is_text || kind == TokenKind::Number) {
            return Assigned::Constant;
        }
        let is_own = |index: &usize| tokens.name(*index).eq_ignore_ascii_case(column);
        let is_itself = value.len() == 1 && value.iter().all(is_own);
        let sign = |index: &usize| matches!(tokens.at(*index), "+" | "-");
        let counts = value.iter().any(is_own) && value.iter().any(sign);
        let of_row = |index: &usize| tokens.is_of_row(*index);
        let is_of_row = |index: &usize| {
            index
                .checked_sub(2)
                .is_some_and(|row| tokens.is_of_row(row))
        };
        let is_kept = value.iter().any(|index| is_own(index) && !is_of_row(index));
        let tells_time = |index: &usize| tokens.is(*index, &CLOCKS);
        let is_same = of_row(first) && value.len() == 3 && is_own(&value[2]);
        let asks = value.iter().any(|index| tokens.is(*index, &["SELECT"]));
        if is_same && tokens.is(*first, &["OLD"]) {
            Assigned::Before
        } else if is_same {
            Assigned::Same
        } else if is_itself || counts {
            Assigned::Derived
        } else if value.iter().any(of_row) {
            if is_kept {
                Assigned::Derived
            } else if is_hashed(tokens, value, column) {
                Assigned::Hashed
            } else {
                Assigned::Written
            }
        } else if value.iter().any(tells_time) {
            Assigned::Clock
        } else if asks {
            Assigned::Asked
        } else if is_hashed(tokens, value, column) {
            Assigned::Hashed
        } else {
            Assigned::Other
        }
    }

    /// Whether it is such an assignment.
    pub(in crate::migrate::later) fn writes_row(&self) -> bool {
        !self.written().is_empty() || self.values_of_row().is_some()
    }

    /// What it gives to columns of the row itself before the row is stored: `SET NEW.a = 1, NEW.b = 2`.
    fn written(&self) -> Vec<(String, Assigned)> {
        let tokens = self.tokens();
        if tokens.is(0, &["SELECT"]) {
            return self.selected(&tokens);
        }
        let set = usize::from(tokens.is(0, &["SET"]));
        if !tokens.is(0, &["NEW", "SET"]) {
            return Vec::new();
        }
        let mut parts = vec![Vec::new()];
        for (index, depth) in tokens.depths().into_iter().skip(set) {
            match parts.last_mut() {
                Some(part) if depth > 0 || tokens.at(index) != "," => part.push(index),
                _ => parts.push(Vec::new()),
            }
        }
        let of_row = parts.iter().filter(|part| match part.as_slice() {
            [row, dot, ..] => tokens.is(*row, &["NEW"]) && tokens.at(*dot) == ".",
            _ => false,
        });
        of_row
            .filter_map(|part| self.assignment(&tokens, &part[2..]))
            .collect()
    }
}

/// How many characters are kept of a column by a value that cuts it: `left(NEW.body, 5)`.
fn cut(tokens: &Tokens<'_>, value: &[usize], column: &str) -> Option<u64> {
    const CUTS: [&str; 5] = ["LEFT", "MID", "RIGHT", "SUBSTR", "SUBSTRING"];
    let (first, last) = (*value.first()?, *value.last()?);
    if !tokens.is(first, &CUTS) || tokens.at(first + 1) != "(" || tokens.at(last) != ")" {
        return None;
    }
    let named = if tokens.is_of_row(first + 2) {
        first + 4
    } else {
        first + 2
    };
    let is_it = tokens.name(named).eq_ignore_ascii_case(column);
    let ends = matches!(tokens.at(named + 1), ",") || tokens.is(named + 1, &["FROM", "FOR"]);
    // Behind the column are its place and its length, or the length alone.
    let numbers: Option<Vec<u64>> = (named + 1..last)
        .filter(|index| !matches!(tokens.at(*index), ",") && !tokens.is(*index, &["FROM", "FOR"]))
        .map(|index| tokens.at(index).parse().ok())
        .collect();
    let is_place = !tokens.is(first, &["LEFT", "RIGHT"]) && !tokens.is(named + 1, &["FOR"]);
    match numbers?.as_slice() {
        [length] if is_it && ends && !is_place => Some(*length),
        [1, length] if is_it && ends && is_place => Some(*length),
        _ => None,
    }
}

/// Whether a value is a digest of a column, from which nobody gets back what it was.
fn is_hashed(tokens: &Tokens<'_>, value: &[usize], column: &str) -> bool {
    const WRITES: [&str; 5] = ["ENCODE", "HEX", "LOWER", "TO_HEX", "UPPER"];
    const DIGESTS: [&str; 12] = [
        "CRC32", "CRYPT", "DIGEST", "HASHTEXT", "MD5", "SHA", "SHA1", "SHA2", "SHA224", "SHA256",
        "SHA384", "SHA512",
    ];
    let opens = |at: usize, words: &[&str]| {
        let (word, bracket) = (value.get(at), value.get(at + 1));
        word.is_some_and(|it| tokens.is(*it, words))
            && bracket.is_some_and(|it| tokens.at(*it) == "(")
    };
    let mut at = 0;
    while opens(at, &WRITES) {
        at += 2;
    }
    if !opens(at, &DIGESTS) {
        return false;
    }
    let mut depth = 0_usize;
    let closes = value.iter().skip(at + 1).position(|it| {
        match tokens.at(*it) {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    let (inside, behind) = value.split_at(closes.map_or(value.len(), |it| at + 1 + it));
    let has_it = |part: &[usize]| {
        part.iter()
            .any(|it| tokens.name(*it).eq_ignore_ascii_case(column))
    };
    has_it(inside) && !has_it(behind)
}
