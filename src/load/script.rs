//! The flows made ready: texts parsed, selectors compiled, endpoints numbered, users cast. All that can be refused
//! is refused here, before the first request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use scraper::Selector;

use super::LoadError;
use super::template::{Filling, Template};
use crate::domain::flow::{self, Extract, Flow, FlowStep, Json, Login, Mix, Think, Upload};
use crate::domain::plan::GUESSED_LATENCY;
use crate::domain::secret::Secret;

/// Everything that users play.
#[derive(Debug)]
pub(super) struct Script {
    /// The journeys.
    pub plays: Vec<Play>,
    /// Headers of every request.
    pub headers: Vec<(HeaderName, Template)>,
    /// Names of the endpoints; actions hold an index.
    pub endpoints: Vec<String>,
    /// Passwords by name of variable.
    pub passwords: Arc<BTreeMap<String, Secret>>,
}

/// One journey.
#[derive(Debug)]
pub(super) struct Play {
    /// Its name.
    pub name: String,
    weight: u32,
    /// Signing in, once, before the first action.
    pub login: Option<SignIn>,
    /// What happens, in order.
    pub actions: Vec<Action>,
}

impl Play {
    /// Seconds that once through it takes on a fast site, with pauses of this mean.
    pub fn mean_pass(&self, think: f64) -> f64 {
        let of = |action: &Action| {
            action.share.unwrap_or(1.0) * (GUESSED_LATENCY + if action.at_once { 0.0 } else { think })
        };
        self.actions.iter().map(of).sum()
    }
}

/// Django's login: the form, then the answer to it.
#[derive(Debug)]
pub(super) struct SignIn {
    /// Gets the form.
    pub form: Action,
    /// Posts it; name, password and token are added when it is sent.
    pub post: Action,
    /// User name.
    pub username: Template,
    /// Variable that holds the password; known to be there.
    pub password_env: String,
}

/// One request and what must come back.
#[derive(Debug)]
pub(super) struct Action {
    /// Index into [`Script::endpoints`].
    pub endpoint: usize,
    /// GET or POST.
    pub method: Method,
    /// Path or whole URL.
    pub path: Template,
    /// Headers of this request alone.
    pub headers: Vec<(HeaderName, Template)>,
    /// What is sent.
    pub payload: Payload,
    /// Send Django's token.
    pub csrf: bool,
    /// Right statuses; 200 to 399 when empty.
    pub expect: Vec<u16>,
    /// Text that must be in the body.
    pub expect_text: Option<Template>,
    /// What to keep.
    pub extract: Vec<(String, Pick)>,
    /// Share of the passes that make it.
    pub share: Option<f64>,
    /// No thinking before it.
    pub at_once: bool,
}

/// A request's body.
#[derive(Debug)]
pub(super) enum Payload {
    /// None.
    Empty,
    /// Urlencoded fields.
    Form(Vec<(String, Template)>),
    /// JSON.
    Json(Template),
    /// Multipart: the fields, then the file (object stores ignore fields after it).
    File {
        /// Text fields.
        fields: Vec<(String, Template)>,
        /// Name of the file's field.
        field: String,
        /// Its content.
        content: Vec<u8>,
        /// Its type.
        content_type: String,
    },
}

/// Where a value is.
#[derive(Debug)]
pub(super) enum Pick {
    /// Matches of a selector: an attribute, or the text.
    Css(Selector, Option<String>),
    /// A JSON pointer.
    Json(String),
    /// A header.
    Header(HeaderName),
}

impl Action {
    /// True when the body must be kept for what follows; otherwise it is read and thrown away.
    pub fn reads_body(&self) -> bool {
        self.expect_text.is_some() || self.extract.iter().any(|(_, pick)| !matches!(pick, Pick::Header(_)))
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        let fields: &[(String, Template)] = match &self.payload {
            Payload::Form(fields) | Payload::File { fields, .. } => fields,
            Payload::Empty | Payload::Json(_) => &[],
        };
        let json = match &self.payload {
            Payload::Json(text) => Some(text),
            _ => None,
        };
        std::iter::once(&self.path)
            .chain(self.headers.iter().map(|(_, t)| t))
            .chain(fields.iter().map(|(_, t)| t))
            .chain(json)
            .chain(&self.expect_text)
    }
}

impl Script {
    /// Makes a mix ready to be played.
    pub fn compile(mix: &Mix, passwords: Arc<BTreeMap<String, Secret>>) -> Result<Self, LoadError> {
        if mix.flows.iter().all(|f| f.weight == 0) {
            return Err(LoadError::Plan("there is no flow with a weight; describe at least one [[flow]]".into()));
        }
        let mut endpoints = Vec::new();
        let refuse = |flow: &str| {
            let flow = flow.to_owned();
            move |why: String| LoadError::Flow { flow: flow.clone(), why }
        };
        let headers = headers(&mix.headers).map_err(refuse("(headers of all requests)"))?;
        let plays = mix
            .flows
            .iter()
            .map(|flow| play(flow, &headers, &passwords, &mut endpoints).map_err(refuse(&flow.name)))
            .collect::<Result<_, _>>()?;
        Ok(Self { plays, headers, endpoints, passwords })
    }

    /// The headers of all requests, as a user of this number would send them.
    pub fn common_headers(&self, user: u32) -> HeaderMap {
        let kept = std::collections::HashMap::new();
        let dice = &mut rand::SeedableRng::seed_from_u64(u64::from(user));
        let mut filling = Filling { user, kept: &kept, dice };
        self.headers
            .iter()
            .filter_map(|(name, text)| {
                Some((name.clone(), HeaderValue::from_str(&text.fill(&mut filling).ok()?).ok()?))
            })
            .collect()
    }

    /// Which play each of `users` makes: by weight, spread so that any first part of the users is mixed like the whole.
    ///
    /// The highest claim goes next and pays the sum of all weights, as nginx balances its upstreams.
    pub fn cast(&self, users: u32) -> Vec<usize> {
        let sum: i64 = self.plays.iter().map(|p| i64::from(p.weight)).sum();
        let mut claims = vec![0_i64; self.plays.len()];
        (0..users)
            .map(|_| {
                for (claim, play) in claims.iter_mut().zip(&self.plays) {
                    *claim += i64::from(play.weight);
                }
                let next = (0..claims.len()).max_by_key(|i| (claims[*i], std::cmp::Reverse(*i))).unwrap_or_default();
                claims[next] -= sum;
                next
            })
            .collect()
    }
}

fn play(
    flow: &Flow,
    common: &[(HeaderName, Template)],
    passwords: &BTreeMap<String, Secret>,
    endpoints: &mut Vec<String>,
) -> Result<Play, String> {
    if flow.steps.is_empty() {
        return Err("it has no steps; add a [[flow.step]]".into());
    }
    let login = flow.login.as_ref().map(|login| sign_in(login, passwords, endpoints)).transpose()?;
    let actions: Vec<Action> = flow.steps.iter().map(|s| action(s, endpoints)).collect::<Result<_, _>>()?;
    let mut known = BTreeSet::new();
    for action in &actions {
        for name in action.templates().chain(common.iter().map(|(_, t)| t)).flat_map(Template::needs) {
            if !known.contains(name) {
                return Err(format!(
                    "{{{{{name}}}}} is used before any step extracts it; add an extract or correct it"
                ));
            }
        }
        known.extend(action.extract.iter().map(|(name, _)| name.as_str()));
    }
    Ok(Play { name: flow.name.clone(), weight: flow.weight, login, actions })
}

fn sign_in(login: &Login, passwords: &BTreeMap<String, Secret>, endpoints: &mut Vec<String>) -> Result<SignIn, String> {
    if !passwords.contains_key(&login.password_env) {
        return Err(format!("the variable {} with the test users' password is not set; export it", login.password_env));
    }
    let step = |name: &str| FlowStep { name: format!("{} ({name})", login.path), ..FlowStep::default() };
    let form = FlowStep { get: Some(login.path.clone()), ..step("form") };
    // A wrong password shows the form again with 200: only a redirect says that somebody is signed in.
    let post = FlowStep { post: Some(login.path.clone()), csrf: true, expect: vec![301, 302, 303], ..step("sign in") };
    Ok(SignIn {
        form: action(&form, endpoints)?,
        post: action(&post, endpoints)?,
        username: Template::parse(&login.username)?,
        password_env: login.password_env.clone(),
    })
}

fn action(step: &FlowStep, endpoints: &mut Vec<String>) -> Result<Action, String> {
    let (method, path) = match step.request() {
        Some((flow::Method::Get, path)) => (Method::GET, path),
        Some((flow::Method::Post, path)) => (Method::POST, path),
        Some((flow::Method::Put, path)) => (Method::PUT, path),
        Some((flow::Method::Patch, path)) => (Method::PATCH, path),
        Some((flow::Method::Delete, path)) => (Method::DELETE, path),
        None => {
            return Err(format!(
                "step {:?} must have exactly one of get, post, put, patch and delete",
                step.endpoint()
            ));
        }
    };
    let endpoint = endpoints.iter().position(|e| e == step.endpoint()).unwrap_or_else(|| {
        endpoints.push(step.endpoint().to_owned());
        endpoints.len() - 1
    });
    Ok(Action {
        endpoint,
        method,
        path: Template::parse(path)?,
        headers: headers(&step.headers)?,
        payload: payload(step)?,
        csrf: step.csrf,
        expect: step.expect.clone(),
        expect_text: step.expect_text.as_deref().map(Template::parse).transpose()?,
        extract: step.extract.iter().map(|(name, e)| Ok((name.clone(), pick(e)?))).collect::<Result<_, String>>()?,
        share: step.share,
        at_once: step.at_once,
    })
}

fn payload(step: &FlowStep) -> Result<Payload, String> {
    let fields = step
        .form
        .iter()
        .map(|(name, text)| Ok((name.clone(), Template::parse(text)?)))
        .collect::<Result<Vec<_>, String>>()?;
    if step.get.is_some() && (!fields.is_empty() || step.json.is_some() || step.upload.is_some()) {
        return Err(format!("step {:?} is a get with a body; make it a post", step.endpoint()));
    }
    Ok(match (&step.json, &step.upload) {
        (Some(_), _) if step.upload.is_some() || !fields.is_empty() => {
            return Err(format!("step {:?} has json and a form; a body is one of them", step.endpoint()));
        }
        (Some(Json::Text(json)), _) => Payload::Json(Template::parse(json)?),
        (Some(Json::Value(json)), _) => Payload::Json(Template::parse(&json.to_string())?),
        (None, Some(upload)) => Payload::File {
            fields,
            field: upload.field.clone(),
            content: made_up_file(upload),
            content_type: upload.content_type.clone(),
        },
        // A token needs a form to travel in, even when nothing else does.
        (None, None) if fields.is_empty() && !step.csrf => Payload::Empty,
        (None, None) => Payload::Form(fields),
    })
}

/// Bytes that begin like what they claim to be, so that a server that looks is content.
fn made_up_file(upload: &Upload) -> Vec<u8> {
    let start: &[u8] = match upload.content_type.as_str() {
        "image/jpeg" => b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
        "image/png" => b"\x89PNG\r\n\x1a\n",
        "image/gif" => b"GIF89a",
        "application/pdf" => b"%PDF-1.7\n",
        _ => b"",
    };
    let filler = (0..).map(|i: usize| b'a' + u8::try_from(i % 26).unwrap_or_default());
    start.iter().copied().chain(filler).take(upload.bytes).collect()
}

fn pick(extract: &Extract) -> Result<Pick, String> {
    match extract {
        Extract::Css { select, attribute } => Selector::parse(select)
            .map(|selector| Pick::Css(selector, attribute.clone()))
            .map_err(|_| format!("{select:?} is not a CSS selector")),
        Extract::Json(pointer) if pointer.is_empty() || pointer.starts_with('/') => Ok(Pick::Json(pointer.clone())),
        Extract::Json(pointer) => Err(format!("{pointer:?} is not a JSON pointer; write for example /results/0/id")),
        Extract::Header(name) => {
            name.parse().map(Pick::Header).map_err(|_| format!("{name:?} is not the name of a header"))
        }
        Extract::Cookie(_) | Extract::Regex(_) => Err("not spoken yet".to_owned()),
    }
}

fn headers(written: &BTreeMap<String, String>) -> Result<Vec<(HeaderName, Template)>, String> {
    written
        .iter()
        .map(|(name, text)| {
            let header = name.parse().map_err(|_| format!("{name:?} is not the name of a header"))?;
            if HeaderValue::from_str(text).is_err() {
                return Err(format!("the value of header {name:?} holds characters that no header may hold"));
            }
            Ok((header, Template::parse(text)?))
        })
        .collect()
}

/// A pause drawn by its law; a lognormal one of at most ten medians, so that nobody sleeps through the ramp.
pub(super) fn pause(think: Think, dice: &mut rand::rngs::SmallRng) -> std::time::Duration {
    use rand::Rng;
    use statrs::distribution::{ContinuousCDF, Normal};
    match think {
        Think::Even { least, most } if least >= most => least,
        Think::Even { least, most } => dice.random_range(least..=most),
        Think::Lognormal { median, spread } => {
            let z = Normal::standard().inverse_cdf(dice.random_range(1e-9..1.0));
            median.mul_f64((spread * z).exp().min(10.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(text: &str) -> Result<Script, LoadError> {
        #[derive(serde::Deserialize)]
        struct File {
            flow: Vec<Flow>,
        }
        let file: File = toml::from_str(text).unwrap();
        Script::compile(&Mix { flows: file.flow, ..Mix::default() }, Arc::default())
    }

    #[test]
    fn users_are_cast_by_weight_and_every_first_part_is_mixed() {
        let script = mix("[[flow]]\nname='a'\nweight=7\nstep=[{get='/a'}]\n[[flow]]\nname='b'\nweight=2\nstep=[{get='/b'}]\n[[flow]]\nname='c'\nstep=[{get='/c'}]")
            .unwrap();
        let cast = script.cast(1000);
        for users in [10, 20, 100, 1000] {
            let of = |play| cast[..users].iter().filter(|p| **p == play).count() * 10 / users;
            assert_eq!([of(0), of(1), of(2)], [7, 2, 1], "{users}");
        }
        assert_eq!(cast, script.cast(1000));
    }

    #[test]
    fn endpoints_of_one_name_are_one() {
        let script = mix("[[flow]]\nname='a'\nstep=[{get='/p/{{random 1 9}}', name='product'}, {get='/'}, {get='/p/1', name='product'}]").unwrap();
        assert_eq!(script.endpoints, ["product", "/"]);
        assert_eq!(script.plays[0].actions[2].endpoint, 0);
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_what_to_do() {
        for (flow, word) in [
            ("step=[{get='/{{id}}'}]", "extract"),
            ("step=[{get='/', post='/'}]", "exactly one"),
            ("step=[{get='/', form={a='b'}}]", "post"),
            ("step=[{post='/', json='{}', form={a='b'}}]", "one of them"),
            ("step=[{get='/', extract={id={css={select='>>'}}}}]", "selector"),
            ("step=[{get='/', extract={id={json='id'}}}]", "pointer"),
            ("step=[]", "no steps"),
            ("step=[{get='/'}]\nlogin={path='/in', username='u', password_env='NOT_THERE'}", "NOT_THERE"),
            ("weight=0\nstep=[{get='/'}]", "weight"),
        ] {
            let said = mix(&format!("[[flow]]\nname='a'\n{flow}")).unwrap_err().to_string();
            assert!(said.contains(word), "{flow}: {said}");
        }
        assert!(mix("[[flow]]\nname='a'\nstep=[{get='/', extract={id={json='/id'}}}, {get='/{{id}}'}]").is_ok());
    }
}
