//! Statements: what each does to the names, and both sides of what the surroundings decide.

use std::rc::Rc;

use ruff_python_ast::{
    ExceptHandler, Expr, Pattern, PatternMatchAs, Singleton, Stmt, StmtFor, StmtIf, StmtMatch, StmtTry, StmtWith,
};

use super::{Effect, Evaluator, Frame, Scope};
use crate::django::condition::Condition;
use crate::django::joined::joined;
use crate::django::value::{Function, Guarded, Kind, Outer, V, Value};

/// How a block was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// At its end.
    Next,
    /// By `return`, `break` or `continue`.
    Left,
    /// By an error: whoever runs this site does not come here.
    Raised,
}

/// Rounds of a loop that are followed.
const ROUNDS: usize = 64;

impl Evaluator<'_> {
    pub(super) fn block<'b>(&mut self, frame: &mut Frame, body: impl IntoIterator<Item = &'b Stmt>) -> Flow {
        for statement in body {
            if !self.may_go_on() {
                break;
            }
            let flow = self.deeper(|it| it.statement(frame, statement));
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Next
    }

    fn statement(&mut self, frame: &mut Frame, statement: &Stmt) -> Flow {
        match statement {
            Stmt::Expr(inner) => drop(self.eval(frame, &inner.value)),
            Stmt::Assign(inner) => {
                let value = self.eval(frame, &inner.value);
                inner.targets.iter().for_each(|target| self.assign(frame, target, &value));
            }
            Stmt::AnnAssign(inner) => match &inner.value {
                Some(value) => {
                    let value = self.eval(frame, value);
                    self.assign(frame, &inner.target, &value);
                }
                None if frame.scopes.len() > 1 => {
                    let declared = frame.unknown(super::classes::DECLARED, inner);
                    self.assign(frame, &inner.target, &declared);
                }
                None => {}
            },
            Stmt::AugAssign(inner) => self.augment(frame, inner),
            Stmt::Delete(inner) => inner.targets.iter().for_each(|target| self.delete(frame, target)),
            Stmt::If(inner) => return self.branch(frame, inner),
            Stmt::Match(inner) => return self.match_cases(frame, inner),
            Stmt::Try(inner) => return self.attempt(frame, inner),
            Stmt::For(inner) => self.repeat(frame, inner),
            Stmt::While(inner) => {
                let body = inner.body.iter();
                self.either(frame, &Condition::opaque("a loop"), |it, frame| it.block(frame, body), |_, _| Flow::Next);
            }
            Stmt::With(inner) => return self.with(frame, inner),
            Stmt::Import(inner) => self.import(frame, inner),
            Stmt::ImportFrom(inner) => self.import_from(frame, inner),
            Stmt::FunctionDef(inner) => {
                let names = inner.decorator_list.iter().filter_map(|one| dotted(&one.expression)).collect();
                let function =
                    Function { file: frame.source.file.clone(), def: Rc::new(inner.clone()), decorators: names };
                let value = Value::new(Kind::Function(Rc::new(function)), &frame.place(inner));
                frame.set(&inner.name, value);
            }
            Stmt::ClassDef(inner) => self.class(frame, inner),
            Stmt::Return(inner) => {
                let value = match &inner.value {
                    Some(value) => self.eval(frame, value),
                    None => Value::new(Kind::Null, &frame.place(inner)),
                };
                frame.returned.push(Guarded { when: frame.path.clone(), value });
                return Flow::Left;
            }
            Stmt::Break(_) | Stmt::Continue(_) => return Flow::Left,
            Stmt::Raise(_) => return Flow::Raised,
            Stmt::Global(inner) => frame.globals.extend(inner.names.iter().map(|name| Rc::from(name.as_str()))),
            Stmt::TypeAlias(_) | Stmt::Assert(_) | Stmt::Nonlocal(_) | Stmt::Pass(_) | Stmt::IpyEscapeCommand(_) => {}
        }
        Flow::Next
    }

    fn branch(&mut self, frame: &mut Frame, statement: &StmtIf) -> Flow {
        let clauses = statement.elif_else_clauses.iter().map(|clause| (clause.test.as_ref(), &clause.body[..]));
        let clauses: Vec<_> = [(Some(&*statement.test), &statement.body[..])].into_iter().chain(clauses).collect();
        self.clauses(frame, &clauses)
    }

    fn clauses(&mut self, frame: &mut Frame, clauses: &[(Option<&Expr>, &[Stmt])]) -> Flow {
        match clauses {
            [] => Flow::Next,
            [(None, body), ..] => self.block(frame, *body),
            _ if !self.may_branch() => Flow::Next,
            [(Some(expression), body), rest @ ..] => {
                let test = self.eval(frame, expression);
                let when = self.truth(&test);
                // What is imported where its file is there is as optional as what a `try` imports.
                let optional = u32::from(asks_for_file(expression));
                let yes = |it: &mut Self, frame: &mut Frame| {
                    it.tried += optional;
                    let flow = it.block(frame, *body);
                    it.tried -= optional;
                    flow
                };
                self.either(frame, &when, yes, |it, frame| it.deeper(|it| it.clauses(frame, rest)))
            }
        }
    }

    /// Is there work left for one more branch? An `elif` stands within the one before it, so a long chain is deep.
    fn may_branch(&mut self) -> bool {
        let may = self.may_go_on();
        self.cut |= !may;
        may
    }

    /// Runs what is done when something holds, and what is done else, and joins what each leaves behind.
    pub(super) fn either(
        &mut self,
        frame: &mut Frame,
        when: &Condition,
        yes: impl FnOnce(&mut Self, &mut Frame) -> Flow,
        no: impl FnOnce(&mut Self, &mut Frame) -> Flow,
    ) -> Flow {
        match when {
            Condition::Always => return yes(self, frame),
            Condition::Never => return no(self, frame),
            _ => {}
        }
        self.copies(&frame.scopes);
        let (path, before) = (frame.path.clone(), (frame.scopes.clone(), frame.own.clone()));
        frame.path = path.and(when);
        let flow = yes(self, frame);
        let after = (std::mem::replace(&mut frame.scopes, before.0), std::mem::replace(&mut frame.own, before.1));
        frame.path = path.and(&when.not());
        let other = no(self, frame);
        frame.path = path;
        match (flow, other) {
            (Flow::Next, Flow::Next) => {
                let others = std::mem::take(&mut frame.scopes);
                frame.scopes = after.0.iter().zip(others).map(|(one, other)| join(when, one, other)).collect();
                frame.own = after.1.as_ref().zip(frame.own.take()).map(|(one, other)| join(when, one, other));
            }
            (Flow::Next, left) => {
                (frame.scopes, frame.own) = after;
                frame.path = if left == Flow::Left { frame.path.and(when) } else { frame.path.clone() };
            }
            (Flow::Left, Flow::Next) => frame.path = frame.path.and(&when.not()),
            (Flow::Raised, _) => return other,
            (left, _) => return left,
        }
        Flow::Next
    }

    fn match_cases(&mut self, frame: &mut Frame, statement: &StmtMatch) -> Flow {
        let subject = self.eval(frame, &statement.subject);
        self.cases(frame, &subject, &statement.cases)
    }

    fn cases(&mut self, frame: &mut Frame, subject: &V, cases: &[ruff_python_ast::MatchCase]) -> Flow {
        let [case, rest @ ..] = cases else { return Flow::Next };
        if !self.may_branch() {
            return Flow::Next;
        }
        let fits = self.fits(frame, subject, &case.pattern);
        if let Pattern::MatchAs(PatternMatchAs { name: Some(name), .. }) = &case.pattern {
            frame.set(name, subject.clone());
        }
        let guard = case.guard.as_ref().map(|guard| self.eval(frame, guard));
        let when = guard.map_or(fits.clone(), |guard| fits.and(&self.truth(&guard)));
        self.either(
            frame,
            &when,
            |it, frame| it.block(frame, &case.body),
            |it, frame| it.deeper(|it| it.cases(frame, subject, rest)),
        )
    }

    fn fits(&mut self, frame: &mut Frame, subject: &V, pattern: &Pattern) -> Condition {
        match pattern {
            Pattern::MatchValue(inner) => {
                let value = self.eval(frame, &inner.value);
                self.equal(subject, &value)
            }
            Pattern::MatchOr(inner) => {
                let ways = inner.patterns.iter().map(|one| self.fits(frame, subject, one));
                ways.fold(Condition::Never, |sum, one| sum.or(&one))
            }
            Pattern::MatchAs(inner) => {
                inner.pattern.as_ref().map_or(Condition::Always, |inner| self.fits(frame, subject, inner))
            }
            Pattern::MatchSingleton(inner) => {
                let kind = match inner.value {
                    Singleton::None => Kind::Null,
                    Singleton::True => Kind::Bool(true),
                    Singleton::False => Kind::Bool(false),
                };
                self.same(subject, &Value::new(kind, &frame.place(inner)))
            }
            _ => Condition::opaque("a pattern"),
        }
    }

    /// The body of a `try` is what production does; what an error would do instead matters where an import finds
    /// nothing, and where a variable that is not set gets its default so.
    fn attempt(&mut self, frame: &mut Frame, statement: &StmtTry) -> Flow {
        self.copies(&frame.scopes);
        let before = (frame.scopes.clone(), std::mem::replace(&mut frame.import_failed, false));
        let caught = u32::from(!statement.handlers.is_empty());
        self.tried += caught;
        let mut flow = self.block(frame, &statement.body);
        self.tried -= caught;
        let handler = statement.handlers.first().map(|ExceptHandler::ExceptHandler(handler)| handler);
        match handler {
            Some(handler) if frame.import_failed || flow == Flow::Raised => {
                flow = self.block(frame, &handler.body);
            }
            Some(handler) => {
                let (path, effects) = (frame.path.clone(), self.effects.len());
                let after = std::mem::replace(&mut frame.scopes, before.0);
                let returned = frame.returned.len();
                if self.block(frame, &handler.body) == Flow::Next {
                    frame.scopes = after.iter().zip(&frame.scopes).map(|(one, other)| defaulted(one, other)).collect();
                } else {
                    frame.scopes = after;
                }
                frame.returned.truncate(returned);
                self.effects.truncate(effects);
                frame.path = path;
            }
            None => {}
        }
        frame.import_failed = before.1;
        for body in [&statement.orelse, &statement.finalbody] {
            if flow == Flow::Next {
                flow = self.block(frame, body);
            }
        }
        flow
    }

    fn with(&mut self, frame: &mut Frame, statement: &StmtWith) -> Flow {
        for item in &statement.items {
            let value = self.eval(frame, &item.context_expr);
            if let Some(target) = &item.optional_vars {
                self.assign(frame, target, &value);
            }
        }
        // `with suppress(ImportError):` is a `try` whose handler does nothing.
        let names = statement.items.iter().filter_map(|item| dotted(&item.context_expr));
        let caught = u32::from(names.into_iter().any(|name| name.rsplit('.').next() == Some("suppress")));
        let failed = frame.import_failed;
        self.tried += caught;
        let flow = self.block(frame, &statement.body);
        self.tried -= caught;
        if caught > 0 {
            frame.import_failed = failed;
        }
        if caught > 0 && flow == Flow::Raised { Flow::Next } else { flow }
    }

    fn repeat(&mut self, frame: &mut Frame, statement: &StmtFor) {
        let (over, path) = (self.eval(frame, &statement.iter), frame.path.clone());
        let Some(items) = self.iterated(&over) else {
            let when = Condition::opaque("a loop over something unknown");
            let unknown = frame.unknown("the loop's items are not known", statement);
            self.assign(frame, &statement.target, &unknown);
            self.either(frame, &when, |it, frame| it.block(frame, &statement.body), |_, _| Flow::Next);
            return;
        };
        for item in items.into_iter().take(ROUNDS) {
            let round = |it: &mut Self, frame: &mut Frame| {
                it.assign(frame, &statement.target, &item.value);
                it.block(frame, &statement.body);
                Flow::Next
            };
            self.either(frame, &item.when, round, |_, _| Flow::Next);
            frame.path = path.clone();
        }
    }

    pub(super) fn note(&mut self, frame: &Frame, callee: &Rc<str>, call: &V) {
        self.effects.push(Effect { callee: callee.clone(), call: call.clone(), when: frame.path.clone() });
    }
}

/// The dotted name of an expression that is one, of a call the called name.
pub(super) fn dotted(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Name(name) => Some(name.id.to_string()),
        Expr::Attribute(inner) => Some(format!("{}.{}", dotted(&inner.value)?, inner.attr)),
        Expr::Call(inner) => dotted(&inner.func),
        _ => None,
    }
}

/// Does it ask whether a file is there?
fn asks_for_file(test: &Expr) -> bool {
    let asked = |name: &str| matches!(name, "exists" | "isfile" | "is_file" | "find_spec");
    match test {
        Expr::Call(call) => match &*call.func {
            Expr::Attribute(function) => asked(&function.attr),
            Expr::Name(name) => asked(&name.id),
            _ => false,
        },
        Expr::BoolOp(inner) => inner.values.iter().any(asks_for_file),
        _ => false,
    }
}

fn join(when: &Condition, one: &Scope, other: Scope) -> Scope {
    let mut all = other;
    for (name, value) in one {
        let value = match all.get(name) {
            Some(known) if Rc::ptr_eq(known, value) => continue,
            Some(known) => joined(when, value, known),
            // Read only where it was set, or the program would fail.
            None => Value::new(Kind::Choice(vec![Guarded { when: when.clone(), value: value.clone() }]), &value.place),
        };
        all.insert(name.clone(), value);
    }
    let only = all.iter_mut().filter(|(name, _)| !one.contains_key(*name));
    for (_, value) in only {
        *value = Value::new(Kind::Choice(vec![Guarded { when: when.not(), value: value.clone() }]), &value.place);
    }
    all
}

/// A variable that must be set, where an error handler gives the value that it has otherwise.
fn defaulted(tried: &Scope, handled: &Scope) -> Scope {
    let with_default = |(name, value): (&Rc<str>, &V)| match (&value.kind, handled.get(name)) {
        (Kind::Outer(outer @ Outer { default: None, .. }), Some(default)) if default != value => {
            let outer = Outer { default: Some(default.clone()), ..outer.clone() };
            (name.clone(), Value::new(Kind::Outer(outer), &value.place))
        }
        _ => (name.clone(), value.clone()),
    };
    tried.iter().map(with_default).collect()
}
