//! The paths that a project answers: its URLconf followed from `ROOT_URLCONF` through every `include`. Knows no view.

use super::condition::Condition;
use super::eval::Evaluator;
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

/// The paths of a project.
#[derive(Debug, Default)]
pub struct Routes {
    /// Those that are known, in order.
    pub known: Vec<Route>,
    /// The first place where there may be more.
    pub more: Option<Place>,
}

/// All paths of a URLconf that a setting names.
pub fn routes(evaluator: &mut Evaluator<'_>, root: &str, setting: &Place) -> Routes {
    let mut walk = Walk { evaluator, found: Routes::default() };
    let at = Route { path: String::new(), view: String::new(), when: Condition::Always, place: setting.clone() };
    walk.include(root, at, 0);
    walk.found
}

/// One walk through all that is included.
struct Walk<'w, 't> {
    evaluator: &'w mut Evaluator<'t>,
    found: Routes,
}

impl Walk<'_, '_> {
    /// There may be more here, unless production surely does not come here.
    fn more(&mut self, place: &Place, when: &Condition) {
        if self.found.more.is_none() && when.in_production() != Some(false) {
            self.found.more = Some(place.clone());
        }
    }

    /// The paths of a module, or of a list of a module, by its dotted name.
    fn include(&mut self, name: &str, at: Route, depth: usize) {
        let own = self.evaluator.module_named(name);
        let own = own.map(|scope| scope.get("urlpatterns").cloned());
        match own.or_else(|| self.listed(name).map(Some)) {
            Some(Some(patterns)) => {
                // A list that is another package's as a whole says nothing of what is in it.
                let foreign = patterns.ways().into_iter().find(|way| match &way.value.kind {
                    Kind::Named(name) => self.listed(name).is_none(),
                    _ => false,
                });
                foreign.iter().for_each(|way| self.more(&way.value.place, &at.when.and(&way.when)));
                self.all(&patterns, &at, depth + 1);
            }
            Some(None) => self.more(&at.place, &at.when),
            None => self.foreign(name, at),
        }
    }

    /// What a list of a module of the project is, by its dotted name.
    fn listed(&mut self, name: &str) -> Option<V> {
        let (module, list) = name.rsplit_once('.')?;
        self.evaluator.module_named(module)?.get(list).cloned()
    }

    /// Another package's paths: it is known that they are there, and not what they are.
    fn foreign(&mut self, name: &str, at: Route) {
        if self.evaluator.is_ours(name) && !name.ends_with("urls") {
            self.more(&at.place, &at.when);
        } else {
            self.found.known.push(Route { view: name.to_owned(), ..at });
        }
    }

    fn all(&mut self, patterns: &V, at: &Route, depth: usize) {
        if depth > INCLUDED || self.found.known.len() > ROUTES {
            return self.more(&patterns.place, &at.when);
        }
        for Guarded { when, value } in patterns.items() {
            let at = Route { when: at.when.and(&when), place: value.place.clone(), ..at.clone() };
            match &value.kind {
                Kind::Call { callee, args, named } => {
                    let second = args.get(1);
                    let view =
                        second.or_else(|| named.iter().find(|(name, _)| &**name == "view").map(|(_, view)| view));
                    self.call(callee, args, view, at, depth);
                }
                Kind::Named(name) => match (self.listed(name), name.rsplit_once('.')) {
                    (Some(list), _) => self.all(&list, &at, depth + 1),
                    // Another package's list beside others is like what it includes.
                    (None, Some((module, _))) if !self.evaluator.is_ours(module) => {}
                    (None, _) => self.more(&at.place, &at.when),
                },
                Kind::Made(parts) if !parts.is_empty() && parts.iter().all(is_routed) => {}
                Kind::Unknown(_) | Kind::Made(_) | Kind::Outer(_) | Kind::Choice(_) => self.more(&at.place, &at.when),
                _ => {}
            }
        }
    }

    fn call(&mut self, callee: &str, args: &[V], view: Option<&V>, at: Route, depth: usize) {
        let own = args.first().map_or_else(String::new, written);
        match callee.rsplit('.').next().unwrap_or_default() {
            kind @ ("path" | "re_path" | "url") => {
                let path = format!("{}{}", at.path, if kind == "path" { own } else { plain(&own) });
                view.into_iter().for_each(|view| self.lead(view, Route { path: path.clone(), ..at.clone() }, depth));
            }
            "i18n_patterns" | "patterns" | "format_suffix_patterns" => {
                for inner in args {
                    let list = Value::new(Kind::List(inner.items()), &at.place);
                    self.all(&list, &at, depth + 1);
                }
            }
            // Files for developers, and what routers and their like make of views.
            "static" | "staticfiles_urlpatterns" | "debug_toolbar_urls" | "urls" => {}
            _ => self.more(&at.place, &at.when),
        }
    }

    /// Follows what stands behind a path.
    fn lead(&mut self, view: &V, at: Route, depth: usize) {
        match &view.kind {
            Kind::Call { callee, args, .. } if callee.ends_with("include") => match args.first() {
                Some(inner) => self.included(inner, at, depth),
                None => self.more(&at.place, &at.when),
            },
            Kind::Call { callee, args, .. } => {
                self.found.known.push(Route { view: callee.to_string(), ..at.clone() });
                // `cache_page(60)(view)`, `csrf_exempt(view)`: what is wrapped answers.
                args.iter().filter(|arg| matches!(arg.kind, Kind::Named(_) | Kind::Call { .. })).for_each(|arg| {
                    if depth < INCLUDED {
                        self.lead(arg, at.clone(), depth + 1);
                    }
                });
            }
            Kind::Named(name) => self.found.known.push(Route { view: name.to_string(), ..at }),
            Kind::Class(class) | Kind::Instance(class) => {
                self.found.known.push(Route { view: class.name.to_string(), ..at });
            }
            Kind::Function(function) => self.found.known.push(Route { view: function.def.name.to_string(), ..at }),
            Kind::List(_) => self.included(view, at, depth),
            Kind::Choice(ways) => ways.iter().for_each(|way| {
                self.lead(&way.value, Route { when: at.when.and(&way.when), ..at.clone() }, depth);
            }),
            _ => self.found.known.push(at),
        }
    }

    /// What `include` is given: a module, a list, or a pair of one of these and a name.
    fn included(&mut self, inner: &V, at: Route, depth: usize) {
        match &inner.kind {
            Kind::Text(name) | Kind::Named(name) => self.include(name, at, depth),
            Kind::List(items) => {
                let named = items.get(1).is_some_and(|second| second.value.text().is_some());
                match items.first().filter(|first| named || matches!(first.value.kind, Kind::List(_) | Kind::Text(_))) {
                    Some(first) if depth < INCLUDED => self.included(&first.value, at, depth + 1),
                    _ => self.all(inner, &at, depth + 1),
                }
            }
            Kind::Choice(ways) => ways.iter().for_each(|way| {
                self.included(&way.value, Route { when: at.when.and(&way.when), ..at.clone() }, depth);
            }),
            _ if is_routed(inner) => {}
            _ => self.more(&inner.place, &at.when),
        }
    }
}

/// Is it what a router or its like makes of views?
fn is_routed(list: &V) -> bool {
    matches!(&list.kind, Kind::Call { callee, .. } if callee.ends_with(".urls"))
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
