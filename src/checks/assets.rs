//! The files that the site's public pages need, as the checks of step 2 look at them. Looks, does not judge.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt};
use url::Url;

use crate::domain::check::Missing;
use crate::probes::http::assets::{Asset, Kind, bare_bucket, cdn_alias, in_style, on_page, same_site};

use super::Context;

/// Pages read, at most.
const PAGES: usize = 5;
/// Style sheets looked into, at most; those that they import count.
const STYLES: usize = 8;
/// Files asked for at the same time: as many as a browser would.
const ABREAST: usize = 6;

/// Some questions at a time; the answers in the questions' order.
pub async fn abreast<T>(questions: Vec<impl Future<Output = T>>) -> Vec<T> {
    stream::iter(questions).buffered(ABREAST).collect().await
}

/// The site's own static files, at most `limit` of them, each kind among them. Whose a file is, names can only guess:
/// it is the site's when it lies below the site's name, in a bucket, or in the corner of a CDN where the site's styles
/// lie. Photos that users uploaded are not static: only images below the same folder as scripts and styles count.
///
/// # Errors
/// When a page does not answer, or none of them needs a file of the site.
pub async fn static_files(ctx: &Context<'_>, limit: usize) -> Result<Vec<Asset>, Missing> {
    let http = &ctx.probes.http;
    let pages = &ctx.probes.site.public_pages;
    let mut found: Vec<Asset> = Vec::new();
    let answers = abreast(pages.iter().take(PAGES).map(|page| http.get(page).send()).collect()).await;
    for (answer, page) in answers.into_iter().zip(pages) {
        let answer = answer?;
        if answer.status != 200 {
            let place = answer.header("location").map_or_else(String::new, |to| format!(" and leads to {to}"));
            return Err(Missing::new(
                format!("the public page {page} answers {}{place}", answer.status),
                "name pages that anyone may see in rampup.toml: [site] public_pages",
            ));
        }
        found.extend(on_page(&answer.text(), &answer.url));
    }
    let corners: BTreeSet<_> =
        found.iter().filter(|a| a.kind == Kind::Style && cdn_alias(&a.url)).filter_map(corner).collect();
    let own = |asset: &Asset| {
        same_site(&asset.url, http.base())
            || bare_bucket(&asset.url)
            || corner(asset).is_some_and(|c| corners.contains(&c))
    };
    found.retain(own);
    // What a sheet imports is found on the way and read in its turn.
    let mut sheets: BTreeSet<Url> = BTreeSet::new();
    let next = |found: &[Asset], read: &BTreeSet<Url>| {
        found.iter().find(|a| a.kind == Kind::Style && !read.contains(&a.url)).map(|a| a.url.clone())
    };
    while let Some(sheet) = next(&found, &sheets).filter(|_| sheets.len() < STYLES) {
        let answer = http.ask(reqwest::Method::GET, Ok(sheet.clone())).send().await?;
        found.extend(in_style(&answer.text(), &sheet).into_iter().filter(own));
        sheets.insert(sheet);
    }
    let files = chosen(found, limit);
    if files.is_empty() {
        let pages = if pages.is_empty() { "no page".to_owned() } else { pages.join(", ") };
        return Err(Missing::new(
            format!("no script, style or image of the site was found on {pages}"),
            "name public pages that use static files in rampup.toml: [site] public_pages",
        ));
    }
    Ok(files)
}

fn corner(asset: &Asset) -> Option<String> {
    asset.url.host_str().map(str::to_owned)
}

fn chosen(found: Vec<Asset>, limit: usize) -> Vec<Asset> {
    let folder = |a: &Asset| {
        (a.url.host_str().map(str::to_owned), a.url.path_segments().and_then(|mut s| s.next()).map(str::to_owned))
    };
    let folders: BTreeSet<_> = found.iter().filter(|a| a.kind != Kind::Image).map(folder).collect();
    let mut distinct: Vec<Asset> = Vec::new();
    for asset in found {
        if (folders.is_empty() || folders.contains(&folder(&asset))) && !distinct.iter().any(|a| a.url == asset.url) {
            distinct.push(asset);
        }
    }
    // One kind after the other, in turns: a limit must not leave the images out.
    let mut turns: Vec<(usize, Kind, Asset)> = Vec::new();
    for asset in distinct {
        let turn = turns.iter().filter(|(_, kind, _)| *kind == asset.kind).count();
        turns.push((turn, asset.kind, asset));
    }
    turns.sort_by_key(|(turn, kind, _)| (*turn, *kind));
    turns.into_iter().map(|(_, _, asset)| asset).take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(path: &str, kind: Kind) -> Asset {
        Asset { url: url::Url::parse("https://shop.test").unwrap().join(path).unwrap(), kind }
    }

    #[test]
    fn every_kind_is_among_the_chosen_and_photos_are_not() {
        let found = vec![
            asset("/static/a.js", Kind::Script),
            asset("/static/b.js", Kind::Script),
            asset("/static/a.css", Kind::Style),
            asset("/static/i.svg", Kind::InStyle),
            asset("/static/logo.svg", Kind::Image),
            asset("/media/photo.jpg", Kind::Image),
            asset("/static/a.js", Kind::Script),
        ];
        let names: Vec<_> = chosen(found, 4).into_iter().map(|a| a.url.path().to_owned()).collect();
        assert_eq!(names, ["/static/a.js", "/static/a.css", "/static/logo.svg", "/static/i.svg"]);
    }
}
