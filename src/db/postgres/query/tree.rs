//! The objects that a query uses, from the server's text of its parse tree. Pure.
//!
//! The text is of nodes: `{OPEXPR :opno 96 :opfuncid 65 :args (…)}`. In a word a backslash takes the
//! next character with it (PostgreSQL, `outfuncs.c`). Lines are wrapped anywhere between two words.

use std::collections::BTreeSet;

/// What nodes name, by their numbers in the catalogue.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// Functions, aggregates among them.
    pub(super) functions: BTreeSet<u32>,
    /// Those of them that are called without any value of a row, or of a parameter.
    pub(super) constant: BTreeSet<u32>,
    pub(super) operators: BTreeSet<u32>,
    /// Types that a value is made into.
    pub(super) types: BTreeSet<u32>,
    /// Types of values that are read.
    pub(super) read: BTreeSet<u32>,
    pub(super) relations: BTreeSet<u32>,
}

/// A node that has begun.
#[derive(Default)]
struct Open {
    functions: Vec<u32>,
    reads: bool,
}

pub(super) fn names(text: &str) -> Names {
    let mut names = Names::default();
    let mut open: Vec<Open> = vec![Open::default()];
    let mut field = "";
    let mut begins = false;
    for word in Words(text) {
        match word {
            "{" => {
                open.push(Open::default());
                begins = true;
                continue;
            }
            "}" => close(&mut open, &mut names),
            _ if begins => {
                let reads = matches!(word, "VAR" | "PARAM");
                if let Some(node) = open.last_mut() {
                    node.reads |= reads;
                }
            }
            "(" | ")" => {}
            _ => match word.strip_prefix(':') {
                Some(name) => field = name,
                None => {
                    if let Ok(number) = word.parse::<u32>()
                        && number != 0
                    {
                        named(field, number, &mut names, &mut open);
                    }
                }
            },
        }
        begins = false;
    }
    while open.len() > 1 {
        close(&mut open, &mut names);
    }
    names
}

fn close(open: &mut Vec<Open>, names: &mut Names) {
    let Some(node) = open.pop() else { return };
    if !node.reads {
        names.constant.extend(&node.functions);
    }
    if let Some(outer) = open.last_mut() {
        outer.reads |= node.reads;
    }
}

fn named(field: &str, number: u32, names: &mut Names, open: &mut [Open]) {
    let field = field.to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| field.ends_with(ending));
    if ends(&[
        "funcid",
        "fnoid",
        "funcoid",
        "rangefunc",
        "tsmhandler",
        "elemfunc",
    ]) {
        names.functions.insert(number);
        if let Some(node) = open.last_mut() {
            node.functions.push(number);
        }
    } else if ends(&["opno", "opnos", "eqop", "sortop", "operators", "opoids"]) {
        names.operators.insert(number);
    } else if field == "relid" {
        names.relations.insert(number);
    } else if field == "vartype" {
        names.read.insert(number);
    } else if field.contains("typ") {
        names.types.insert(number);
    }
}

/// Brackets, and what is between them and blanks.
struct Words<'t>(&'t str);

impl<'t> Iterator for Words<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        self.0 = self.0.trim_start();
        let mut bytes = self.0.bytes().enumerate();
        let mut end = self.0.len();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'\\' => {
                    bytes.next();
                }
                b'{' | b'}' | b'(' | b')' => {
                    end = at.max(1);
                    break;
                }
                byte if byte.is_ascii_whitespace() => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    /// As PostgreSQL 15 writes them, and wraps them.
    #[test]
    fn numbers_are_found_in_the_fields_that_name_something() {
        let text = "({QUERY :commandType 1 :rtable ({RTE :alias {ALIAS :aliasname :funcid\\ 7 :colnames (\"a\\ b\" \"c\")} \
            :rtekind 0 :relid\n16384 :relkind r :rellockmode 1}) :targetList ({TARGETENTRY :expr {FUNCEXPR :funcid\n2096 \
            :funcresulttype 16 :args ({CONST :consttype 23 :constvalue 4 [ 42 0 0 0 ]}) :location 16400}} \
            {OPEXPR :opno 96 :opfuncid 65 :args ({VAR :varno 1 :vartype 16999})} {SCALARARRAYOPEXPR :opno 98}) \
            :sortClause ({SORTGROUPCLAUSE :eqop 97 :sortop 521}) :x {FUNCTION :funccoltypes (o 25 16402)}})";
        let names = names(text);
        assert_eq!(Vec::from_iter(names.functions), [65, 2096]);
        assert_eq!(Vec::from_iter(names.constant), [2096]);
        assert_eq!(Vec::from_iter(names.operators), [96, 97, 98, 521]);
        assert_eq!(Vec::from_iter(names.relations), [16384]);
        assert!(names.types.contains(&16402) && !names.types.contains(&16999));
        assert_eq!(Vec::from_iter(names.read), [16999]);
    }

    #[test]
    fn a_name_hides_nothing_and_a_cut_text_ends() {
        let found = names("{A :alias \\{\\(b :funcid 7 :z {B :winfnoid 8");
        assert_eq!(Vec::from_iter(found.functions), [7, 8]);
        assert_eq!(names("").functions.len(), 0);
    }
}
