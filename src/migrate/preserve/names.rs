//! Names of tables and columns, as written in a text and as stored by the engine.

use crate::model::{Names, Shape};

/// A table as a text names it, without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The schema, if one is named.
    pub schema: Option<String>,
    pub table: String,
}

impl Named {
    /// Whether it is this table.
    pub fn is(&self, shape: &Shape, names: Names) -> bool {
        let in_schema = match &self.schema {
            None => shape.bare,
            Some(schema) => names.tables.same(schema, &shape.schema),
        };
        in_schema && names.tables.same(&self.table, &shape.table)
    }
}

/// The tables that there are at one moment, and how the engine tells their names apart.
#[derive(Debug, Clone, Copy)]
pub struct Tables<'a> {
    /// The tables.
    pub shapes: &'a [Shape],
    /// How their names are told apart.
    pub names: Names,
}

impl<'a> Tables<'a> {
    /// The table that a report calls so.
    pub fn called(&self, name: &str) -> Option<&'a Shape> {
        self.shapes.iter().find(|shape| shape.name == name)
    }

    /// The table that has the name of another one, of another moment.
    pub fn namesake(&self, other: &Shape) -> Option<&'a Shape> {
        let same = |a: &str, b: &str| self.names.tables.same(a, b);
        let same =
            |shape: &&Shape| same(&shape.table, &other.table) && same(&shape.schema, &other.schema);
        self.shapes.iter().find(same)
    }

    /// The table that a text names so.
    pub fn named(&self, name: &Named) -> Option<&'a Shape> {
        self.shapes.iter().find(|shape| name.is(shape, self.names))
    }

    /// What an acknowledgement has to name for this table, or this column of it.
    pub fn subject(&self, shape: &Shape, column: Option<&str>) -> String {
        let mut parts = Vec::new();
        if !shape.bare {
            parts.push(self.names.written(&shape.schema));
        }
        parts.push(self.names.written(&shape.table));
        parts.extend(column.map(|column| self.names.written(column)));
        let written = parts.join(".");
        // `a.b` could be another table's column, or another schema's table.
        let subject = match (column, parts.len()) {
            (None, 2) => Subject::Either {
                first: shape.schema.clone(),
                last: shape.table.clone(),
            },
            (Some(column), 2) => Subject::Either {
                first: shape.table.clone(),
                last: column.to_owned(),
            },
            _ => return written,
        };
        match (subject.resolve(*self), column) {
            (Meaning::Table(_) | Meaning::Column(..), _) => written,
            (_, None) => format!("{written}.*"),
            (_, Some(_)) => format!("{}.{written}", self.names.written(&shape.schema)),
        }
    }
}

/// What an acknowledgement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A table: its rows.
    Table(Named),
    /// A column: its values.
    Column(Named, String),
    /// `first.last`: a column of a table, or a table of a schema, whichever there is.
    Either {
        /// What is before the dot.
        first: String,
        /// What is behind it.
        last: String,
    },
}

/// What a [`Subject`] means among the tables that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// The rows of this table.
    Table(&'a Shape),
    /// The values of this column, as the engine calls it.
    Column(&'a Shape, &'a str),
    /// Two things: this column, and this table of a schema.
    Both(&'a Shape, &'a Shape),
    /// Nothing that is there.
    Nothing,
}

impl Subject {
    /// From a directive's `table`, `table.column`, `schema.table.column` and `schema.table.*`.
    /// The second could be `schema.table` as well.
    pub fn of(schema: Option<String>, table: String, column: Option<String>) -> Self {
        match (schema, column) {
            (None, Some(last)) => Self::Either { first: table, last },
            (schema, None) => Self::Table(Named { schema, table }),
            (schema, Some(column)) => Self::Column(Named { schema, table }, column),
        }
    }

    /// Whether it names something that is no table and is written so.
    pub fn is_written(&self, written: &str, names: Names) -> bool {
        let own = match self {
            Self::Table(Named {
                schema: None,
                table,
            }) => names.written(table),
            Self::Table(Named {
                schema: Some(first),
                table: last,
            })
            | Self::Either { first, last } => {
                format!("{}.{}", names.written(first), names.written(last))
            }
            Self::Column(..) => return false,
        };
        own == written
    }

    /// Exactly one table or column, if it is not ambiguous and there is one.
    pub fn resolve<'a>(&self, tables: Tables<'a>) -> Meaning<'a> {
        let column = |named: &Named, column: &str| {
            let shape = tables.named(named)?;
            let same = |name: &str| tables.names.columns.same(name, column);
            let mut names = shape.columns.iter().map(|column| column.name.as_str());
            Some((shape, names.find(|name| same(name))?))
        };
        match self {
            Self::Table(named) => tables.named(named).map_or(Meaning::Nothing, Meaning::Table),
            Self::Column(named, name) => column(named, name)
                .map_or(Meaning::Nothing, |(shape, name)| {
                    Meaning::Column(shape, name)
                }),
            Self::Either { first, last } => {
                let bare = Named {
                    schema: None,
                    table: first.clone(),
                };
                let in_schema = Named {
                    schema: Some(first.clone()),
                    table: last.clone(),
                };
                match (column(&bare, last), tables.named(&in_schema)) {
                    (Some((shape, name)), None) => Meaning::Column(shape, name),
                    (None, Some(table)) => Meaning::Table(table),
                    (Some((shape, _)), Some(table)) => Meaning::Both(shape, table),
                    (None, None) => Meaning::Nothing,
                }
            }
        }
    }
}

/// A name that a statement gives to a table or to a column.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rename {
    Table {
        from: Named,
        to: Named,
        /// Whether another table may have that name too: rows of both are in it then.
        shared: bool,
    },
    Column {
        table: Named,
        from: String,
        to: String,
    },
}

/// The names that the statements of a migration give to what was there before, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renames(Vec<Rename>);

impl Renames {
    /// Notes a renamed table. A new name without a schema is in the old one's.
    pub fn table(&mut self, from: Named, to: Named) {
        self.0.push(Rename::Table {
            from,
            to,
            shared: false,
        });
    }

    /// Notes that the rows of a table belong under a name that another one may have as well.
    pub fn home(&mut self, from: Named, to: Named) {
        self.0.push(Rename::Table {
            from,
            to,
            shared: true,
        });
    }

    /// Notes a renamed column of a table, by the name that the table has then.
    pub fn column(&mut self, table: Named, from: &str, to: &str) {
        self.0.push(Rename::Column {
            table,
            from: from.to_owned(),
            to: to.to_owned(),
        });
    }

    /// The table under the names that the statements give it, one after another; and of a column
    /// the same.
    fn follow(&self, shape: &Shape, column: &str, names: Names) -> (Shape, String) {
        let (mut now, mut column) = (shape.clone(), column.to_owned());
        for rename in &self.0 {
            match rename {
                Rename::Table { from, to, .. } if from.is(&now, names) => {
                    now.table.clone_from(&to.table);
                    if let Some(schema) = &to.schema {
                        now.bare &= *schema == now.schema;
                        now.schema.clone_from(schema);
                    }
                }
                Rename::Column { table, from, to }
                    if table.is(&now, names) && names.columns.same(from, &column) =>
                {
                    column.clone_from(to);
                }
                _ => {}
            }
        }
        (now, column)
    }

    /// The table with the names that it and its columns were given.
    pub fn present(&self, shape: &Shape, names: Names) -> Shape {
        let (mut now, _) = self.follow(shape, "", names);
        for column in &mut now.columns {
            column.name = self.of_column(shape, &column.name, names);
        }
        now
    }

    /// These names first, and then those of the other list.
    pub fn then(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The table that has the name which this one was given; none when it was given no other.
    pub fn of_table<'a>(&self, shape: &Shape, after: Tables<'a>) -> Option<&'a Shape> {
        let (now, _) = self.follow(shape, "", after.names);
        let own = after.namesake(shape);
        after.namesake(&now).filter(|found| own != Some(*found))
    }

    /// The same, where nothing else may have that name.
    pub fn claims<'a>(&self, shape: &Shape, after: Tables<'a>) -> Option<&'a Shape> {
        let shares = |rename: &Rename| match rename {
            Rename::Table { from, shared, .. } => *shared && from.is(shape, after.names),
            Rename::Column { .. } => false,
        };
        self.of_table(shape, after)
            .filter(|_| !self.0.iter().any(shares))
    }

    /// The name that a column was given; its own when it was given no other.
    pub fn of_column(&self, shape: &Shape, column: &str, names: Names) -> String {
        self.follow(shape, column, names).1
    }

    /// Whether something that is called so, whatever its schema and case, gets another name.
    pub fn mentions(&self, called: &str) -> bool {
        self.0.iter().any(|rename| match rename {
            Rename::Table { from, .. } => from.table.eq_ignore_ascii_case(called),
            Rename::Column { .. } => false,
        })
    }
}
