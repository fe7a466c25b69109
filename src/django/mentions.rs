//! Calls, decorators and bases in a project's code, outside its settings: what is named, with what, where. Reads only
//! files that hold one of the words looked for, and code, never comments or text.

use ruff_python_ast::visitor::{Visitor, walk_expr};
use ruff_python_ast::{Expr, ExprCall, Stmt};

use super::parse::Source;
use super::tree::Tree;
use super::value::Place;
use super::words::is_aside;

/// The callee of a comparison, whose texts are what is compared with.
const COMPARED: &str = "compared";

/// One call, or one comparison.
#[derive(Debug, Clone)]
pub struct Mention {
    /// What is called, dotted as far as it is a name.
    pub callee: String,
    /// Its first argument, when that is text.
    pub first: Option<String>,
    /// Arguments by name: the dotted name of what is given; never text, which may be anybody's secret.
    pub named: Vec<(String, String)>,
    /// The texts among all other arguments, to be looked at and never told.
    pub texts: Vec<String>,
    /// Where.
    pub place: Place,
}

impl Mention {
    /// The last part of what is called.
    pub fn name(&self) -> &str {
        self.callee.rsplit('.').next().unwrap_or(&self.callee)
    }

    /// What is given under a name.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.named.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Every call in files that hold one of these words.
pub fn mentions(tree: &Tree, words: &[&str]) -> Vec<Mention> {
    let code = tree.paths().filter(|path| path.ends_with(".py") && !for_tests(path));
    let mut found = Vec::new();
    for path in code {
        let Some(text) = tree.text(path).filter(|text| words.iter().any(|word| text.contains(word))) else { continue };
        drop(text);
        if let Some(source) = Source::read(tree, path) {
            let mut reader = Reader { source: &source, found: &mut found };
            source.body.iter().for_each(|statement| reader.visit_stmt(statement));
        }
    }
    found
}

fn for_tests(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("test_") || name == "conftest.py" || is_aside(path)
}

struct Reader<'s> {
    source: &'s Source,
    found: &'s mut Vec<Mention>,
}

impl Visitor<'_> for Reader<'_> {
    fn visit_expr(&mut self, expression: &Expr) {
        match expression {
            Expr::Call(call) => self.found.extend(mention(self.source, call)),
            Expr::Compare(compare) => {
                let texts = compare.comparators.iter().flat_map(texts).collect();
                let (callee, place) = (COMPARED.to_owned(), self.source.place(compare));
                self.found.push(Mention { callee, first: None, named: Vec::new(), texts, place });
            }
            _ => {}
        }
        walk_expr(self, expression);
    }

    fn visit_stmt(&mut self, statement: &Stmt) {
        match statement {
            Stmt::FunctionDef(inner) => {
                for decorator in &inner.decorator_list {
                    self.bare(&decorator.expression);
                }
            }
            Stmt::ClassDef(inner) => inner.arguments.iter().flat_map(|one| &one.args).for_each(|base| self.bare(base)),
            Stmt::Assign(inner) => {
                // `app.conf.task_acks_late = True` says what a call with that argument says.
                if let [Expr::Attribute(target)] = &inner.targets[..] {
                    let named = vec![(target.attr.to_string(), shown(&inner.value))];
                    let place = self.source.place(inner);
                    self.found.push(Mention { callee: "set".into(), first: None, named, texts: Vec::new(), place });
                }
            }
            _ => {}
        }
        ruff_python_ast::visitor::walk_stmt(self, statement);
    }
}

impl Reader<'_> {
    /// A name that stands where a call could: a decorator, a base.
    fn bare(&mut self, expression: &Expr) {
        if !expression.is_call_expr() {
            let (callee, place) = (shown(expression), self.source.place(expression));
            self.found.push(Mention { callee, first: None, named: Vec::new(), texts: Vec::new(), place });
        }
    }
}

fn mention(source: &Source, call: &ExprCall) -> Option<Mention> {
    let callee = Some(shown(&call.func)).filter(|name| !name.is_empty())?;
    let first = call.arguments.args.first().and_then(|first| first.as_string_literal_expr());
    let first = first.map(|first| first.value.to_str().to_owned());
    let keywords = &call.arguments.keywords;
    let named = keywords.iter().filter_map(|one| Some((one.arg.as_ref()?.to_string(), shown(&one.value)))).collect();
    let rest = call.arguments.args.iter().skip(1).chain(keywords.iter().map(|one| &one.value));
    Some(Mention { callee, first, named, texts: rest.flat_map(texts).collect(), place: source.place(call) })
}

/// The text, or the texts in a tuple, list or set of them.
fn texts(expression: &Expr) -> Vec<String> {
    let items: &[Expr] = match expression {
        Expr::Tuple(inner) => &inner.elts,
        Expr::List(inner) => &inner.elts,
        Expr::Set(inner) => &inner.elts,
        one => std::slice::from_ref(one),
    };
    items.iter().filter_map(|item| Some(item.as_string_literal_expr()?.value.to_str().to_owned())).collect()
}

/// A name dotted, what is called for a call, `True` and `False`; else nothing, and of text nothing.
fn shown(expression: &Expr) -> String {
    match expression {
        Expr::BooleanLiteral(inner) => if inner.value { "True" } else { "False" }.to_owned(),
        Expr::Name(name) => name.id.to_string(),
        Expr::Attribute(inner) => {
            let base = shown(&inner.value);
            if base.is_empty() { inner.attr.to_string() } else { format!("{base}.{}", inner.attr) }
        }
        Expr::Call(inner) => shown(&inner.func),
        _ => String::new(),
    }
}
