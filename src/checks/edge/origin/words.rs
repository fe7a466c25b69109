//! What is said of an address behind the edge: how it is open, or what was seen there. Asks nothing.

use super::{Address, End, Knock, OriginFacts, Way};
use crate::domain::check::Finding;

/// What to say of an address that lets strangers in; none when it is not seen to.
pub(super) fn opened(address: &Address, facts: &OriginFacts) -> Option<Finding> {
    let past_its_rules =
        |knock: &Knock| knock.way == Way::SitesName && knock.end == End::Edge && address.edges_rules == Some(false);
    let knock = address.knocks.iter().find(|knock| knock.end == End::Page || past_its_rules(knock))?;
    let (url, path, site) = (&address.url, &knock.path, &facts.site);
    let header = facts.header.as_deref().unwrap_or("the secret header");
    let how = match knock.way {
        Way::OwnName => String::new(),
        Way::SitesName => format!(" when it is asked for under the name {site}"),
        Way::EmptyKey => format!(" when {header} is empty"),
        Way::MadeUpKey => format!(" with a made-up {header}"),
    };
    let whence = address.read_from.as_ref().map_or_else(String::new, |file| format!(" (it stands in {file})"));
    let key = match knock.way {
        Way::EmptyKey => format!(" -H '{header};'"),
        Way::MadeUpKey => format!(" -H '{header}: x'"),
        Way::OwnName | Way::SitesName => String::new(),
    };
    let show = match (knock.way, url.split_once("://")) {
        (Way::OwnName, _) => format!("curl -sI '{url}{path}'"),
        (_, Some(("https", at))) => format!("curl -skI --connect-to '::{at}:'{key} 'https://{site}{path}'"),
        _ => format!("curl -sI -H 'Host: {site}'{key} '{url}{path}'"),
    };
    let todo = match knock.way {
        Way::EmptyKey | Way::MadeUpKey => format!(
            "let the middleware compare {header} with a value that is never empty (hmac.compare_digest), refuse when the variable is \
             missing, and look that it is set in production"
        ),
        Way::OwnName | Way::SitesName => "let the edge add a secret header (Cloudflare: Transform Rules, modify request header) and a \
            middleware answer 403 without it; removing the platform's name alone does not help, as its router still leads your own \
            name to the app"
            .to_owned(),
    };
    Some(Finding {
        seen: format!(
            "{url}{whence} gives a stranger {path} past the edge{how}: no rate limit and no firewall rule protects it there"
        ),
        todo: format!("{todo}; see it: {show}"),
    })
}

/// What was seen at an address that is not open.
pub(super) fn seen(address: &Address) -> String {
    if !address.exists {
        return "its name leads nowhere".to_owned();
    }
    let word = |end: &End| match end {
        End::Page => "the page".to_owned(),
        End::Edge => "the edge itself stands there".to_owned(),
        End::Refused(status) | End::Sent(status) | End::Absent(status) => format!("status {status}"),
        End::Unclear(status) => format!("another page or a failure (status {status})"),
        End::Silent(why) | End::Slow(why) => why.clone(),
    };
    let mut words: Vec<String> = address.knocks.iter().map(|knock| word(&knock.end)).collect();
    words.dedup();
    words.join(", ")
}
