//! Folders of tools whose files chatctl does not run: named, so that nobody takes them for another's,
//! with the way out.
//!
//! Read as plain files they would run both directions, or in another order.

use super::{File, is_sql};
use crate::cli_error::CliError;

/// A tool whose folder is not read.
struct Foreign {
    tool: &'static str,
    /// The file that gives it away.
    shows: fn(&[File]) -> Option<&File>,
    /// What to do.
    way: &'static str,
}

/// Where the tool itself writes no plain SQL.
const BY_ITSELF: &str = "continue with it, or add new migrations as `<VERSION>_<NAME>.sql` in a separate \
    folder, and start there: `chatctl migrate baseline --none`";

const ALL: &[Foreign] = &[
    Foreign {
        tool: "sqitch",
        shows: |files| files.iter().find(|file| file.base() == "sqitch.plan"),
        way: "copy what `deploy` holds to `<VERSION>_<NAME>.sql` in the order of `sqitch.plan`, in a separate folder",
    },
    Foreign {
        tool: "graphile-migrate",
        shows: |files| sql(files, |file| first_line(file).starts_with("--! Previous:")),
        way: "copy `committed` to a separate folder, each file as `<VERSION>_<NAME>.sql`: `000001.sql` as `000001_step.sql`",
    },
    Foreign {
        tool: "Play evolutions",
        shows: |files| {
            sql(files, |file| {
                lines(file).any(|line| {
                    is_comment(line) && (line.contains("!Ups") || line.contains("!Downs"))
                })
            })
        },
        way: "write the part below `!Ups` of each file to `<VERSION>_<NAME>.sql` in a separate folder",
    },
    Foreign {
        tool: "micrate",
        shows: |files| {
            sql(files, |file| {
                lines(file).any(|line| line.starts_with("-- +micrate "))
            })
        },
        way: "its marks are goose's except for the word: replace `+micrate` by `+goose` in a copy of the folder",
    },
    Foreign {
        tool: "shmig",
        shows: |files| {
            sql(files, |file| {
                lines(file).any(|line| is_comment(line) && line.contains("==== UP ===="))
            })
        },
        way: "write the part below `==== UP ====` of each file to `<VERSION>_<NAME>.sql` in a separate folder",
    },
    Foreign {
        tool: "postgrator",
        shows: |files| sql(files, |file| is_postgrator(file.base())),
        way: "copy each `<VERSION>.do.<NAME>.sql` to `<VERSION>_<NAME>.sql` in a separate folder, without the `undo` files",
    },
    Foreign {
        tool: "db-migrate",
        shows: |files| sql(files, |file| is_db_migrate(file.base())),
        way: "copy each `<TIME>-<NAME>-up.sql` to `<TIME>_<NAME>.sql` in a separate folder, without the `-down.sql` files",
    },
    Foreign {
        tool: "yoyo",
        shows: |files| {
            sql(files, |file| {
                let plain = file
                    .name
                    .strip_suffix(".rollback.sql")
                    .map(|stem| format!("{stem}.sql"));
                let paired =
                    plain.is_some_and(|plain| files.iter().any(|other| other.name == plain));
                paired || first_line(file).starts_with("-- depends:")
            })
        },
        way: "copy each file to `<VERSION>_<NAME>.sql` in a separate folder, in the order of their `depends`, \
            without the `.rollback.sql` files",
    },
    Foreign {
        tool: "Liquibase",
        shows: |files| {
            code(files, |file| {
                let ending = [".xml", ".yaml", ".yml", ".json"]
                    .iter()
                    .any(|it| file.name.ends_with(it));
                ending && file.base().to_ascii_lowercase().contains("changelog")
            })
        },
        way: "print its SQL: `liquibase update-sql`, and put each changeset into `<VERSION>_<NAME>.sql`",
    },
    Foreign {
        tool: "Alembic's Python",
        shows: |files| {
            code(files, |file| {
                file.base() == "env.py" || file.name.starts_with("versions/")
            })
        },
        way: "print its SQL, which chatctl reads: `alembic upgrade head --sql > migrations/upgrade.sql`",
    },
    Foreign {
        tool: "Django",
        shows: |files| {
            code(files, |file| {
                file.base().ends_with(".py") && numbered(file.base(), 4, '_')
            })
        },
        way: "print the SQL of each into `<VERSION>_<NAME>.sql`: `python manage.py sqlmigrate APP NUMBER`",
    },
    Foreign {
        tool: "Rails",
        shows: |files| {
            code(files, |file| {
                file.base().ends_with(".rb") && numbered(file.base(), 14, '_')
            })
        },
        way: BY_ITSELF,
    },
    Foreign {
        tool: "Ecto",
        shows: |files| {
            code(files, |file| {
                file.base().ends_with(".exs") && numbered(file.base(), 14, '_')
            })
        },
        way: "print its SQL: `mix ecto.migrate --log-migrations-sql`, and put it into `<VERSION>_<NAME>.sql`",
    },
    Foreign {
        tool: "PHP (Laravel, Phinx or Doctrine)",
        shows: |files| {
            code(files, |file| {
                let name = file.base();
                let begins = name.starts_with("Version")
                    || numbered(name, 4, '_')
                    || numbered(name, 14, '_');
                name.ends_with(".php") && begins
            })
        },
        way: "print its SQL where the tool can (`php artisan migrate --pretend`, `phinx migrate --dry-run`), and put it into `<VERSION>_<NAME>.sql`",
    },
    Foreign {
        tool: "JavaScript (Knex, Sequelize, TypeORM or another)",
        shows: |files| {
            code(files, |file| {
                let name = file.base();
                let ending = [".js", ".ts", ".cjs", ".mjs"]
                    .iter()
                    .any(|it| name.ends_with(it));
                ending && name.starts_with(|c: char| c.is_ascii_digit())
            })
        },
        way: BY_ITSELF,
    },
    Foreign {
        tool: "SeaORM",
        shows: |files| {
            code(files, |file| {
                file.base().ends_with(".rs") && file.base().starts_with("m2")
            })
        },
        way: BY_ITSELF,
    },
    Foreign {
        tool: "EF Core",
        shows: |files| {
            code(files, |file| {
                file.base().ends_with(".cs") && numbered(file.base(), 14, '_')
            })
        },
        way: "print its SQL: `dotnet ef migrations script`, and put it into `<VERSION>_<NAME>.sql`",
    },
];

/// Refuses the folder of a tool that is not read.
pub(super) fn refuse(files: &[File]) -> Result<(), CliError> {
    for foreign in ALL {
        if let Some(file) = (foreign.shows)(files) {
            return Err(CliError::usage(format!(
                "the migrations belong to {}, as `{}` shows, and chatctl does not run them",
                foreign.tool, file.name
            ))
            .hint(foreign.way));
        }
    }
    Ok(())
}

/// An SQL file that is so.
fn sql(files: &[File], is: impl Fn(&File) -> bool) -> Option<&File> {
    files.iter().find(|file| is_sql(&file.name) && is(file))
}

/// A file that is so, in a folder where no file is SQL.
fn code(files: &[File], is: impl Fn(&File) -> bool) -> Option<&File> {
    let none = !files.iter().any(|file| is_sql(&file.name));
    files.iter().find(|file| none && is(file))
}

fn lines(file: &File) -> impl Iterator<Item = &str> {
    let text = std::str::from_utf8(&file.bytes).unwrap_or_default();
    text.lines()
        .map(|line| line.trim_start_matches(super::BOM).trim_end())
}

fn first_line(file: &File) -> &str {
    lines(file)
        .find(|line| !line.is_empty())
        .unwrap_or_default()
}

fn is_comment(line: &str) -> bool {
    line.starts_with('#') || line.starts_with("--")
}

/// Whether a name begins with at least so many digits and then this character.
fn numbered(name: &str, digits: usize, then: char) -> bool {
    let end = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
    end >= digits && name[end..].starts_with(then)
}

/// `001.do.sql`, `001.undo.create-chat.sql`.
fn is_postgrator(name: &str) -> bool {
    let mut parts = name.split('.');
    let number = parts.next().unwrap_or_default();
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits && matches!(parts.next(), Some("do" | "undo"))
}

/// `20240101120000-create-chat-up.sql`.
fn is_db_migrate(name: &str) -> bool {
    let ends = ["-up.sql", "-down.sql"]
        .iter()
        .any(|ending| name.ends_with(ending));
    ends && numbered(name, 14, '-')
}

#[cfg(test)]
mod tests {
    use super::super::formats::files_of;
    use super::{ALL, refuse};

    /// Whom these names and texts are taken for; nobody where they pass.
    fn tool(files: &[(&str, &str)]) -> Option<&'static str> {
        let message = refuse(&files_of(files)).err()?.message;
        let found = ALL.iter().find(|foreign| message.contains(foreign.tool));
        Some(found.unwrap_or_else(|| panic!("{message}")).tool)
    }

    #[test]
    fn each_is_named() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("sqitch", &[("deploy/chat.sql", "A;"), ("sqitch.plan", "")]),
            (
                "graphile-migrate",
                &[(
                    "committed/000001.sql",
                    "--! Previous: -\n--! Hash: sha1:x\nA;",
                )],
            ),
            (
                "Play evolutions",
                &[("1.sql", "# --- !Ups\nA;\n# --- !Downs\nB;")],
            ),
            (
                "micrate",
                &[("20240101_a.sql", "-- +micrate Up\nA;\n-- +micrate Down\nB;")],
            ),
            (
                "shmig",
                &[("1-a.sql", "-- ==== UP ====\nA;\n-- ==== DOWN ====\nB;")],
            ),
            (
                "postgrator",
                &[("001.do.chat.sql", "A;"), ("001.undo.chat.sql", "B;")],
            ),
            ("db-migrate", &[("sqls/20240101120000-chat-up.sql", "A;")]),
            ("yoyo", &[("0001.sql", "A;"), ("0001.rollback.sql", "B;")]),
            ("yoyo", &[("0002.sql", "-- depends: 0001\nA;")]),
            ("Liquibase", &[("db.changelog-master.xml", "")]),
            (
                "Alembic's Python",
                &[("versions/ab12_chat.py", ""), ("env.py", "")],
            ),
            ("Django", &[("0001_initial.py", ""), ("__init__.py", "")]),
            ("Rails", &[("20240101120000_create_chat.rb", "")]),
            ("Ecto", &[("20240101120000_create_chat.exs", "")]),
            (
                "PHP (Laravel, Phinx or Doctrine)",
                &[("2014_10_12_000000_create_chat.php", "")],
            ),
            (
                "JavaScript (Knex, Sequelize, TypeORM or another)",
                &[("20240101120000_create_chat.js", "")],
            ),
            ("SeaORM", &[("m20220101_000001_create_chat.rs", "")]),
            ("EF Core", &[("20240101120000_CreateChat.cs", "")]),
        ];
        for (name, files) in cases {
            assert_eq!(tool(files), Some(*name), "{files:?}");
        }
        for foreign in ALL {
            assert!(
                cases.iter().any(|(name, _)| *name == foreign.tool),
                "{}",
                foreign.tool
            );
        }
    }

    #[test]
    fn what_only_looks_alike_passes() {
        for files in [
            &[("1_a.sql", "A;"), ("1_a.js", "")] as &[_],
            &[("001_do.sql", "A;"), ("002_a.do.sql", "B;")],
            &[("1_rollback.sql", "A;"), ("2_a.rollback.sql", "B;")],
            &[("20240101120000-set-up.sqlx", ""), ("1_set-up.sql", "")],
            &[("1_a.sql", "INSERT INTO t VALUES ('!Ups');")],
            &[("README.md", ""), ("schema.py", "")],
        ] {
            assert_eq!(tool(files), None, "{files:?}");
        }
    }
}
