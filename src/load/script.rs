//! The flows made ready: texts parsed, selectors compiled, endpoints numbered, users cast. All that can be refused
//! is refused here, before the first request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::LoadError;
use super::action::{self, Action};
use super::feed::Feeds;
use super::template::{Filling, Template};
use crate::domain::flow::{Flow, FlowStep, Login, Mix, Think};
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
    /// What texts are fed from.
    pub feeds: Feeds,
    /// Hosts besides the target that presigned uploads may go to.
    pub upload_hosts: Vec<String>,
    /// Passwords by name of variable.
    pub passwords: Arc<BTreeMap<String, Secret>>,
}

/// One journey.
#[derive(Debug)]
pub(super) struct Play {
    /// As it is written.
    pub flow: Flow,
    /// Signing in, once, before the first action.
    pub login: Option<SignIn>,
    /// What happens, in order.
    pub actions: Vec<Action>,
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

impl Script {
    /// Makes a mix ready to be played.
    pub fn compile(mix: &Mix, passwords: Arc<BTreeMap<String, Secret>>) -> Result<Self, LoadError> {
        if mix.flows.iter().all(|f| f.weight == 0) {
            return Err(LoadError::Plan("there is no flow with a weight; describe at least one [[flow]]".into()));
        }
        let refuse = |flow: &str| {
            let flow = flow.to_owned();
            move |why: String| LoadError::Flow { flow: flow.clone(), why }
        };
        let feeds = Feeds::new(&mix.feeders).map_err(LoadError::Plan)?;
        let headers = action::headers(&mix.headers, &feeds).map_err(refuse("(headers of all requests)"))?;
        let mut made = Making { feeds: &feeds, common: &headers, passwords: &passwords, endpoints: Vec::new() };
        let plays =
            mix.flows.iter().map(|flow| made.play(flow).map_err(refuse(&flow.name))).collect::<Result<_, _>>()?;
        let endpoints = made.endpoints;
        Ok(Self { plays, headers, endpoints, feeds, upload_hosts: mix.upload_hosts.clone(), passwords })
    }

    /// The headers of all requests, as a user of this number would send them that no feeder deals to.
    pub fn common_headers(&self, user: u32) -> HeaderMap {
        let kept = std::collections::HashMap::new();
        let dice = &mut rand::SeedableRng::seed_from_u64(u64::from(user));
        let mut filling = Filling { user, kept: &kept, dice, feeds: &self.feeds, rows: None, hide: None };
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
        let sum: i64 = self.plays.iter().map(|p| i64::from(p.flow.weight)).sum();
        let mut claims = vec![0_i64; self.plays.len()];
        (0..users)
            .map(|_| {
                for (claim, play) in claims.iter_mut().zip(&self.plays) {
                    *claim += i64::from(play.flow.weight);
                }
                let next = (0..claims.len()).max_by_key(|i| (claims[*i], std::cmp::Reverse(*i))).unwrap_or_default();
                claims[next] -= sum;
                next
            })
            .collect()
    }
}

/// A script in the making.
struct Making<'a> {
    feeds: &'a Feeds,
    common: &'a [(HeaderName, Template)],
    passwords: &'a BTreeMap<String, Secret>,
    endpoints: Vec<String>,
}

impl Making<'_> {
    fn play(&mut self, flow: &Flow) -> Result<Play, String> {
        if flow.steps.is_empty() {
            return Err("it has no steps; add a [[flow.step]]".into());
        }
        let login = flow.login.as_ref().map(|login| self.sign_in(login)).transpose()?;
        let actions: Vec<Action> = flow.steps.iter().map(|step| self.action(step)).collect::<Result<_, _>>()?;
        let mut known = BTreeSet::new();
        for action in &actions {
            for name in action.needs().chain(self.common.iter().flat_map(|(_, t)| t.needs())) {
                if !known.contains(name) {
                    return Err(format!(
                        "{{{{{name}}}}} is used before any step extracts it; add an extract or correct it"
                    ));
                }
            }
            known.extend(action.extract.iter().map(|(name, _)| name.as_str()));
        }
        Ok(Play { flow: flow.clone(), login, actions })
    }

    fn sign_in(&mut self, login: &Login) -> Result<SignIn, String> {
        if !self.passwords.contains_key(&login.password_env) {
            return Err(format!(
                "the variable {} with the test users' password is not set; export it",
                login.password_env
            ));
        }
        let step = |name: &str| FlowStep { name: format!("{} ({name})", login.path), ..FlowStep::default() };
        let form = FlowStep { get: Some(login.path.clone()), expect: vec![200], ..step("form") };
        // A wrong password shows the form again with 200: only a redirect says that somebody is signed in.
        let post =
            FlowStep { post: Some(login.path.clone()), csrf: true, expect: vec![301, 302, 303], ..step("sign in") };
        Ok(SignIn {
            form: self.action(&form)?,
            post: self.action(&post)?,
            username: Template::parse(&login.username, self.feeds)?,
            password_env: login.password_env.clone(),
        })
    }

    fn action(&mut self, step: &FlowStep) -> Result<Action, String> {
        let endpoints = &mut self.endpoints;
        Action::new(step, self.feeds, |name| {
            endpoints.iter().position(|known| known == name).unwrap_or_else(|| {
                endpoints.push(name.to_owned());
                endpoints.len() - 1
            })
        })
    }
}

/// A pause drawn by its law.
pub(super) fn pause(think: Think, dice: &mut rand::rngs::SmallRng) -> std::time::Duration {
    use rand::Rng;
    use statrs::distribution::{ContinuousCDF, Normal};
    match think {
        Think::Even { least, most } if least >= most => least,
        Think::Even { least, most } => dice.random_range(least..=most),
        Think::Lognormal { median, spread } => {
            let z = Normal::standard().inverse_cdf(dice.random_range(1e-9..1.0));
            median.mul_f64((spread * z).exp().min(Think::LONGEST))
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
