//! Which functions run when the application starts.
//!
//! By names: what is outside functions, functions that are called or marked as start-up
//! functions are, and what these call. A name that is used on demand only (a request's handler,
//! a command for an operator) is not followed.

use super::language::Language;
use super::roles::Role;
use super::source_file::SourceFile;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// When a place in the code runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// At each start.
    Always,
    /// At a start at which this condition holds.
    If(String),
    /// Not at start, as far as names tell.
    Never,
}

/// Which functions run at start, and under which condition.
#[derive(Debug, Default)]
pub struct Startup {
    reached: BTreeMap<(usize, usize), Option<String>>,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is constant")
}

/// Names of functions that start-up code bears, without `_` and in lower case.
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?x)^(lifespan|startup|on_?startup|onstart|init|initiali[sz]e|main|bootstrap|boot|ready|register|setup|new
        | (app|server)?(lifespan|startup)(event|handler)?
        | (init|initiali[sz]e|setup|prepare|create|ensure|connect|open|start|build|make|bootstrap|configure|run|sync|new)
          (the)?(app|application|server|to)?(db|database|databases|tables|alltables|dbandtables|databaseandtables|schema|schemas|models|store|storage|sqlite|postgres|connection|app|application|server|chatstore)
        | onmoduleinit|onapplicationbootstrap|constructor|initdbpool|runserver|serve|listen|connect)$",
    )
});
static MARK: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"on_event\(\s*["']startup|before_first_request|before_serving|before_server_start|on_startup|PostConstruct|EventListener|CommandLineRunner|ApplicationRunner"#,
    )
});
/// Marks and file places of commands that somebody gives by hand.
static BY_HAND: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"\.command\b|\bclick\.|\btyper\b|@task\b|\.(get|post|put|patch|delete|route|websocket)\(|fixture|Mapping\b|shutdown",
    )
});
/// Calls whose callbacks run on demand.
static ON_DEMAND: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^&(?:.*\.)?(get|post|put|patch|delete|use|all|route|command|action|option|handle|HandleFunc|Get|Post|Delete|it|describe|test|beforeEach|beforeAll|afterEach|afterAll|addEventListener|useEffect|useCallback|query|mutation|procedure)$",
    )
});
/// A condition that says: somebody asked for it, or this is a test.
static ASKED: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?i)\bargs?\b|argv|\bopts?\b|options\b|\bflags?\b|input\(|confirm|prompt|--\w|\btest(s|ing)?\b|pytest|_test\b|test_mode|is_?test"#,
    )
});
static CALL: LazyLock<Regex> = LazyLock::new(|| regex(r"([A-Za-z_$][\w$]*)\s*\("));
static HANDED: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?:run_sync|to_thread|create_task|asyncio\.run|then|add_event_handler\(\s*"\s*"\s*,|add_event_handler\(\s*'\s*'\s*,)\s*\(?\s*(?:\w+\.)*([A-Za-z_]\w*)|(?:lifespan|on_startup)\s*=\s*\[?\s*([A-Za-z_]\w*)"#,
    )
});

/// Names that say too little to be followed into another file.
const TOO_COMMON: &[&str] = &[
    "init", "main", "run", "start", "open", "close", "reset", "clear", "delete", "remove", "drop",
    "setup", "execute", "connect", "create", "get", "set", "add", "new", "load", "save", "up",
    "down", "flush", "truncate", "print", "register", "query", "update", "write", "read", "handle",
];

impl Startup {
    /// Follows the calls of all files that may run at start.
    pub fn of(files: &[SourceFile]) -> Self {
        let mut startup = Self::default();
        let mut by_name: BTreeMap<(Language, &str), Vec<(usize, usize)>> = BTreeMap::new();
        for (f, file) in files.iter().enumerate() {
            for (g, function) in file.functions().iter().enumerate() {
                let key = (file.language, function.name.as_str());
                by_name.entry(key).or_default().push((f, g));
            }
        }
        let mut waiting: Vec<(usize, usize)> = Vec::new();
        for (f, file) in files.iter().enumerate() {
            if !file.is_application() || !file.language.is_code() {
                continue;
            }
            for (g, function) in file.functions().iter().enumerate() {
                let name = function.name.replace('_', "").to_lowercase();
                let called_so = NAME.is_match(&name) || MARK.is_match(&function.marks);
                if called_so && !BY_HAND.is_match(&function.marks) {
                    startup.reached.insert((f, g), None);
                    waiting.push((f, g));
                }
            }
            for (at, name) in calls(file, 0..file.text.len()) {
                if file
                    .functions()
                    .iter()
                    .all(|function| !function.body.contains(&at))
                {
                    let when = when(file, at, None);
                    startup.take(files, &by_name, &mut waiting, (f, &name), when);
                }
            }
        }
        while let Some((f, g)) = waiting.pop() {
            let file = &files[f];
            let outer = startup.reached.get(&(f, g)).cloned().flatten();
            for (at, name) in calls(file, file.functions()[g].body.clone()) {
                if startup.on_demand(file, at, Some(g)) {
                    continue;
                }
                let when = when(file, at, outer.as_deref());
                startup.take(files, &by_name, &mut waiting, (f, &name), when);
            }
        }
        startup
    }

    fn take(
        &mut self,
        files: &[SourceFile],
        by_name: &BTreeMap<(Language, &str), Vec<(usize, usize)>>,
        waiting: &mut Vec<(usize, usize)>,
        call: (usize, &str),
        when: When,
    ) {
        let condition = match when {
            When::Always => None,
            When::If(condition) => Some(condition),
            When::Never => return,
        };
        let (caller, name) = call;
        let found = by_name.get(&(files[caller].language, name));
        let found = found.map_or(&[][..], Vec::as_slice);
        let own = found.iter().any(|(f, _)| *f == caller);
        for &(f, g) in found {
            let foreign = f != caller;
            let marks = &files[f].functions()[g].marks;
            let by_hand = files[f].language == Language::Python && BY_HAND.is_match(marks);
            if (foreign && (own || TOO_COMMON.contains(&name)))
                || files[f].role == Role::Test
                || by_hand
            {
                continue;
            }
            match self.reached.get(&(f, g)) {
                None => {}
                Some(Some(_)) if condition.is_none() => {}
                Some(_) => continue,
            }
            self.reached.insert((f, g), condition.clone());
            waiting.push((f, g));
        }
    }

    /// Whether a callback that runs on demand is between a place and the function.
    fn on_demand(&self, file: &SourceFile, at: usize, outer: Option<usize>) -> bool {
        let start = outer.map_or(0, |g| file.functions()[g].body.start);
        file.functions().iter().any(|function| {
            function.body.contains(&at)
                && function.body.start > start
                && (ON_DEMAND.is_match(&function.name) || file.language == Language::Python)
        })
    }

    /// When a place in a file runs.
    pub fn when(&self, index: usize, file: &SourceFile, at: usize) -> When {
        let around: Vec<usize> = (0..file.functions().len())
            .filter(|g| file.functions()[*g].body.contains(&at))
            .collect();
        let by_hand = |g: &usize| {
            let function = &file.functions()[*g];
            ON_DEMAND.is_match(&function.name)
                || (file.language == Language::Python && BY_HAND.is_match(&function.marks))
        };
        if around.iter().any(by_hand) {
            return When::Never;
        }
        // Callbacks and closures run with what is around them.
        let named: Vec<usize> = around
            .iter()
            .copied()
            .filter(|g| !file.functions()[*g].name.starts_with('&'))
            .collect();
        let Some(innermost) = named.last() else {
            // What is outside functions of a script runs when somebody runs the script.
            if file.role == Role::Seed {
                return When::Never;
            }
            return when(file, at, None);
        };
        match self.reached.get(&(index, *innermost)) {
            Some(outer) => when(file, at, outer.as_deref()),
            None => When::Never,
        }
    }
}

/// The names that are called in a part of a file, and functions that are handed over.
fn calls(file: &SourceFile, part: std::ops::Range<usize>) -> BTreeSet<(usize, String)> {
    let text = &file.bare()[part.clone()];
    let called = CALL.captures_iter(text);
    let handed = HANDED.captures_iter(text);
    called
        .chain(handed)
        .filter_map(|found| found.get(1).or_else(|| found.get(2)))
        .map(|name| (part.start + name.start(), name.as_str().to_owned()))
        .filter(|(at, _)| !is_definition(file, *at))
        .collect()
}

fn is_definition(file: &SourceFile, at: usize) -> bool {
    file.functions()
        .iter()
        .any(|function| function.head.contains(&at) && !function.name.starts_with('&'))
}

/// Under which condition a place runs, when its function runs.
fn when(file: &SourceFile, at: usize, outer: Option<&str>) -> When {
    let own = file.conditions(at);
    if own.iter().any(|condition| ASKED.is_match(condition)) {
        return When::Never;
    }
    match own.into_iter().next().or_else(|| outer.map(str::to_owned)) {
        None => When::Always,
        Some(condition) => When::If(condition),
    }
}
