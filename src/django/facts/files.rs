//! Files: who answers for static ones, whether their names carry hashes, where uploads go and who sends them there.

use std::rc::Rc;

use super::{Fact, Project};
use crate::django::condition::Condition;
use crate::django::mentions::Mention;
use crate::django::value::{Guarded, Kind, Place};

/// Parts of the names of storages that keep files in an object store.
const OBJECT: [&str; 16] = [
    "storages.backends.s3",
    "s3boto",
    "S3Boto",
    "S3Storage",
    "S3Static",
    "S3Manifest",
    "gcloud",
    "GoogleCloud",
    "azure",
    "Azure",
    "cloudinary",
    "minio",
    "Minio",
    "dropbox",
    "digitalocean",
    "apache_libcloud",
];
/// Django 5.1 no longer reads `STATICFILES_STORAGE` and `DEFAULT_FILE_STORAGE`.
const ONLY_STORAGES: (u32, u32) = (5, 1);
/// Django 4.2 began to read `STORAGES`.
const FIRST_STORAGES: (u32, u32) = (4, 2);

/// The settings that named storages before `STORAGES` did.
const STATIC: &str = "STATICFILES_STORAGE";
const MEDIA: &str = "DEFAULT_FILE_STORAGE";

/// A storage that may be in effect, with all that its class is built on.
struct Storage {
    lineage: Vec<Rc<str>>,
    when: Condition,
    place: Place,
}

impl Storage {
    fn is_object(&self) -> bool {
        self.lineage.iter().any(|name| OBJECT.iter().any(|word| name.contains(word)))
    }

    fn is_hashed(&self) -> bool {
        let manifest = |name: &Rc<str>| {
            let last = name.rsplit('.').next().unwrap_or(name);
            last.contains("Manifest") || last.contains("CachedStatic") || last.contains("HashedFiles")
        };
        self.lineage.iter().any(manifest)
    }
}

/// What may name the storage of an alias, in the way that this version of Django reads it.
fn named(project: &Project<'_>, alias: &str, old: &str) -> Vec<Guarded> {
    let version = project.requirements.django();
    let mut ways = Vec::new();
    if version.is_none_or(|version| version >= FIRST_STORAGES) {
        ways = project.nested("STORAGES", &[alias, "BACKEND"]);
    }
    if ways.is_empty() && version.is_none_or(|version| version < ONLY_STORAGES) {
        ways = project.ways(old);
    }
    ways
}

/// The storages that an alias may have.
fn storages(project: &mut Project<'_>, alias: &str, old: &str) -> Vec<Storage> {
    named(project, alias, old).into_iter().filter_map(|way| storage(project, way)).collect()
}

/// `no`, where every storage that may be in effect is known, and none is what was asked for.
fn none(project: &Project<'_>, storages: &[Storage], alias: &str, old: &str) -> Fact {
    let open = |way: &Guarded| matches!(way.value.kind, Kind::Outer(_) | Kind::Made(_) | Kind::Unknown(_));
    if let Some(way) = named(project, alias, old).iter().find(|way| open(way)) {
        return Fact::unknown("a variable names the storage").at(&way.value.place);
    }
    if let Some(storage) = storages.first() {
        return project.no().at(&storage.place);
    }
    project.absent("STORAGES", &[alias], "no")
}

fn storage(project: &mut Project<'_>, way: Guarded) -> Option<Storage> {
    let place = way.value.place.clone();
    let name = match &way.value.kind {
        Kind::Text(name) | Kind::Named(name) => name.to_string(),
        Kind::Call { callee, .. } => callee.to_string(),
        Kind::Class(class) => class.name.to_string(),
        _ => return None,
    };
    let mut lineage = project.code.ancestry_of(&name, &place);
    lineage.push(name.into());
    Some(Storage { lineage, when: way.when, place })
}

/// `yes` where a storage of a kind may be in effect; the conditions of all that are count together.
fn any(storages: &[Storage], fits: impl Fn(&Storage) -> bool) -> Option<Fact> {
    let first = storages.iter().find(|one| fits(one))?;
    let when = storages.iter().filter(|one| fits(one)).fold(Condition::Never, |sum, one| sum.or(&one.when));
    let when = if when == Condition::Always { when } else { first.when.clone() };
    Some(Fact::new("yes").at(&first.place).when(&when))
}

pub(super) fn hashed(project: &mut Project<'_>) -> Fact {
    let storages = storages(project, "staticfiles", STATIC);
    any(&storages, Storage::is_hashed).unwrap_or_else(|| none(project, &storages, "staticfiles", STATIC))
}

pub(super) fn media(project: &mut Project<'_>) -> Fact {
    let storages = storages(project, "default", MEDIA);
    if let Some(fact) = any(&storages, Storage::is_object) {
        return fact;
    }
    // A field may name its own storage, whatever the default is.
    let fields: Vec<_> = project.mentions.clone();
    for field in fields {
        if field.name() == "CloudinaryField" {
            return Fact::new("yes").at(&field.place).when(&Condition::Always).detail("a field of a model");
        }
        let of_model = matches!(field.name(), "FileField" | "ImageField" | "ThumbnailerImageField");
        let Some(named) = field.given("storage").filter(|named| of_model && !named.is_empty()) else { continue };
        let value = project.code.named_in(&field.place.file, named, &field.place);
        let of_field = value.and_then(|value| storage(project, Guarded::always(value)));
        if let Some(storage) = of_field.filter(Storage::is_object) {
            return Fact::new("yes").at(&field.place).when(&storage.when).detail("a field of a model");
        }
    }
    none(project, &storages, "default", MEDIA)
}

pub(super) fn serving(project: &mut Project<'_>) -> Fact {
    let storages = storages(project, "staticfiles", STATIC);
    let stored = any(&storages, Storage::is_object).map(|fact| Fact { value: "object-storage".into(), ..fact });
    let white = project.item("MIDDLEWARE", |name| name.to_lowercase().contains("whitenoise"));
    let white = white.map(|(_, when, place)| Fact::new("whitenoise").at(&place).when(&when));
    let wrapped = || {
        let called = project.mentions.iter().find(|mention| mention.name() == "WhiteNoise");
        called.map(|mention| Fact::new("whitenoise").at(&mention.place).when(&Condition::Always))
    };
    // A proxy that the same container starts answers before the application does.
    let proxy = project.deploy.hints.iter().find(|(word, _, aside)| matches!(*word, "nginx" | "caddy") && !aside);
    let proxied = proxy.map(|(word, place, _)| Fact::new(word).at(place).when(&Condition::Always));
    let starts = |fact: &Fact| {
        let mut commands = project.deploy.commands.iter().filter(|command| !command.aside);
        commands.any(|command| command.rank == 0 && command.text.contains(fact.value.as_str()))
    };
    let before = proxied.clone().filter(starts);
    let answer = before.or(stored).or(white).or_else(wrapped).or(proxied);
    answer.unwrap_or_else(|| {
        let unknown = Fact::unknown("nothing here answers for static files; whatever stands in front of it may");
        project.setting("STATIC_URL").map_or(unknown.clone(), |url| unknown.at(&url.place))
    })
}

pub(super) fn presigned(project: &mut Project<'_>) -> Fact {
    let upload =
        |method: &str| method.starts_with("put_object") || method.starts_with("upload_part") || method == "PUT";
    let signs = |mention: &&Mention| {
        let texts = || mention.first.iter().chain(&mention.texts).map(String::as_str);
        match mention.name() {
            "generate_presigned_post" | "presigned_put_object" | "presigned_post_policy" | "get_presigned_post" => true,
            "generate_presigned_url" | "generate_signed_url" | "get_presigned_url" => texts().any(upload),
            _ => false,
        }
    };
    if let Some(mention) = project.mentions.iter().find(signs) {
        return Fact::new("yes").at(&mention.place).when(&Condition::Always);
    }
    match project.item("INSTALLED_APPS", |app| matches!(app, "s3direct" | "s3_file_field" | "s3upload" | "s3_upload")) {
        Some((name, when, place)) => Fact::new("yes").at(&place).when(&when).detail(&name),
        None => project.or_lost("no"),
    }
}
