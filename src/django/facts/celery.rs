//! What Celery is told by `config_from_object`: a module or class of its own names, or settings under a prefix that need
//! not be `CELERY`.

use super::Project;
use crate::django::mentions::Mention;
use crate::django::value::{Kind, Place, V, Value};

const UNFOLLOWED: &str = "what Celery reads is not followed";

impl Project<'_> {
    /// What one of Celery's names is where it is told to read it; not known where what it reads is not followed.
    pub fn celery(&mut self, name: &str) -> Option<V> {
        let told: Vec<Mention> =
            self.mentions.iter().filter(|mention| mention.name() == "config_from_object").cloned().collect();
        let found: Vec<V> = told.iter().filter_map(|mention| self.configured(mention, name)).collect();
        found.iter().find(|value| !matches!(value.kind, Kind::Unknown(_))).or(found.first()).cloned()
    }

    fn configured(&mut self, told: &Mention, name: &str) -> Option<V> {
        let effect = self.code.effect_at(&told.place, "config_from_object");
        let call = effect.map(|effect| effect.call);
        let Some(Kind::Call { args, named, .. }) = call.as_ref().map(|call| &call.kind) else {
            // In code that is not followed, only what is written out is known.
            return match &told.first {
                Some(object) => self.named(object, name, &told.place),
                None => Some(Value::unknown(UNFOLLOWED, &told.place)),
            };
        };
        let given = |name: &str, at: usize| {
            named.iter().find(|(known, _)| &**known == name).map(|(_, value)| value).or_else(|| args.get(at))
        };
        let wanted = match given("namespace", 3).map(|prefix| &prefix.kind) {
            None | Some(Kind::Null) => name.to_owned(),
            Some(Kind::Text(prefix)) if prefix.is_empty() => name.to_owned(),
            Some(Kind::Text(prefix)) => format!("{}_{name}", prefix.trim_end_matches('_')).to_uppercase(),
            Some(_) => return Some(Value::unknown(UNFOLLOWED, &told.place)),
        };
        match given("obj", 0).map(|object| &object.kind) {
            Some(Kind::Text(object) | Kind::Named(object)) => self.named(object, &wanted, &told.place),
            Some(Kind::Dict(_)) => Some(given("obj", 0)?.entry(&wanted)?.value),
            Some(Kind::Class(class) | Kind::Instance(class)) => self.code.class_attribute(class, &wanted),
            _ => Some(Value::unknown(UNFOLLOWED, &told.place)),
        }
    }

    /// A name of the settings, of a module, or of a class, as Celery takes their names: `package.module:Class`.
    fn named(&mut self, object: &str, name: &str, place: &Place) -> Option<V> {
        let object = object.replace(':', ".");
        if object == "django.conf.settings" {
            return self.setting(name);
        }
        let is_class = |value: V| matches!(value.kind, Kind::Class(_));
        if self.code.module_named(&object).is_none() && !is_class(self.code.named(&object, place)) {
            return Some(Value::unknown(UNFOLLOWED, place));
        }
        let dotted = format!("{object}.{name}");
        Some(self.code.named(&dotted, place))
            .filter(|found| !matches!(&found.kind, Kind::Named(same) if **same == *dotted))
    }
}
