//! Python's modules: which file an import loads, what is loaded when, and from which base a
//! class descends.

use super::language::Language;
use super::python;
use super::python::{Class, Import, Module};
use super::roles::Role;
use super::source_file::SourceFile;
use std::collections::{BTreeMap, BTreeSet};

/// All modules of a tree; a number is the index of the file in the tree.
#[derive(Debug, Default)]
pub struct Modules {
    read: BTreeMap<usize, Module>,
    /// `backend/models/__init__.py` → its number; paths as in [`SourceFile::path`].
    by_path: BTreeMap<String, usize>,
    path_of: BTreeMap<usize, String>,
    /// What a module loads at once when it is imported.
    loads: BTreeMap<usize, BTreeSet<usize>>,
    /// The real name of the folder that was given as `.`: `backend` in `import backend.models`.
    context: Option<String>,
}

/// Where a name comes from: a class or variable of a file, or a name of a foreign package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Defined in that file.
    Own(usize, String),
    /// Imported from elsewhere, with its full name.
    Foreign(String),
}

/// Longer chains of names are cycles.
const DEEPEST: usize = 12;

impl Modules {
    /// Reads all modules and who loads whom.
    pub fn of(files: &[SourceFile], context: Option<String>) -> Self {
        let mut modules = Self {
            context,
            ..Self::default()
        };
        for (index, file) in files.iter().enumerate() {
            if file.language == Language::Python {
                modules.read.insert(index, python::read(&file.blanked));
                modules.by_path.insert(file.path.clone(), index);
                modules.path_of.insert(index, file.path.clone());
            }
        }
        let mut loads = BTreeMap::new();
        for (index, module) in &modules.read {
            // An import outside functions runs when the module is loaded, also under `try`.
            let at_once = module.imports.iter().filter(|import| !import.in_function);
            let mut set: BTreeSet<usize> = at_once
                .flat_map(|import| modules.targets(*index, import))
                .collect();
            set.extend(modules.packages(*index));
            loads.insert(*index, set);
        }
        modules.loads = loads;
        modules
    }

    /// What a file says at its surface.
    pub fn get(&self, index: usize) -> Option<&Module> {
        self.read.get(&index)
    }

    /// The files that an import loads, without what these load in turn.
    pub fn targets(&self, from: usize, import: &Import) -> Vec<usize> {
        if import.typing_only {
            return Vec::new();
        }
        let Some(folders) = self.folders(from, import) else {
            return Vec::new();
        };
        let parts: Vec<&str> = import
            .module
            .split('.')
            .filter(|part| !part.is_empty())
            .collect();
        let found = self.look_up(&folders, &parts, import);
        match (&found[..], parts.split_first()) {
            ([], Some((first, rest))) if self.context.as_deref() == Some(first) => {
                self.look_up(&[String::new()], rest, import)
            }
            _ => found,
        }
    }

    fn look_up(&self, folders: &[String], parts: &[&str], import: &Import) -> Vec<usize> {
        for folder in folders {
            let mut found = Vec::new();
            let mut at = folder.clone();
            let mut complete = true;
            for (depth, part) in parts.iter().enumerate() {
                at = join(&at, part);
                let file = self.file(&at);
                let last = depth + 1 == parts.len();
                found.extend(file);
                complete &= file.is_some()
                    || (!last && self.is_folder(&at))
                    || (last && !import.names.is_empty() && self.is_folder(&at));
            }
            if parts.is_empty() {
                found.extend(self.file(&at));
                complete = !found.is_empty() || self.is_folder(&at);
            }
            if !complete {
                continue;
            }
            // `from package import module` loads the module too.
            found.extend(
                import
                    .names
                    .iter()
                    .filter_map(|(name, _)| self.file(&join(&at, name))),
            );
            return found;
        }
        Vec::new()
    }

    /// The folders in which an import may be looked up, the nearest first.
    fn folders(&self, from: usize, import: &Import) -> Option<Vec<String>> {
        let path = self.path_of.get(&from)?;
        let mut folder = parent(path)?;
        if import.level > 0 {
            for _ in 1..import.level {
                folder = parent(&folder)?;
            }
            return Some(vec![folder]);
        }
        let mut out = vec![folder.clone()];
        while let Some(next) = parent(&folder) {
            out.push(join(&next, "src"));
            out.push(next.clone());
            folder = next;
        }
        Some(out)
    }

    fn file(&self, without_ending: &str) -> Option<usize> {
        let init = join(without_ending, "__init__.py");
        let plain = format!("{without_ending}.py");
        self.by_path
            .get(&init)
            .or_else(|| self.by_path.get(&plain))
            .copied()
    }

    fn is_folder(&self, path: &str) -> bool {
        let start = format!("{path}/");
        self.by_path
            .range(start.clone()..)
            .next()
            .is_some_and(|(found, _)| found.starts_with(&start))
    }

    /// The packages around a file: importing it runs their `__init__`.
    pub fn packages(&self, index: usize) -> Vec<usize> {
        let mut out = Vec::new();
        let mut folder = self.path_of.get(&index).and_then(|path| parent(path));
        while let Some(at) = folder {
            match self.by_path.get(&join(&at, "__init__.py")) {
                Some(init) => out.push(*init),
                None => break,
            }
            folder = parent(&at);
        }
        out
    }

    /// Everything that is loaded once these are, themselves included; what `but` loads is left
    /// out, because it is being loaded itself.
    pub fn closure(
        &self,
        start: impl IntoIterator<Item = usize>,
        but: Option<usize>,
    ) -> BTreeSet<usize> {
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        let mut waiting: Vec<usize> = start.into_iter().collect();
        while let Some(index) = waiting.pop() {
            if seen.insert(index) && but != Some(index) {
                waiting.extend(self.loads.get(&index).into_iter().flatten());
            }
        }
        seen
    }

    /// The modules that import this one, directly or not, without tests and migrations.
    pub fn importers(&self, of: usize, files: &[SourceFile]) -> BTreeSet<usize> {
        let mut out = BTreeSet::new();
        let mut waiting = vec![of];
        while let Some(index) = waiting.pop() {
            for (importer, loads) in &self.loads {
                let counts = !matches!(files[*importer].role, Role::Test | Role::Migration);
                if counts && loads.contains(&index) && *importer != of && out.insert(*importer) {
                    waiting.push(*importer);
                }
            }
        }
        out
    }

    /// Where a name of a file comes from: `Base`, `models.Base`, `db`.
    pub fn origin(&self, index: usize, name: &str) -> Option<Origin> {
        self.trace(index, name, 0)
    }

    fn trace(&self, index: usize, name: &str, depth: usize) -> Option<Origin> {
        let module = self.read.get(&index)?;
        if depth > DEEPEST {
            return None;
        }
        if let Some((head, rest)) = name.split_once('.') {
            return self.trace_attribute(index, module, (head, rest), depth);
        }
        let defined = module.classes.iter().any(|class| class.name == name)
            || module.assignments.iter().any(|(left, _)| left == name);
        if defined {
            return Some(Origin::Own(index, name.to_owned()));
        }
        for import in &module.imports {
            if let Some((original, _)) = import.names.iter().find(|(_, context)| context == name) {
                return self.through(index, import, original, depth);
            }
            if import.names.iter().any(|(star, _)| star == "*")
                && let Some(found) = self.through(index, import, name, depth)
                && matches!(found, Origin::Own(..))
            {
                return Some(found);
            }
        }
        None
    }

    /// `models.Base`: the module is an import, and the rest a name in it.
    fn trace_attribute(
        &self,
        index: usize,
        module: &Module,
        (head, rest): (&str, &str),
        depth: usize,
    ) -> Option<Origin> {
        for import in &module.imports {
            let plain = import.names.is_empty();
            let named = import.alias.as_deref() == Some(head) || (plain && import.module == head);
            if plain && named {
                let target = self.targets(index, import).into_iter().last();
                return match target {
                    Some(target) => self.trace(target, rest, depth + 1),
                    None => Some(Origin::Foreign(format!("{}.{rest}", import.module))),
                };
            }
            if let Some((original, _)) = import.names.iter().find(|(_, context)| context == head) {
                let one = Import {
                    names: vec![(original.clone(), original.clone())],
                    ..import.clone()
                };
                let target = self.targets(index, &one).into_iter().last();
                let is_module = target
                    .and_then(|target| self.path_of.get(&target))
                    .is_some_and(|path| {
                        path.ends_with(&format!("/{original}.py"))
                            || path.ends_with(&format!("/{original}/__init__.py"))
                    });
                if let (Some(target), true) = (target, is_module) {
                    return self.trace(target, rest, depth + 1);
                }
                return self.through(index, import, original, depth);
            }
        }
        self.trace(index, head, depth + 1)
    }

    /// A name that an import brings in.
    fn through(&self, index: usize, import: &Import, name: &str, depth: usize) -> Option<Origin> {
        let bare = Import {
            names: vec![(String::new(), String::new())],
            typing_only: false,
            ..import.clone()
        };
        match self.targets(index, &bare).into_iter().last() {
            Some(target) => self.trace(target, name, depth + 1),
            None => Some(Origin::Foreign(format!("{}.{name}", import.module))),
        }
    }

    /// The base at the root of a class, by way of its first base that is known:
    /// `sqlmodel.SQLModel`, or the project's own declarative base.
    pub fn root(&self, origin: &Origin) -> Option<Origin> {
        let mut at = origin.clone();
        for _ in 0..DEEPEST {
            let Origin::Own(index, name) = &at else {
                return Some(at);
            };
            let module = self.read.get(index)?;
            let Some(class) = module.classes.iter().find(|class| &class.name == name) else {
                // `Base = declarative_base()` is a root; `Base = other.Base` is another name.
                let (_, right) = module.assignments.iter().find(|(left, _)| left == name)?;
                let alias = right
                    .chars()
                    .all(|c| c.is_alphanumeric() || "_.".contains(c));
                match alias.then(|| self.origin(*index, right)).flatten() {
                    Some(next) if next != at => at = next,
                    _ => return Some(at),
                }
                continue;
            };
            let parents: Vec<Origin> = class
                .bases
                .iter()
                .filter_map(|base| self.origin(*index, base))
                .collect();
            let declarative = parents.iter().any(is_declarative);
            if declarative {
                return Some(at);
            }
            at = self.parent_of(parents)?;
        }
        None
    }

    /// The base that leads on: SQLModel first, then a class of the project.
    fn parent_of(&self, parents: Vec<Origin>) -> Option<Origin> {
        let sqlmodel = parents
            .iter()
            .find(|parent| matches!(parent, Origin::Foreign(name) if name == "sqlmodel.SQLModel"));
        if let Some(found) = sqlmodel {
            return Some(found.clone());
        }
        let own = parents
            .iter()
            .filter(|parent| matches!(parent, Origin::Own(..)));
        let mut roots = own.filter(|parent| self.root(parent).is_some());
        roots.next().cloned()
    }

    /// The root of a class that is in that file.
    pub fn root_of_class(&self, index: usize, class: &Class) -> Option<Origin> {
        self.root(&Origin::Own(index, class.name.clone()))
    }
}

fn is_declarative(origin: &Origin) -> bool {
    matches!(origin, Origin::Foreign(name) if name.starts_with("sqlalchemy")
        && (name.ends_with(".DeclarativeBase") || name.ends_with(".DeclarativeBaseNoMeta")
            || name.ends_with(".MappedAsDataclass") || name.ends_with(".AsyncAttrs")))
}

fn parent(path: &str) -> Option<String> {
    if path.is_empty() {
        return None;
    }
    Some(
        path.rsplit_once('/')
            .map_or("", |(folder, _)| folder)
            .to_owned(),
    )
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}
