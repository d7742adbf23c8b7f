//! Tables as a migration finds and leaves them.

/// A table, as the catalogue describes it at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape {
    /// The identity of the table, which survives a rename; absent if the engine has none.
    pub id: Option<u64>,
    /// Its name in reports, unique in one read of the catalogue: with its schema unless that is
    /// the default one.
    pub name: String,
    /// Its schema, exactly as the engine has it.
    pub schema: String,
    /// Its name without the schema, exactly as the engine has it.
    pub table: String,
    /// Whether its bare name refers to it.
    pub bare: bool,
    /// Whether its schema is one of those in which a bare name is looked for.
    pub on_path: bool,
    /// The partitioned table that it is a part of, and that holds its rows too.
    pub whole: Option<String>,
    /// Whether it is a part of a table that has rows of its own too, by inheritance.
    pub heir: bool,
    /// Whether its rows have a place of their own, which no column shows, and are read in the order of
    /// their places.
    pub placed: bool,
    /// Whether it holds no rows itself, but its parts do.
    pub parted: bool,
    /// Whether a crash or a restart of the server empties it.
    pub volatile: bool,
    /// Whether its engine lacks transactions.
    pub loose: bool,
    /// The columns that a query for all columns does not show.
    pub unshown: Vec<String>,
    /// The columns that say from when to when a version of a row was there, where the engine keeps
    /// the former versions.
    pub period: Option<(String, String)>,
    /// Whether it keeps former versions of its rows by numbers of transactions, which no copy has.
    pub numbered: bool,
    /// Its stored columns, in order.
    pub columns: Vec<ShapeColumn>,
    /// Those that the engine computes from others, where it tells them apart.
    pub generated: Vec<ShapeColumn>,
    /// The columns of its primary key; none when it has no key.
    pub key: Vec<String>,
}

impl Shape {
    /// With these generated columns behind the stored ones.
    #[must_use]
    pub fn with_generated(mut self, is_one: impl Fn(&ShapeColumn) -> bool) -> Self {
        let (among, others) = self.generated.into_iter().partition(is_one);
        let among: Vec<_> = among;
        self.columns.extend(among);
        self.generated = others;
        self
    }
}

/// How an engine distinguishes names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// In the names of tables.
    pub tables: Case,
    /// In the names of columns.
    pub columns: Case,
    /// What is around a name that is not plain.
    pub quote: char,
}

/// Whether `Drafts` and `drafts` are two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// They are two; without quotes both mean the lower one.
    Folded,
    /// They are two.
    Matters,
    /// They are one.
    Ignored,
}

impl Case {
    /// Whether two names are one.
    pub fn same(self, a: &str, b: &str) -> bool {
        match self {
            Self::Folded | Self::Matters => a == b,
            Self::Ignored => a.eq_ignore_ascii_case(b),
        }
    }
}

impl Names {
    /// PostgreSQL's.
    pub const POSTGRES: Self = Self {
        tables: Case::Folded,
        columns: Case::Folded,
        quote: '"',
    };

    /// SQLite's.
    pub const SQLITE: Self = Self {
        tables: Case::Ignored,
        columns: Case::Ignored,
        quote: '"',
    };

    /// A name as a person writes it: with quotes only where it needs them.
    pub fn written(self, name: &str) -> String {
        let upper = self.tables == Case::Folded && name.contains(|c: char| c.is_ascii_uppercase());
        let mut characters = name.chars();
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let plain = characters.next().is_some_and(first)
            && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if plain && !upper {
            return name.to_owned();
        }
        let quote = self.quote;
        let doubled = name.replace(quote, &format!("{quote}{quote}"));
        format!("{quote}{doubled}{quote}")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShapeColumn {
    /// The identity of the column, which survives a rename.
    pub id: Option<u64>,
    pub name: String,
    /// Its type, as the engine writes it.
    pub declared: String,
}

/// The successor of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Successor {
    /// The table that holds its rows now.
    pub table: String,
    /// The columns on both sides: name and type before, name and type after.
    pub columns: Vec<(ShapeColumn, ShapeColumn)>,
    /// Those of them that were the key before; `None` if one of them is gone.
    pub key: Vec<(ShapeColumn, ShapeColumn)>,
    /// Whether they are still the key.
    pub keyed: bool,
}

impl Successor {
    /// Whether a column of now is compared.
    pub fn reads(&self, column: &ShapeColumn) -> bool {
        let mut pairs = self.columns.iter().chain(&self.key);
        pairs.any(|(_, new)| new == column)
    }

    /// The columns of now, each once: two of before may have become one.
    pub fn columns_now(&self) -> Vec<ShapeColumn> {
        let mut columns: Vec<ShapeColumn> = Vec::new();
        for (_, new) in self.columns.iter().chain(&self.key) {
            if !columns.contains(new) {
                columns.push(new.clone());
            }
        }
        columns
    }
}

/// How many rows a table has, and how many values each of its columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    pub rows: u64,
    /// Values that are not NULL, by the order of the columns.
    pub filled: Vec<u64>,
}

impl Content {
    /// The changes of a table that counts alone can show. `pairs`: for each of its columns the
    /// place of its successor among the columns of `now`.
    pub fn compared(&self, now: &Self, pairs: &[Option<usize>]) -> Compared {
        let missing = self.rows.saturating_sub(now.rows);
        let columns = self.filled.iter().zip(pairs).map(|(filled, pair)| {
            let after = pair.and_then(|index| now.filled.get(index));
            ComparedColumn {
                filled: *filled,
                nulled: after.map_or(0, |after| filled.saturating_sub(after + missing)),
                ..ComparedColumn::default()
            }
        });
        Compared {
            before: self.rows,
            missing,
            columns: columns.collect(),
            ..Compared::default()
        }
    }
}

/// A table compared with its earlier state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compared {
    /// Rows before.
    pub before: u64,
    /// Earlier rows that no longer exist.
    pub missing: u64,
    /// Rows that come before others now which they came after.
    pub moved: u64,
    /// By column of before, in order.
    pub columns: Vec<ComparedColumn>,
    /// The zone of new sessions, where it is another one than UTC and some column was read in UTC.
    pub zone: Option<String>,
}

/// A column compared with its earlier state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComparedColumn {
    /// Values before.
    pub filled: u64,
    /// Values that became NULL, in rows that still exist.
    pub nulled: u64,
    /// Values that changed, in rows that still exist.
    pub changed: u64,
    /// The explanation of all these changes, if there is one: then they lose nothing.
    pub derived: Option<Derived>,
    /// Whether its times are the same only if those that have no zone are read in UTC.
    pub in_utc: bool,
}

/// Why a value changed next to a change of another one, though no statement asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Derived {
    /// The database itself sets it to the time of the change.
    Clock,
    /// It counts rows that refer to its own, and every new value is the right count.
    Count,
}
