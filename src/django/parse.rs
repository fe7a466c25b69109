//! Python text to a syntax tree: the one seam to the parser. A file with errors gives what could be read of it. Knows no
//! Django.

use std::rc::Rc;

use ruff_python_ast::{PySourceType, Stmt};
use ruff_python_parser::parse_unchecked_source;
use ruff_text_size::{Ranged, TextSize};

use super::template;
use super::tree::Tree;
use super::value::Place;

/// Brackets within brackets that are parsed; people write a dozen.
const NESTED: usize = 150;

/// A parsed file.
#[derive(Debug)]
pub struct Source {
    /// Path below the project's root.
    pub file: Rc<str>,
    /// Its statements.
    pub body: Vec<Stmt>,
    /// Something in it is not the Python of today.
    pub broken: bool,
    lines: Vec<TextSize>,
}

impl Source {
    /// Reads a file; none when it is not there, too large or not text.
    pub fn read(tree: &Tree, file: &str) -> Option<Rc<Self>> {
        let text = tree.text(file)?;
        let text = template::rendered(tree, file, &text);
        Some(Rc::new(Self::parse(file, &text)))
    }

    fn parse(file: &str, text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = ends.filter_map(|(at, _)| TextSize::try_from(at).ok()).collect();
        if too_nested(text) {
            return Self { file: file.into(), body: Vec::new(), broken: true, lines };
        }
        let parsed = parse_unchecked_source(text, PySourceType::Python);
        let broken = parsed.has_invalid_syntax();
        Self { file: file.into(), body: parsed.into_suite().into_iter().collect(), broken, lines }
    }

    /// Where something stands.
    pub fn place(&self, node: &impl Ranged) -> Place {
        let before = self.lines.partition_point(|end| *end < node.start());
        Place { file: self.file.clone(), line: u32::try_from(before + 1).unwrap_or(u32::MAX) }
    }
}

/// Brackets beyond any that a person writes would cost the parser, and us, a stack.
fn too_nested(text: &str) -> bool {
    let mut depth = 0_usize;
    text.bytes().any(|byte| {
        depth = match byte {
            b'(' | b'[' | b'{' => depth + 1,
            b')' | b']' | b'}' => depth.saturating_sub(1),
            _ => depth,
        };
        depth > NESTED
    })
}
