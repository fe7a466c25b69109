//! Expressions: what each stands for, as far as the text alone tells.

use ruff_python_ast::{
    BoolOp, Expr, ExprBoolOp, ExprDict, ExprFString, FStringPart, InterpolatedStringElement, Number, UnaryOp,
};

use super::assign::{put, put_keyed};
use super::{Evaluator, Frame, readers};
use crate::django::condition::Condition;
use crate::django::value::{Guarded, Kind, Outer, Pair, Place, REST, TEXT, V, Value, choice};

impl Evaluator<'_> {
    pub(super) fn eval(&mut self, frame: &mut Frame, expression: &Expr) -> V {
        if !self.may_go_on() {
            return frame.unknown("the project is too large or too nested to be followed here", expression);
        }
        self.deeper(|it| it.expression(frame, expression))
    }

    fn expression(&mut self, frame: &mut Frame, expression: &Expr) -> V {
        let place = frame.place(expression);
        let value = |kind| Value::new(kind, &place);
        match expression {
            Expr::NoneLiteral(_) => value(Kind::Null),
            Expr::BooleanLiteral(inner) => value(Kind::Bool(inner.value)),
            Expr::NumberLiteral(inner) => value(match &inner.value {
                Number::Int(number) => number.as_i64().map_or(Kind::Float(f64::INFINITY), Kind::Int),
                Number::Float(number) => Kind::Float(*number),
                Number::Complex { real, .. } => Kind::Float(*real),
            }),
            Expr::StringLiteral(inner) => value(Kind::Text(inner.value.to_str().into())),
            Expr::FString(inner) => self.formatted(frame, inner, &place),
            Expr::List(inner) => self.list(frame, &inner.elts, &place),
            Expr::Tuple(inner) => self.list(frame, &inner.elts, &place),
            Expr::Set(inner) => self.list(frame, &inner.elts, &place),
            Expr::Dict(inner) => self.dict(frame, inner, &place),
            Expr::Name(inner) => self.name(frame, &inner.id, &place),
            Expr::Attribute(inner) => {
                let base = self.eval(frame, &inner.value);
                self.attribute(frame, &base, &inner.attr, &place)
            }
            Expr::Subscript(inner) => self.subscript(frame, inner, &place),
            Expr::Call(inner) => self.call(frame, inner, &place),
            Expr::If(inner) => {
                let test = self.eval(frame, &inner.test);
                let when = self.truth(&test);
                let (yes, no) = (self.eval(frame, &inner.body), self.eval(frame, &inner.orelse));
                let ways = vec![Guarded { when: when.clone(), value: yes }, Guarded { when: when.not(), value: no }];
                choice(ways, &place).unwrap_or_else(|| value(Kind::Null))
            }
            Expr::BoolOp(inner) => self.bool_operation(frame, inner, &place),
            Expr::UnaryOp(inner) => {
                let operand = self.eval(frame, &inner.operand);
                match (inner.op, &operand.kind) {
                    (UnaryOp::Not, _) => value(logic(self.truth(&operand).not())),
                    (UnaryOp::USub, Kind::Int(number)) => value(Kind::Int(number.saturating_neg())),
                    _ => operand,
                }
            }
            Expr::BinOp(inner) => {
                let (left, right) = (self.eval(frame, &inner.left), self.eval(frame, &inner.right));
                self.operated(&left, inner.op, &right, &place)
            }
            Expr::Compare(inner) => {
                let mut left = self.eval(frame, &inner.left);
                let mut when = Condition::Always;
                for (operator, right) in inner.ops.iter().zip(&inner.comparators) {
                    let right = self.eval(frame, right);
                    when = when.and(&self.compared(&left, *operator, &right));
                    left = right;
                }
                value(logic(when))
            }
            Expr::Named(inner) => {
                let value = self.eval(frame, &inner.value);
                self.assign(frame, &inner.target, &value);
                value
            }
            Expr::ListComp(inner) => self.comprehension(frame, &inner.elt, &inner.generators, &place),
            Expr::SetComp(inner) => self.comprehension(frame, &inner.elt, &inner.generators, &place),
            Expr::Generator(inner) => self.comprehension(frame, &inner.elt, &inner.generators, &place),
            Expr::DictComp(inner) => {
                let mut pairs = Vec::new();
                let made = self.rounds(frame, &inner.generators, &Condition::Always, &mut |it, frame, when| {
                    let key = inner.key.as_ref().map(|key| it.eval(frame, key));
                    let held = Guarded { when: when.clone(), value: it.eval(frame, &inner.value) };
                    key.into_iter().for_each(|key| put_keyed(&mut pairs, &key, &held));
                });
                if made { value(Kind::Dict(pairs)) } else { frame.unknown("made of something unknown", expression) }
            }
            Expr::Starred(inner) => self.eval(frame, &inner.value),
            Expr::Await(inner) => self.eval(frame, &inner.value),
            Expr::Lambda(_) => value(Kind::Named("lambda".into())),
            Expr::BytesLiteral(_)
            | Expr::EllipsisLiteral(_)
            | Expr::TString(_)
            | Expr::Slice(_)
            | Expr::Yield(_)
            | Expr::YieldFrom(_)
            | Expr::IpyEscapeCommand(_) => frame.unknown("an expression that is not followed", expression),
        }
    }

    fn name(&mut self, frame: &Frame, name: &str, place: &Place) -> V {
        match frame.get(name) {
            Some(value) => self.resolved(&value.clone()),
            None if name == "__name__" => Value::new(Kind::Text(frame.module.clone()), place),
            None if name == "__file__" => Value::new(Kind::Made(Vec::new()), place),
            None => Value::new(Kind::Named(name.into()), place),
        }
    }

    /// What a name of another module of the project stands for there.
    pub(super) fn resolved(&mut self, value: &V) -> V {
        if let Kind::Choice(ways) = &value.kind
            && ways.iter().any(|way| matches!(way.value.kind, Kind::Named(_)))
        {
            return self.each_way(value, &|it, way| it.resolved(way));
        }
        let Kind::Named(dotted) = &value.kind else { return value.clone() };
        let Some((file, rest)) = self.modules.split(dotted) else { return value.clone() };
        if rest.is_empty() || self.only.is_some_and(|word| !file.contains(word)) {
            return value.clone();
        }
        let scope = self.deeper(|it| it.may_go_on().then(|| it.module(&file)).flatten());
        let (first, more) = rest.split_once('.').unwrap_or((rest, ""));
        let Some(found) = scope.and_then(|scope| scope.get(first).cloned()) else { return value.clone() };
        // A name that leads back to itself is left as it is.
        let found = if found == *value {
            found
        } else {
            self.deeper(|it| if it.may_go_on() { it.resolved(&found) } else { found })
        };
        if more.is_empty() {
            return found;
        }
        match &found.kind {
            Kind::Class(class) => self.class_attribute(class, more).unwrap_or_else(|| value.clone()),
            _ => value.clone(),
        }
    }

    pub(super) fn attribute(&mut self, frame: &Frame, base: &V, name: &str, place: &Place) -> V {
        match &base.kind {
            Kind::Named(dotted) if &**dotted == "django.conf.settings" && self.settings.is_some() => {
                let known = self.settings.as_ref().and_then(|settings| settings.get(name).cloned());
                known.unwrap_or_else(|| Value::unknown("a setting that is not set", place))
            }
            Kind::Named(dotted) if readers::store(dotted).is_some_and(|store| store != "env") => {
                let key = Value::new(Kind::Text(name.into()), place);
                self.item(base, &key, None, place)
            }
            Kind::Named(dotted) => constant(dotted, name, place)
                .unwrap_or_else(|| self.resolved(&Value::new(Kind::Named(format!("{dotted}.{name}").into()), place))),
            Kind::Call { callee, args, .. } => {
                let callee = format!("{callee}.{name}").into();
                Value::new(Kind::Call { callee, args: args.clone(), named: Vec::new() }, place)
            }
            Kind::Own => {
                let held = frame.own.as_ref().and_then(|own| own.get(name)).cloned();
                held.unwrap_or_else(|| Value::new(Kind::Named(name.into()), place))
            }
            Kind::Class(class) | Kind::Instance(class) => {
                let class = class.clone();
                self.class_attribute(&class, name)
                    .unwrap_or_else(|| Value::new(Kind::Named(format!("{}.{name}", class.name).into()), place))
            }
            Kind::Choice(_) => self.each_way(base, &|it, way| it.attribute(frame, way, name, place)),
            _ => Value::new(Kind::Made(vec![base.clone()]), place),
        }
    }

    fn list(&mut self, frame: &mut Frame, elements: &[Expr], place: &Place) -> V {
        let mut items = Vec::new();
        for element in elements {
            let value = self.eval(frame, element);
            if element.is_starred_expr() {
                items.extend(value.items());
            } else {
                items.push(Guarded::always(value));
            }
        }
        Value::new(Kind::List(items), place)
    }

    fn dict(&mut self, frame: &mut Frame, dict: &ExprDict, place: &Place) -> V {
        let mut pairs: Vec<Pair> = Vec::new();
        for item in &dict.items {
            let value = self.eval(frame, &item.value);
            match &item.key {
                Some(key) => {
                    let key = self.eval(frame, key);
                    put_keyed(&mut pairs, &key, &Guarded::always(value));
                }
                None => spread(&mut pairs, &value),
            }
        }
        Value::new(Kind::Dict(pairs), place)
    }

    fn formatted(&mut self, frame: &mut Frame, text: &ExprFString, place: &Place) -> V {
        let mut parts = Vec::new();
        for part in text.value.iter() {
            match part {
                FStringPart::Literal(literal) => parts.push(Value::new(Kind::Text(literal.as_str().into()), place)),
                FStringPart::FString(inner) => {
                    for element in inner.elements.iter() {
                        parts.push(match element {
                            InterpolatedStringElement::Literal(literal) => {
                                Value::new(Kind::Text((*literal.value).into()), place)
                            }
                            InterpolatedStringElement::Interpolation(hole) => self.eval(frame, &hole.expression),
                        });
                    }
                }
            }
        }
        concatenated(parts, place)
    }

    fn bool_operation(&mut self, frame: &mut Frame, operation: &ExprBoolOp, place: &Place) -> V {
        let mut ways = Vec::new();
        let mut reached = Condition::Always;
        let mut logical = true;
        for (at, operand) in operation.values.iter().enumerate() {
            let value = self.eval(frame, operand);
            let truth = self.truth(&value);
            let stops = if operation.op == BoolOp::Or { truth } else { truth.not() };
            logical &= matches!(value.kind, Kind::Logic(_) | Kind::Bool(_));
            let last = at + 1 == operation.values.len();
            let when = if last { reached.clone() } else { reached.and(&stops) };
            ways.push(Guarded { when, value: value.clone() });
            reached = reached.and(&stops.not());
        }
        if logical {
            let stopped = reached.not();
            return Value::new(logic(if operation.op == BoolOp::Or { stopped } else { reached }), place);
        }
        choice(ways, place).unwrap_or_else(|| Value::new(Kind::Null, place))
    }
}

/// Text put together: one text when all of it is known.
pub(super) fn concatenated(parts: Vec<V>, place: &Place) -> V {
    let known = |part: &V| match &part.kind {
        Kind::Text(text) => Some(text.to_string()),
        Kind::Int(number) => Some(number.to_string()),
        _ => None,
    };
    // Many long texts together are weighed before they are written out.
    let length: usize = parts.iter().filter_map(|part| part.text()).map(str::len).sum();
    if length > TEXT {
        return Value::unknown("a text longer than any that is followed", place);
    }
    match parts.iter().map(known).collect::<Option<String>>() {
        Some(text) => Value::new(Kind::Text(text.into()), place),
        None => Value::new(Kind::Made(parts), place),
    }
}

pub(super) fn logic(when: Condition) -> Kind {
    match when {
        Condition::Always => Kind::Bool(true),
        Condition::Never => Kind::Bool(false),
        other => Kind::Logic(other),
    }
}

/// `**more` within a dictionary, or `update(more)`.
pub(super) fn spread(pairs: &mut Vec<Pair>, more: &V) {
    spread_where(pairs, more, &Condition::Always);
}

fn spread_where(pairs: &mut Vec<Pair>, more: &V, when: &Condition) {
    match &more.kind {
        Kind::Null => {}
        Kind::Dict(more) => more.iter().for_each(|pair| put(pairs, &pair.key, pair.held.clone().under(when))),
        Kind::Choice(ways) => ways.iter().for_each(|way| spread_where(pairs, &way.value, &when.and(&way.when))),
        Kind::List(items) => items.iter().for_each(|item| put_item(pairs, &item.clone().under(when))),
        kind => {
            // A variable that is left out is its default.
            if let Kind::Outer(Outer { default: Some(default), .. }) = kind
                && matches!(default.kind, Kind::Dict(_))
            {
                spread_where(pairs, default, when);
            }
            put(pairs, REST, Guarded { when: when.clone(), value: more.clone() });
        }
    }
}

/// One of the pairs in `dict([(key, value), …])`.
fn put_item(pairs: &mut Vec<Pair>, item: &Guarded) {
    let two = if let Kind::List(two) = &item.value.kind { two.as_slice() } else { &[] };
    match two {
        [key, value] => put_keyed(pairs, &key.value, &value.clone().under(&item.when)),
        _ => put(pairs, REST, item.clone()),
    }
}

/// What the interpreter itself says, where a web process of a server runs it.
fn constant(module: &str, name: &str, place: &Place) -> Option<V> {
    let text = |text: &str| Some(Value::new(Kind::Text(text.into()), place));
    match (module, name) {
        ("os", "name") => text("posix"),
        ("sys", "platform") => text("linux"),
        ("sys", "argv") => {
            let server = Value::new(Kind::Text("server".into()), place);
            Some(Value::new(Kind::List(vec![Guarded::always(server)]), place))
        }
        ("sys", "modules") => Some(Value::new(Kind::Dict(Vec::new()), place)),
        _ => None,
    }
}
