//! One file of an application: its text, what it is for, and what is in it.

use super::blank::{Blanked, blank};
use super::functions::Function;
use super::language::Language;
use super::roles::{Role, role};
use super::shape::Shape;

/// One file, read.
#[derive(Debug)]
pub struct SourceFile {
    /// As a person would type it, with `/`: the given path and what follows it.
    pub path: String,
    /// Below the given path; decides the role.
    pub relative: String,
    /// What it is written in.
    pub language: Language,
    /// What it is for.
    pub role: Role,
    /// As it is.
    pub text: String,
    /// Without comments, and without strings.
    pub blanked: Blanked,
    /// Its functions and blocks.
    pub shape: Shape,
}

impl SourceFile {
    /// Reads a text as the file at that path; none when the language is of no interest.
    pub fn new(path: String, relative: String, text: String) -> Option<Self> {
        let language = Language::of(&relative)?;
        let blanked = blank(&text, language);
        Some(Self {
            role: role(&relative),
            shape: Shape::of(&blanked, language),
            path,
            relative,
            language,
            text,
            blanked,
        })
    }

    /// The text without comments.
    pub fn code(&self) -> &str {
        &self.blanked.code
    }

    /// The text without comments and strings.
    pub fn bare(&self) -> &str {
        &self.blanked.bare
    }

    /// Its functions, outer before inner.
    pub fn functions(&self) -> &[Function] {
        &self.shape.functions
    }

    /// The conditions under which a place runs inside its function, the innermost first.
    pub fn conditions(&self, at: usize) -> Vec<String> {
        self.shape.conditions(&self.blanked, self.language, at)
    }

    /// The name without folders.
    pub fn name(&self) -> &str {
        self.relative.rsplit('/').next().unwrap_or(&self.relative)
    }

    /// Line and column, from 1; the column counts characters.
    pub fn position(&self, at: usize) -> (u32, u32) {
        let before = &self.text[..at.min(self.text.len())];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before[start..].chars().count() + 1;
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        (number(line), number(column))
    }

    /// The line in which a place is, without the blanks around it.
    pub fn line_at(&self, at: usize) -> &str {
        let at = at.min(self.text.len());
        let start = self.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[at..]
            .find('\n')
            .map_or(self.text.len(), |len| at + len);
        self.text[start..end].trim()
    }

    /// `path:line`.
    pub fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path, self.position(at).0)
    }

    /// Code that may run when the application starts: no test, no migration, nothing that
    /// somebody runs by hand.
    pub fn is_application(&self) -> bool {
        !matches!(self.role, Role::Test | Role::Migration | Role::Seed)
    }
}
