//! Railway's API: what the token is for, what runs there, and what was written down of a request.
//!
//! Knows the app's own environment alone, and asks nothing that changes anything.

mod ask;
mod facts;
mod file;
mod variables;
mod wire;

pub use facts::{
    AppLine, CustomDomain, Deployment, DomainStatus, Domains, HttpLine, Instance, Named, Service, ServiceDomain,
    Source, Usage,
};
pub use file::{Written, written};
pub use variables::{Reference, Refers, Variables};

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{ProbeError, Probes, api};
use ask::{Fault, Line};
use wire::{AppLinesData, HttpLinesData, ProjectData, ServicesData, Standing, TokenData, UsageData, VariablesData};

const SYSTEM: &str = "Railway's API";
/// Most pages of services that are read.
const PAGES: usize = 10;
/// Most lines of a log that are read at once; the newest.
pub const MOST_LINES: usize = 1000;

/// Which requests the router is asked about.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// The one whose answer had this `x-railway-request-id`.
    Id(&'a str),
    /// Those for a path.
    Path(&'a str),
    /// Those of a method.
    Method(&'a str),
    /// Those for which the visitor sent more bytes than this.
    BodiesOver(u64),
}

/// Whose token it is: it is shown in another header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Of one environment of one project.
    Project,
    /// Of an account or a workspace: sees many projects.
    Account,
}

/// Railway, asked with a token that was accepted.
#[derive(Debug)]
pub struct Railway<'a> {
    line: Line<'a>,
    /// Whose token it is.
    pub kind: TokenKind,
    /// The project.
    pub project: Named,
    /// The environment.
    pub environment: Named,
}

impl Probes {
    /// The app as the settings name it.
    ///
    /// # Errors
    /// When they name none.
    pub fn railway_site(&self) -> Result<&crate::domain::clouds::Railway, ProbeError> {
        self.site.railway.as_ref().ok_or_else(|| ProbeError::NotGiven {
            what: "the app's service at Railway is not known".to_owned(),
            provide: "name it in rampup.toml: [site.railway] token_env and service".to_owned(),
        })
    }

    /// Asks what the token is for.
    ///
    /// # Errors
    /// No Railway in the settings, no token, no answer; a token that is not accepted or not for one known environment.
    pub async fn railway(&self) -> Result<Railway<'_>, ProbeError> {
        let site = self.railway_site()?;
        let token = api::token(self.access.railway_token.as_ref(), "Railway", "railway")?;
        let line = Line { http: &self.http, site, token };
        let asked = line.ask(TokenKind::Project, include_str!("railway/token.graphql"), json!({})).await;
        let why = match asked {
            Ok(TokenData { project_token: Standing { project, environment } }) => {
                return Ok(Railway { line, kind: TokenKind::Project, project, environment });
            }
            Err(Fault::Else(error)) => return Err(error),
            Err(Fault::NotAllowed(why)) => why,
        };
        let Some(project) = &site.project else {
            return Err(ProbeError::Refused {
                system: SYSTEM,
                why,
                provide: format!(
                    "put a project's token into {} (project, Settings, Tokens); or, when it is an account's token, write \
                     the project's id into rampup.toml: [site.railway] project",
                    token.variable
                ),
            });
        };
        let asked =
            line.ask(TokenKind::Account, include_str!("railway/project.graphql"), json!({ "project": project }));
        let ProjectData { project } = asked.await.map_err(|fault| refused(fault, &line))?;
        let environments: Vec<Named> = project.environments.nodes().collect();
        let names = environments.iter().map(|it| format!("{:?}", it.name)).collect::<Vec<_>>().join(", ");
        let environment = environments.into_iter().find(|it| it.name == site.environment);
        let environment = environment.ok_or_else(|| ProbeError::Refused {
            system: SYSTEM,
            why: format!("the project has no environment {:?}", site.environment),
            provide: format!("write one of {names} into rampup.toml: [site.railway] environment"),
        })?;
        let project = Named { id: project.id, name: project.name };
        Ok(Railway { line, kind: TokenKind::Account, project, environment })
    }
}

impl Railway<'_> {
    /// Everything that runs in the environment.
    ///
    /// # Errors
    /// No answer, no right, or more services than anyone has.
    pub async fn services(&self) -> Result<Vec<Service>, ProbeError> {
        let (mut services, mut after) = (Vec::new(), None::<String>);
        for _ in 0..PAGES {
            let variables = json!({ "environment": self.environment.id, "after": after });
            let ServicesData { environment } = self.ask(include_str!("railway/services.graphql"), variables).await?;
            let page = environment.service_instances;
            after = page.next();
            services.extend(page.nodes());
            if after.is_none() {
                return Ok(services);
            }
        }
        Err(ProbeError::odd(SYSTEM, format!("more than {} services in one environment", services.len())))
    }

    /// The service that runs the app.
    ///
    /// # Errors
    /// As [`Railway::services`]; when none has the name in the settings.
    pub async fn service(&self) -> Result<Service, ProbeError> {
        let services = self.services().await?;
        let names = services.iter().map(|service| format!("{:?}", service.name)).collect::<Vec<_>>().join(", ");
        let wanted = &self.line.site.service;
        services.into_iter().find(|service| service.name == *wanted).ok_or_else(|| ProbeError::Refused {
            system: SYSTEM,
            why: format!("there is no service {wanted:?} in {:?}", self.environment.name),
            provide: format!("write one of {names} into rampup.toml: [site.railway] service"),
        })
    }

    /// The deployment of the app's service that visitors reach: whose logs are worth a look.
    ///
    /// # Errors
    /// As [`Railway::service`]; when none runs.
    pub async fn deployed(&self) -> Result<Deployment, ProbeError> {
        let service = self.service().await?;
        service.runs().cloned().ok_or_else(|| ProbeError::NotGiven {
            what: format!("no deployment of {} runs at Railway", service.name),
            provide: "deploy it, or name the service that runs the app in rampup.toml: [site.railway] service"
                .to_owned(),
        })
    }

    /// A service's variables, without their values. Sealed ones are never among them.
    ///
    /// # Errors
    /// No answer, no right.
    pub async fn variables(&self, service: &str) -> Result<Variables, ProbeError> {
        let variables = json!({ "project": self.project.id, "environment": self.environment.id, "service": service });
        let VariablesData { variables } = self.ask(include_str!("railway/variables.graphql"), variables).await?;
        Ok(variables)
    }

    /// What each instance of a service used at most in the time up to now.
    ///
    /// # Errors
    /// No answer, no right.
    pub async fn usage(&self, service: &str, window: Duration) -> Result<Vec<Usage>, ProbeError> {
        let end = Timestamp::now();
        let variables = json!({
            "environment": self.environment.id, "service": service, "start": end - window, "end": end,
        });
        let UsageData { metrics } = self.ask(include_str!("railway/usage.graphql"), variables).await?;
        let mut instances = BTreeMap::<String, Usage>::new();
        for metric in metrics {
            let Some(instance) = metric.tags.deployment_instance_id else { continue };
            let usage = instances.entry(instance).or_default();
            let most = metric.values.iter().map(|sample| sample.value).reduce(f64::max);
            match metric.measurement.as_str() {
                "CPU_USAGE" => usage.cpu = most,
                "CPU_LIMIT" => usage.cpu_limit = most,
                "MEMORY_USAGE_GB" => usage.memory_gb = most,
                "MEMORY_LIMIT_GB" => usage.memory_limit_gb = most,
                _ => {}
            }
        }
        Ok(instances.into_iter().map(|(instance, usage)| Usage { instance, ..usage }).collect())
    }

    /// What the router noted of requests to one deployment, at most [`MOST_LINES`] of it. Empty until it is written down.
    ///
    /// # Errors
    /// No answer, no right; an id or a path that would be read as a filter.
    pub async fn http_lines(&self, deployment: &str, wanted: Wanted<'_>) -> Result<Vec<HttpLine>, ProbeError> {
        let variables = json!({ "deployment": deployment, "filter": wanted.filter()?, "limit": MOST_LINES });
        let HttpLinesData { http_logs } = self.ask(include_str!("railway/http_lines.graphql"), variables).await?;
        Ok(http_logs)
    }

    /// Lines of the app itself that hold a word. Empty until they are written down.
    ///
    /// # Errors
    /// No answer, no right; a word that would be read as a filter.
    pub async fn app_lines(&self, deployment: &str, word: &str) -> Result<Vec<AppLine>, ProbeError> {
        let variables = json!({ "deployment": deployment, "filter": format!("\"{}\"", plain(word)?) });
        let AppLinesData { deployment_logs } = self.ask(include_str!("railway/app_lines.graphql"), variables).await?;
        Ok(deployment_logs)
    }

    async fn ask<T: DeserializeOwned>(&self, question: &str, variables: Value) -> Result<T, ProbeError> {
        self.line.ask(self.kind, question, variables).await.map_err(|fault| refused(fault, &self.line))
    }
}

fn refused(fault: Fault, line: &Line<'_>) -> ProbeError {
    match fault {
        Fault::Else(error) => error,
        Fault::NotAllowed(why) => ProbeError::Refused {
            system: SYSTEM,
            why,
            provide: format!(
                "put a token of this project into {} (project, Settings, Tokens), or one of an account that may see it",
                line.token.variable
            ),
        },
    }
}

impl Wanted<'_> {
    fn filter(self) -> Result<String, ProbeError> {
        Ok(match self {
            Self::Id(id) => format!("@requestId:{}", plain(id)?),
            Self::Path(path)
                if path.starts_with('/') && path.split('/').all(|name| name.is_empty() || plain(name).is_ok()) =>
            {
                format!("@path:{path}")
            }
            Self::Path(path) => {
                return Err(ProbeError::NotGiven {
                    what: format!("{path:?} cannot be looked for in Railway's log"),
                    provide: "a path of letters, digits, - _ and . in rampup.toml".to_owned(),
                });
            }
            Self::Method(method) => format!("@method:{}", plain(method)?),
            Self::BodiesOver(bytes) => format!("@rxBytes:>{bytes}"),
        })
    }
}

/// A word that stands for itself in a filter of Railway's.
fn plain(word: &str) -> Result<&str, ProbeError> {
    let fits = !word.is_empty()
        && word.len() <= 100
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    fits.then_some(word).ok_or_else(|| ProbeError::odd(SYSTEM, "a word that would be read as a filter"))
}

#[cfg(test)]
mod contract;
