//! Versions of migrations, in the order of the tool that numbers them.

use sha2::{Digest as _, Sha256};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The version of a migration: its text as the file or the history writes it, and a key to order by.
///
/// Two versions are equal when their keys are: `001` and `1`, or Flyway's `1.0` and `1`.
#[derive(Debug, Clone)]
pub struct Version {
    text: String,
    key: Key,
    /// Made once: that of a name is a digest, and a history is compared with every file.
    number: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    /// Numbers of a dotted version, most significant first, without zeros at the end.
    Parts(Vec<i128>),
    /// A folder's name, which orders it as Prisma does; for a version of a history without its folder
    /// the number that the history has.
    Named(String, Option<i64>),
    /// A name without an order of its own, and its place in the chain of revisions.
    Place(usize, String),
}

/// How many numbers there are for folders whose names begin with one number.
const NAMES: i64 = 100_000;
/// The largest number that a folder's name may begin with: any time of 14 digits is below.
const MOST_NAMED: i64 = i64::MAX / NAMES - 1;

impl Version {
    /// A version that is one number, as with sqlx, goose, dbmate, golang-migrate and refinery.
    pub fn number(number: i64) -> Self {
        Self {
            text: number.to_string(),
            key: Key::Parts(vec![i128::from(number)]),
            number: Some(number),
        }
    }

    /// Reads `7`, `007`, `-1`, `1.2` or `1_2`; nothing else is a number to any of the tools.
    pub fn parse(text: &str) -> Option<Self> {
        let dotted = text.replace('_', ".");
        let mut parts = Vec::new();
        for (at, part) in dotted.split('.').enumerate() {
            let digits = if at == 0 {
                part.strip_prefix('-').unwrap_or(part)
            } else {
                part
            };
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            parts.push(part.parse().ok()?);
        }
        while parts.len() > 1 && parts.last() == Some(&0) {
            parts.pop();
        }
        let number = match parts.as_slice() {
            [only] => i64::try_from(*only).ok(),
            _ => None,
        };
        Some(Self {
            text: dotted,
            key: Key::Parts(parts),
            number,
        })
    }

    /// A number that its file writes in another way, such as `2024-01-01-120000`.
    pub fn written(text: &str, number: i64) -> Self {
        Self {
            text: text.to_owned(),
            ..Self::number(number)
        }
    }

    /// A version of Diesel, with dashes as its folder has it, or without them as its history does. It is
    /// ordered as text, in which a day comes before the times of the next day: its number is that of its
    /// first second.
    pub fn of_diesel(text: &str) -> Option<Self> {
        let number = Self::parse(&text.replace('-', ""))?.as_number()?;
        let is_day = (19_000_101..=99_991_231).contains(&number);
        let number = if is_day { number * 1_000_000 } else { number };
        (!text.starts_with('-')).then(|| Self::written(text, number))
    }

    /// The name of a folder that begins with a number, such as `20240101120000_add_chat`. The name orders
    /// it, not the number: two folders may have one number, and `20240101_a` comes after
    /// `20240101120000_b`.
    pub fn named(name: &str) -> Option<Self> {
        let number = first_number(name)?;
        (0..=MOST_NAMED).contains(&number).then(|| Self {
            text: name.to_owned(),
            key: Key::Named(name.to_owned(), None),
            number: Some(number * NAMES + digits_of(name)),
        })
    }

    /// The version behind a number of a history that [`Version::named`] gave, when no file has it.
    pub fn of_lost_name(number: i64) -> Self {
        Self {
            text: number.to_string(),
            // Behind every name with the same number.
            key: Key::Named(format!("{}~", number.div_euclid(NAMES)), Some(number)),
            number: Some(number),
        }
    }

    /// Whether it is the name of a folder.
    pub fn is_named(&self) -> bool {
        matches!(self.key, Key::Named(..))
    }

    /// Whether this number is the one that the name of a folder begins with.
    pub fn begins_with(&self, other: &Self) -> bool {
        matches!(&self.key, Key::Named(name, None) if first_number(name).is_some_and(|number| other.as_number() == Some(number)))
    }

    /// A revision that is named, not numbered, and is at `place` in its chain.
    pub fn revision(id: &str, place: usize) -> Self {
        Self {
            text: id.to_owned(),
            key: Key::Place(place, id.to_owned()),
            number: None,
        }
    }

    /// A revision that no file tells the place of; it is newer than every known one.
    pub fn unplaced(id: &str) -> Self {
        Self::revision(id, usize::MAX)
    }

    /// The version as its file or the history writes it, with dots between the parts.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The number which `_sqlx_migrations.version` can hold; none for dotted versions and revisions.
    ///
    /// That of a folder's name is its own number with five digits behind it that are made of the name:
    /// it must stay the same when another folder with the same number comes.
    pub fn as_number(&self) -> Option<i64> {
        self.number
    }
}

/// The digits behind the number of a name.
fn digits_of(name: &str) -> i64 {
    let digest = Sha256::digest(name.as_bytes());
    let bytes = digest.iter().take(7);
    bytes.fold(0, |sum, byte| sum << 8 | i64::from(*byte)) % NAMES
}

/// The number before the first `_` of a name.
fn first_number(name: &str) -> Option<i64> {
    Version::parse(name.split('_').next()?)?.as_number()
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn parts_are_compared_as_numbers() {
        assert!(version("1.10") > version("1.9"));
        assert!(version("2") > version("1_9_9"));
        assert!(version("-1") < version("0"));
        assert!(version("20240101120000") < version("20240101120000.1"));
    }

    #[test]
    fn leading_and_trailing_zeros_do_not_count() {
        assert_eq!(version("1.0.0"), version("001"));
        assert_eq!(version("001").as_number(), Some(1));
        assert_eq!(version("1.2").as_number(), None);
        assert_eq!(version("1_2").text(), "1.2");
    }

    #[test]
    fn a_day_of_diesel_is_its_first_second() {
        let number = |text: &str| Version::of_diesel(text).unwrap().as_number();
        assert_eq!(number("2024-03-13"), Some(20_240_313_000_000));
        assert_eq!(number("20240313"), number("2024-03-13"));
        assert_eq!(number("2024-03-06-170000"), Some(20_240_306_170_000));
        assert_eq!(number("00000001"), Some(1));
        assert!(Version::of_diesel("-1").is_none() && Version::of_diesel("1.2").is_none());
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "x", "1.", ".1", "1.-2", "1__2", "+1", "1a"] {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn folders_with_one_number_are_ordered_by_their_names() {
        let named = |name: &str| Version::named(name).unwrap();
        let (first, second) = (named("20240101120000_add_b"), named("20240101120000_add_x"));
        assert!(named("0_init") < first && first < second);
        assert!(second < named("20240101120001_a"));
        assert!(
            named("20240101120000_a") < named("20240101_a")
                && named("20240101_a") < named("20240102000000_a")
        );
        assert_ne!(first.as_number(), second.as_number());
        let lost = Version::of_lost_name(second.as_number().unwrap());
        assert!(second < lost && lost < named("20240101120001_a"));
        assert!(first.begins_with(&version("20240101120000")));
        for name in ["init", "_a", "1.5_a", "-1_a", "99999999999999999999_a"] {
            assert!(Version::named(name).is_none(), "{name}");
        }
    }

    /// Histories hold these numbers: they must never be others.
    #[test]
    fn the_number_of_a_folders_name_stays() {
        let number = |name: &str| Version::named(name).unwrap().as_number();
        assert_eq!(
            number("20240101120000_init"),
            Some(2_024_010_112_000_037_472)
        );
    }

    #[test]
    fn a_revision_without_a_place_is_the_newest() {
        assert!(Version::unplaced("aa") > Version::revision("zz", 7));
        assert_ne!(Version::unplaced("aa"), Version::unplaced("ab"));
    }
}
