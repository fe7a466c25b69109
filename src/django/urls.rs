//! The paths that a project answers: its URLconf followed from `ROOT_URLCONF` through every `include`. Knows no view.

use std::rc::Rc;

use super::condition::Condition;
use super::eval::{Evaluator, Scope};
use super::value::{Guarded, Kind, Place, V, Value};

/// Files within files.
const INCLUDED: usize = 8;
/// Paths kept.
const ROUTES: usize = 20_000;

/// One path.
#[derive(Debug, Clone)]
pub struct Route {
    /// The path as Django matches it, without regular expressions' ends.
    pub path: String,
    /// What answers: the dotted name of a view, or of a module of paths that was not followed.
    pub view: String,
    /// When it is there.
    pub when: Condition,
    /// Where.
    pub place: Place,
}

impl Route {
    /// True when nothing in the path varies.
    pub fn is_fixed(&self) -> bool {
        !self.path.contains(['<', '(', '[', '\\', '*', '+', '{'])
    }
}

/// All paths of a URLconf, in order.
pub fn routes(evaluator: &mut Evaluator<'_>, root: &str) -> Vec<Route> {
    let mut found = Vec::new();
    let scope = evaluator.module_named(root);
    walk_module(evaluator, scope, "", &Condition::Always, 0, &mut found);
    found
}

fn walk_module(
    evaluator: &mut Evaluator<'_>,
    scope: Option<Rc<Scope>>,
    prefix: &str,
    when: &Condition,
    depth: usize,
    found: &mut Vec<Route>,
) {
    if let Some(patterns) = scope.as_ref().and_then(|scope| scope.get("urlpatterns")) {
        walk(evaluator, patterns, prefix, when, depth, found);
    }
}

fn walk(
    evaluator: &mut Evaluator<'_>,
    patterns: &V,
    prefix: &str,
    when: &Condition,
    depth: usize,
    found: &mut Vec<Route>,
) {
    if depth > INCLUDED || found.len() > ROUTES {
        return;
    }
    for Guarded { when: there, value } in patterns.items() {
        let when = when.and(&there);
        let Kind::Call { callee, args, named } = &value.kind else { continue };
        let second = args.get(1).or_else(|| named.iter().find(|(name, _)| &**name == "view").map(|(_, view)| view));
        let own = args.first().map_or_else(String::new, written);
        match callee.rsplit('.').next().unwrap_or_default() {
            kind @ ("path" | "re_path" | "url") => {
                let path = format!("{prefix}{}", if kind == "path" { own } else { plain(&own) });
                let Some(view) = second else { continue };
                lead(
                    evaluator,
                    view,
                    Route { path, view: String::new(), when, place: value.place.clone() },
                    depth,
                    found,
                );
            }
            "i18n_patterns" => {
                let inner = Kind::List(args.iter().cloned().map(Guarded::always).collect());
                walk(evaluator, &Value::new(inner, &value.place), prefix, &when, depth + 1, found);
            }
            _ => {}
        }
    }
}

/// What a simple regular expression matches.
fn plain(expression: &str) -> String {
    let bare = expression.trim_start_matches('^').trim_end_matches('$').trim_end_matches("\\Z");
    bare.strip_suffix("/?")
        .map_or_else(|| bare.to_owned(), |bare| format!("{bare}/"))
        .replace("\\.", ".")
        .replace("\\-", "-")
}

/// A path as text: of what depends, what is known; `{}` for what is not.
fn written(path: &V) -> String {
    match &path.kind {
        Kind::Text(text) => text.to_string(),
        Kind::Made(parts) => parts.iter().map(written).collect(),
        Kind::Choice(ways) => {
            let mut texts = ways.iter().map(|way| written(&way.value));
            texts.find(|text| !text.contains("{}")).unwrap_or_else(|| "{}".to_owned())
        }
        Kind::Outer(outer) => outer.default.as_ref().map_or_else(|| "{}".to_owned(), written),
        // `_("about/")`: the text in the language it was written in.
        Kind::Call { callee, args, .. } if callee.contains("gettext") && args.len() == 1 => written(&args[0]),
        _ => "{}".to_owned(),
    }
}

/// Follows what stands behind a path.
fn lead(evaluator: &mut Evaluator<'_>, view: &V, route: Route, depth: usize, found: &mut Vec<Route>) {
    match &view.kind {
        Kind::Call { callee, args, .. } if callee.ends_with("include") => {
            let Some(inner) = args.first() else { return };
            match &inner.kind {
                Kind::Text(module) => include(evaluator, module, route, depth, found),
                Kind::Named(module) => include(evaluator, module, route, depth, found),
                Kind::List(items) => {
                    // A list of paths, or a pair of one and a name.
                    let paths = items.first().filter(|first| matches!(first.value.kind, Kind::List(_)));
                    let paths = paths.map_or(inner, |first| &first.value).clone();
                    walk(evaluator, &paths, &route.path, &route.when, depth + 1, found);
                    if let Some(Kind::Text(module)) = items.first().map(|first| &first.value.kind) {
                        include(evaluator, module, route, depth, found);
                    }
                }
                _ => {}
            }
        }
        Kind::Call { callee, args, .. } => {
            found.push(Route { view: callee.to_string(), ..route.clone() });
            // `cache_page(60)(view)`, `csrf_exempt(view)`: what is wrapped answers.
            args.iter().filter(|arg| matches!(arg.kind, Kind::Named(_) | Kind::Call { .. })).for_each(|arg| {
                if depth < INCLUDED {
                    lead(evaluator, arg, route.clone(), depth + 1, found);
                }
            });
        }
        Kind::Named(name) => found.push(Route { view: name.to_string(), ..route }),
        Kind::Class(class) | Kind::Instance(class) => found.push(Route { view: class.name.to_string(), ..route }),
        Kind::Function(function) => found.push(Route { view: function.def.name.to_string(), ..route }),
        Kind::List(_) => walk(evaluator, view, &route.path, &route.when, depth + 1, found),
        _ => found.push(route),
    }
}

fn include(evaluator: &mut Evaluator<'_>, module: &str, route: Route, depth: usize, found: &mut Vec<Route>) {
    match evaluator.module_named(module) {
        Some(scope) if depth < INCLUDED => {
            walk_module(evaluator, Some(scope), &route.path, &route.when, depth + 1, found)
        }
        _ => found.push(Route { view: module.to_owned(), ..route }),
    }
}
