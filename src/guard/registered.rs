//! Which table models SQLAlchemy knows when `create_all` is called.
//!
//! A model is known when its module was loaded before. Loaded is what the calling module
//! imports before the call, and what the program has loaded by then because other modules
//! import it: those that call the function, and those that import them.

use super::modules::{Modules, Origin};
use super::python::Import;
use super::roles::Role;
use super::source_file::SourceFile;
use super::tree::Tree;
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// A class that stands for a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Model {
    /// The file that defines it.
    pub file: usize,
    /// Where.
    pub at: usize,
    pub name: String,
}

/// One call of `create_all`, the last of its function.
#[derive(Debug)]
pub struct CreateAll {
    /// The file of the call.
    pub file: usize,
    /// Where.
    pub at: usize,
    /// Models that nothing has loaded by then.
    pub missing: Vec<Model>,
    /// Models that are loaded, but not by the module of the call.
    pub by_luck: Vec<Model>,
    /// The project has Alembic or Flask-Migrate.
    pub has_migrations: bool,
}

struct Call {
    file: usize,
    at: usize,
    function: Option<usize>,
    root: Origin,
    before: BTreeSet<usize>,
    elsewhere: BTreeSet<usize>,
}

static CREATE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"([A-Za-z_][\w.]*)\.create_all\b").expect("the pattern is constant")
});
static TABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(__tablename__|__table__|Column\(|mapped_column\(|Mapped\[|relationship\()")
        .expect("the pattern is constant")
});
static ABSTRACT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"__abstract__\s*=\s*True").expect("the pattern is constant"));

impl Call {
    /// Whether a model is registered before the call, in the call's own code.
    fn knows(&self, model: &Model) -> bool {
        if model.file == self.file {
            self.function.is_some() || model.at < self.at
        } else {
            self.before.contains(&model.file)
        }
    }

    /// Whether the module of a model may be loaded when the call runs.
    fn may_load(&self, model: &Model) -> bool {
        [&self.before, &self.elsewhere]
            .iter()
            .any(|files| files.contains(&model.file))
    }
}

/// Every `create_all` of the application's code with the models that it leaves out.
pub fn create_alls(tree: &Tree) -> Vec<CreateAll> {
    let calls = calls(tree);
    let mut out = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        let module = |index: &usize| tree.modules.get(*index);
        let mut loaded = call.before.union(&call.elsewhere).filter_map(module);
        // Modules that are loaded by name at run time cannot be followed.
        if loaded.any(|module| module.dynamic) {
            continue;
        }
        let home = project(tree, call.file);
        let others = calls.iter().enumerate();
        let others = others.filter(|(other, it)| *other != number && it.root == call.root);
        let others: Vec<_> = others.map(|(_, other)| other).collect();
        let made_elsewhere = |model: &Model| {
            let mut others = others.iter();
            others.any(|other| other.file == model.file || other.may_load(model))
        };
        let left_out = models(tree, &call.root).into_iter().filter(|model| {
            project(tree, model.file) == home && !call.knows(model) && !made_elsewhere(model)
        });
        let (by_luck, missing) = left_out.partition(|model| call.elsewhere.contains(&model.file));
        out.push(CreateAll {
            file: call.file,
            at: call.at,
            missing,
            by_luck,
            has_migrations: has_migrations(tree, &home),
        });
    }
    out
}

fn calls(tree: &Tree) -> Vec<Call> {
    let mut out: Vec<Call> = Vec::new();
    for (index, file) in tree.files.iter().enumerate() {
        if tree.modules.get(index).is_none() || !file.is_application() {
            continue;
        }
        for found in CREATE.captures_iter(file.bare()) {
            let whole = found.get(0).expect("group 0 is the match");
            let at = whole.start();
            let Some(root) = root(&tree.modules, index, &found[1]) else {
                continue;
            };
            let function =
                (0..file.functions().len()).rfind(|g| file.functions()[*g].body.contains(&at));
            // Of several calls in one function the last decides what there is in the end.
            out.retain(|call| (call.file, call.function, &call.root) != (index, function, &root));
            let before = before(tree, index, at, function);
            let elsewhere = function
                .map(|function| elsewhere(tree, index, &file.functions()[function].name))
                .unwrap_or_default();
            out.push(Call {
                file: index,
                at,
                function,
                root,
                before,
                elsewhere,
            });
        }
    }
    out
}

/// The base whose tables `receiver.create_all` makes.
fn root(modules: &Modules, index: usize, receiver: &str) -> Option<Origin> {
    let base = match receiver.rsplit_once('.') {
        Some((base, "metadata")) => base.to_owned(),
        _ if receiver == "metadata" => {
            let module = modules.get(index)?;
            let (_, right) = module
                .assignments
                .iter()
                .find(|(left, _)| left == "metadata")?;
            right.strip_suffix(".metadata")?.to_owned()
        }
        _ => receiver.to_owned(),
    };
    modules.root(&modules.origin(index, &base)?)
}

/// What the module of the call has loaded before the call.
fn before(tree: &Tree, index: usize, at: usize, function: Option<usize>) -> BTreeSet<usize> {
    let Some(module) = tree.modules.get(index) else {
        return BTreeSet::new();
    };
    let file = &tree.files[index];
    let runs = |import: &&Import| match (import.in_function, function) {
        (false, None) => import.at < at,
        (false, Some(_)) => true,
        (true, Some(function)) => {
            file.functions()[function].body.contains(&import.at) && import.at < at
        }
        (true, None) => false,
    };
    let targets = module.imports.iter().filter(runs);
    let targets = targets.flat_map(|import| tree.modules.targets(index, import));
    let start: Vec<usize> = targets.chain(tree.modules.packages(index)).collect();
    tree.modules.closure(start, Some(index))
}

/// What is loaded by the modules that call the function, and by those that import these.
fn elsewhere(tree: &Tree, index: usize, function: &str) -> BTreeSet<usize> {
    let mut start = BTreeSet::new();
    for (other, file) in tree.files.iter().enumerate() {
        let Some(module) = tree.modules.get(other) else {
            continue;
        };
        if matches!(file.role, Role::Test | Role::Migration | Role::Seed) {
            continue;
        }
        let imports = |import: &Import| tree.modules.targets(other, import).contains(&index);
        let calls = if other == index {
            mentions(file, function) > 1
        } else {
            mentions(file, function) > 0 && module.imports.iter().any(imports)
        };
        if calls {
            start.insert(other);
            start.extend(tree.modules.importers(other, &tree.files));
            let context = module.imports.iter().filter(|import| {
                let around = file
                    .functions()
                    .iter()
                    .find(|f| f.body.contains(&import.at));
                around.is_some_and(|f| file.bare()[f.body.clone()].contains(function))
            });
            start.extend(context.flat_map(|import| tree.modules.targets(other, import)));
        }
    }
    tree.modules.closure(start, None)
}

fn mentions(file: &SourceFile, name: &str) -> usize {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let bare = file.bare();
    bare.match_indices(name)
        .filter(|(at, _)| {
            !word(bare[..*at].chars().next_back()) && !word(bare[at + name.len()..].chars().next())
        })
        .count()
}

/// The table models of the application that descend from that base.
fn models(tree: &Tree, root: &Origin) -> Vec<Model> {
    let mut out = Vec::new();
    for (index, file) in tree.files.iter().enumerate() {
        let Some(module) = tree.modules.get(index) else {
            continue;
        };
        if !file.is_application() {
            continue;
        }
        for class in &module.classes {
            let body = &file.bare()[class.body.clone()];
            let sqlmodel = matches!(root, Origin::Foreign(name) if name == "sqlmodel.SQLModel");
            let table = if sqlmodel {
                class
                    .keywords
                    .contains(&("table".to_owned(), "True".to_owned()))
            } else {
                TABLE.is_match(body) && !ABSTRACT.is_match(body)
            };
            let itself = *root == Origin::Own(index, class.name.clone());
            if table && !itself && tree.modules.root_of_class(index, class).as_ref() == Some(root) {
                out.push(Model {
                    file: index,
                    at: class.at,
                    name: class.name.clone(),
                });
            }
        }
    }
    out
}

/// The nearest folder above a file that looks like the root of a project of its own.
fn project(tree: &Tree, index: usize) -> String {
    const MARKS: &[&str] = &[
        "pyproject.toml",
        "requirements.txt",
        "setup.py",
        "setup.cfg",
        "Pipfile",
        "Dockerfile",
        "alembic.ini",
        "manage.py",
    ];
    let mut folder = tree.files[index].path.as_str();
    while let Some((above, _)) = folder.rsplit_once('/') {
        if MARKS
            .iter()
            .any(|mark| tree.names.contains(&format!("{above}/{mark}")))
        {
            return above.to_owned();
        }
        folder = above;
    }
    String::new()
}

fn has_migrations(tree: &Tree, project: &str) -> bool {
    tree.names.iter().any(|name| {
        let ini = name.ends_with("alembic.ini");
        let env =
            name.ends_with("/env.py") && (name.contains("alembic") || name.contains("migrations"));
        name.starts_with(project) && (ini || env)
    })
}
