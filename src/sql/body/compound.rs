//! The compound statements of MySQL and MariaDB.
//!
//! `BEGIN`, `IF`, `END` and the others are no reserved words there, `IF()` and `REPEAT()` are
//! functions as well, and `CASE` is both a statement and an expression. So a word opens or closes
//! a block only where a statement can start.

/// What has to come before the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Parameters,
    /// The `ROW` of `FOR EACH ROW`.
    Row,
    /// The `DO` of an event.
    Do,
    /// Nothing: what comes is the body or a characteristic of the routine.
    Open,
    /// The body has begun.
    Passed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opener {
    Block,
    If,
    Loop,
    Repeat,
    CaseStatement,
    CaseExpression,
}

#[derive(Debug)]
pub(super) struct Compound {
    gate: Gate,
    stack: Vec<Opener>,
    /// A statement can start here.
    start: bool,
    /// In a `DECLARE`, whose handler may be a block.
    declare: bool,
    /// The word before was the `END` of something that names itself again: `END IF`.
    end: bool,
    /// The word before was `CHARACTER`, whose `SET` is not a statement.
    character: bool,
}

impl Compound {
    pub(super) fn new(gate: Gate) -> Self {
        Self {
            gate,
            stack: Vec::new(),
            start: false,
            declare: false,
            end: false,
            character: false,
        }
    }

    /// Behind `BEGIN NOT ATOMIC`.
    pub(super) fn in_block() -> Self {
        let mut compound = Self::new(Gate::Passed);
        compound.stack.push(Opener::Block);
        compound.start = true;
        compound
    }

    pub(super) fn is_open(&self) -> bool {
        !self.stack.is_empty()
    }

    pub(super) fn semicolon(&mut self) {
        self.start = true;
        self.declare = false;
        self.end = false;
    }

    /// Takes a token that is not a keyword; `assigns`: a `=` follows it.
    pub(super) fn other(&mut self, text: &str, assigns: bool, parens: usize) {
        if self.gate == Gate::Parameters && text == ")" && parens == 0 {
            self.gate = Gate::Open;
        }
        // A label is before a block, and `:=` is not a label.
        self.start = text == ":" && !assigns;
        self.end = false;
        self.character = false;
    }

    /// Takes a keyword or a name, in upper case.
    pub(super) fn word(&mut self, word: &str) {
        let after_character = std::mem::replace(&mut self.character, word == "CHARACTER");
        match self.gate {
            Gate::Parameters => {}
            Gate::Row if word == "ROW" => self.gate = Gate::Open,
            Gate::Do if word == "DO" => self.gate = Gate::Open,
            Gate::Row | Gate::Do => {}
            Gate::Open => {
                if let Some(opener) = opener(word) {
                    self.gate = Gate::Passed;
                    self.open(opener, word);
                } else if is_simple(word) && !after_character {
                    // The body is one statement, and the next `;` ends it.
                    self.gate = Gate::Passed;
                }
            }
            Gate::Passed if !self.is_open() => {}
            Gate::Passed => self.inside(word),
        }
    }

    fn open(&mut self, opener: Opener, word: &str) {
        self.stack.push(opener);
        // The others wait for their THEN or DO.
        self.start = matches!(word, "BEGIN" | "LOOP" | "REPEAT");
    }

    fn inside(&mut self, word: &str) {
        let top = self.stack.last().copied();
        let start = std::mem::take(&mut self.start);
        if std::mem::take(&mut self.end) && opener(word).is_some() {
            return;
        }
        match word {
            "END" => {
                let expression = top == Some(Opener::CaseExpression);
                if start || expression || top == Some(Opener::Repeat) {
                    self.stack.pop();
                    self.end = !expression;
                }
            }
            "CASE" if !start => self.stack.push(Opener::CaseExpression),
            "BEGIN" if self.declare => self.open(Opener::Block, word),
            "DECLARE" if start => self.declare = true,
            // `DO` is a statement of its own, too.
            "DO" if start => {}
            "THEN" | "ELSE" | "DO" => self.start = top != Some(Opener::CaseExpression),
            _ if start => {
                if let Some(opener) = opener(word) {
                    self.open(opener, word);
                }
            }
            _ => {}
        }
    }
}

fn opener(word: &str) -> Option<Opener> {
    Some(match word {
        "BEGIN" => Opener::Block,
        "IF" => Opener::If,
        "LOOP" | "WHILE" | "FOR" => Opener::Loop,
        "REPEAT" => Opener::Repeat,
        "CASE" => Opener::CaseStatement,
        _ => return None,
    })
}

/// Words that start a statement without a block; the characteristics of a routine are not among
/// them.
fn is_simple(word: &str) -> bool {
    matches!(
        word,
        "ALTER"
            | "ANALYZE"
            | "CALL"
            | "COMMIT"
            | "CREATE"
            | "DELETE"
            | "DO"
            | "DROP"
            | "EXECUTE"
            | "FLUSH"
            | "GRANT"
            | "INSERT"
            | "KILL"
            | "OPTIMIZE"
            | "PREPARE"
            | "RENAME"
            | "REPLACE"
            | "RESIGNAL"
            | "RETURN"
            | "REVOKE"
            | "ROLLBACK"
            | "SELECT"
            | "SET"
            | "SHOW"
            | "SIGNAL"
            | "START"
            | "TRUNCATE"
            | "UPDATE"
            | "VALUES"
            | "WITH"
    )
}
