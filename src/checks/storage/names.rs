//! Are static files' addresses fit for long caching: a hash in the name, and no signature behind it?

use serde::Deserialize;

use super::{FILES, Files, judge_each, look};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};

/// `storage.static-hashed`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Hashed {
    /// Files looked at, at most.
    files: usize,
}

impl Default for Hashed {
    fn default() -> Self {
        Self { files: FILES }
    }
}

impl Check for Hashed {
    const ID: &'static str = "storage.static-hashed";
    const TITLE: &'static str = "static files carry their content's hash in their name";
    const ABOUT: &'static str = "Reads the names of all files that the public pages and their styles need: each must hold a hash of the \
        content (Django's 12 hex digits, or a bundler's), so that a new version has a new address and long caching is safe. Traps: \
        ?v=1 behind a name (many caches keep one copy whatever the query says), version numbers, sizes and words that look like \
        a hash, pages with hashes whose styles refer to plain names.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://docs.djangoproject.com/en/5.2/ref/contrib/staticfiles/#manifeststaticfilesstorage",
        "https://django-storages.readthedocs.io/en/latest/backends/amazon-S3.html",
    ];
    type Facts = Files;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Files, Missing> {
        look(ctx, self.files).await
    }

    fn judge(&self, files: &Files) -> CheckOutcome {
        judge_each(&files.files, |file| {
            let path = &file.trail.path;
            if hashed(path) {
                return None;
            }
            let seen = if file.query {
                format!("{path} has its version only behind the name (?…): the name itself never changes")
            } else {
                format!("{path} has no hash in its name")
            };
            let todo = "use a manifest storage for STORAGES[\"staticfiles\"] (S3ManifestStaticStorage, ManifestStaticFilesStorage), run \
                 collectstatic, and refer to files by {% static %} in templates and by relative url() in styles"
                .to_owned();
            Some(Finding { seen, todo })
        })
    }
}

/// `storage.static-unsigned`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Unsigned {
    /// Files looked at, at most.
    files: usize,
}

impl Default for Unsigned {
    fn default() -> Self {
        Self { files: FILES }
    }
}

impl Check for Unsigned {
    const ID: &'static str = "storage.static-unsigned";
    const TITLE: &'static str = "static files have plain addresses without a signature";
    const ABOUT: &'static str = "Looks for a signature in the address of every file that the public pages and their styles need (S3's old and \
        new form, CloudFront, Google, Azure). A signed address changes from page to page, so no cache ever hits, and it ends: \
        a page kept longer than that shows nothing. Traps: querystring_auth is on by default in django-storages, and a signature \
        that lasts long is one all the same.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://django-storages.readthedocs.io/en/latest/backends/amazon-S3.html",
        "https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html",
    ];
    type Facts = Files;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Files, Missing> {
        look(ctx, self.files).await
    }

    fn judge(&self, files: &Files) -> CheckOutcome {
        judge_each(&files.files, |file| {
            let by = file.signed_by.as_ref()?;
            Some(Finding {
                seen: format!(
                    "{} has a signature in its address ({by}=…): it changes, and no cache hits",
                    file.trail.path
                ),
                todo: format!(
                    "set querystring_auth to False in the OPTIONS of STORAGES[\"staticfiles\"], let anyone read (not list) what lies \
                     there, and put {} behind the edge",
                    file.host
                ),
            })
        })
    }
}

/// True for a query parameter that signs an address.
pub(super) fn signs(name: &str) -> bool {
    const SIGNATURES: [&str; 5] = ["x-amz-signature", "signature", "x-goog-signature", "sig", "x-oss-signature"];
    SIGNATURES.contains(&name.to_ascii_lowercase().as_str())
}

/// True when a file's name, or a folder above it, holds a hash.
pub(super) fn hashed(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    let in_name =
        name.rsplit_once('.').is_some_and(|(stem, _)| stem.split('.').any(|part| django(part) || bundler(part)));
    // A folder named after its build or its content changes all addresses below it.
    in_name || parts.any(|folder| (12..=64).contains(&folder.len()) && hex(folder))
}

/// Django's: exactly 12 hex digits between dots.
fn django(part: &str) -> bool {
    part.len() == 12 && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Hex with digits and letters: a word has no digit, a number no letter.
fn hex(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_hexdigit())
        && part.bytes().any(|b| b.is_ascii_digit())
        && part.bytes().any(|b| b.is_ascii_alphabetic())
}

/// A bundler's, alone or after a last dash: `3fk29aq2`, `app-0a1b2c3d4e`, `index-B3fk_9Aq`. The alphabets of Vite and
/// esbuild hold dashes and underlines, so their 8 and 10 letters are counted from the end.
fn bundler(part: &str) -> bool {
    let last = part.rsplit(['-', '_']).next().unwrap_or(part);
    let counted = |n: usize| {
        let at = part.len().checked_sub(n)?;
        (at == 0 || matches!(part.as_bytes()[at - 1], b'-' | b'_' | b'~')).then(|| &part[at..])
    };
    let random = |token: &str| matches!(token.len(), 8 | 10 | 16 | 20 | 22 | 32 | 43) && scrambled(token);
    part.is_ascii()
        && ((8..=64).contains(&last.len()) && hex(last)
            || random(last)
            || [8, 10].into_iter().filter_map(counted).any(scrambled))
}

/// True when nobody wrote this as a name, a number, a size or a version: digits stand between letters, or letters change
/// their case as no name does.
fn scrambled(token: &str) -> bool {
    let bytes = token.as_bytes();
    let (digit, letter) = (|b: &u8| b.is_ascii_digit(), |b: &u8| b.is_ascii_alphabetic());
    let follows = |a: fn(&u8) -> bool, b: fn(&u8) -> bool| bytes.windows(2).any(|w| a(&w[0]) && b(&w[1]));
    let amid =
        follows(u8::is_ascii_alphabetic, u8::is_ascii_digit) && follows(u8::is_ascii_digit, u8::is_ascii_alphabetic);
    let size = token.split_once('x').is_some_and(|(a, b)| a.bytes().chain(b.bytes()).all(|b| digit(&b)));
    let plain = bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let digits = bytes.iter().filter(|b| digit(b)).count();
    let named = token.split(|c: char| !c.is_ascii_alphabetic()).all(named);
    plain && bytes.iter().any(letter) && !size && ((digits >= 2 && amid) || !named)
}

/// True for letters as people write them: all small, all capital, or CamelCase of words of three letters and more.
fn named(letters: &str) -> bool {
    let capital = |c: char| c.is_ascii_uppercase();
    if !letters.contains(capital) || letters.chars().all(capital) {
        return true;
    }
    let (first, rest) = letters.split_at(letters.find(capital).unwrap_or_default());
    let mut words = rest.split(capital).skip(1);
    first.len() != 1 && words.all(|after| after.len() >= 2)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{KEEP, file, files, trail};
    use super::*;

    #[test]
    fn hashes_are_told_from_words_numbers_and_sizes() {
        for name in [
            "app.cc0c0de151bf.css",
            "app.123456789012.css",
            "img/logo.deadbeefcafe.svg",
            "index-B3fk_9Aq2x.js",
            "index-B3fk_9Aq.js",
            "index-DiwRgtdA.js",
            "main.0a1b2c3d.chunk.js",
            "3fa29ac2b1d4e5f6.woff2",
            "chunk-6WOQ3KXZ.js",
            "main-0a1b2c3d4e5f60718293.js",
            "CACHE/css/output.3f2a9c1b2d3e.css",
        ] {
            assert!(hashed(&format!("/static/{name}")), "{name}");
        }
        assert!(hashed("/static/3f2a9c1b2d3e/app.js") && hashed("/s/0a1b2c3d4e5f60718293a4b5c6d7e8f901234567/app.css"));
        for name in [
            "app.css",
            "theme-bootstrap.css",
            "jquery-3.7.1.min.js",
            "bootstrap5.min.css",
            "roboto-v30-latin-regular.woff2",
            "OpenSans-SemiBold.woff2",
            "icon-1024x1024.png",
            "photo-20240115.jpg",
            "fontawesome6free.css",
            "Roboto-Condensed.woff2",
            "roboto-lat-bold.woff2",
            "FontAwesome.woff2",
            "main-DarkMode.css",
            "app.min.js",
            "v2.bundle.js",
            "deadbeef",
            "noise.deadbeef.css",
        ] {
            assert!(!hashed(&format!("/static/{name}")), "{name}");
        }
    }

    #[test]
    fn hashed_traps() {
        let check = Hashed::default();
        let judge = |address: &str| check.judge(&Files { files: vec![file(address)] });
        assert_eq!(judge("https://s.test/static/a.cc0c0de151bf.css").word(), "pass");
        assert_eq!(judge("https://s.test/static/f.cc0c0de151bf.eot?").word(), "pass");
        assert_eq!(judge("https://s.test/static/a.css").word(), "fail");
        // Only behind the name; even a hash is no use there.
        for query in ["v=1", "v=cc0c0de151bf"] {
            let outcome = judge(&format!("https://s.test/static/a.css?{query}"));
            assert_eq!(outcome.word(), "fail", "{query}");
            assert!(outcome.seen().contains("behind the name"), "{}", outcome.seen());
        }
        assert_eq!(check.judge(&files(vec![])).word(), "unknown");
        // Hashed pages, and a style that refers to a plain name.
        let one_of_two = files(vec![trail("/static/a.cc0c0de151bf.css", KEEP), trail("/static/img/b.svg", KEEP)]);
        assert_eq!(check.judge(&one_of_two).word(), "fail");
    }

    #[test]
    fn unsigned_traps() {
        let check = Unsigned::default();
        let judge = |address: &str| check.judge(&Files { files: vec![file(address)] }).word();
        assert_eq!(judge("https://s.test/static/a.cc0c0de151bf.css"), "pass");
        assert_eq!(judge("https://s.test/static/a.css?v=1"), "pass");
        for query in [
            "X-Amz-Expires=604800&X-Amz-Signature=0",
            "AWSAccessKeyId=A&Signature=s&Expires=4102444800",
            "Expires=1&Signature=s&Key-Pair-Id=K",
            "X-Goog-Signature=0",
            "sv=2024&sig=x",
        ] {
            assert_eq!(judge(&format!("https://s.test/static/a.cc0c0de151bf.css?{query}")), "fail", "{query}");
        }
        assert_eq!(check.judge(&files(vec![])).word(), "unknown");
    }
}
