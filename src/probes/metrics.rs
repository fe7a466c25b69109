//! Prometheus text: how the app's is fetched, and what a family of samples adds up to.

use std::collections::BTreeMap;

use super::http::Ask;
use super::{ProbeError, Probes};

/// Processes whose memory is kept, at most.
const PROCESSES: usize = 256;

/// The counter of requests that django-prometheus keeps.
pub const REQUESTS: &str = "django_http_requests_before_middlewares_total";

/// One answer of the metrics page.
#[derive(Debug)]
pub struct Scrape {
    /// Its status.
    pub status: u16,
    /// Its text.
    pub text: String,
}

impl Probes {
    /// Path of the app's metrics.
    ///
    /// # Errors
    /// When the settings name none.
    pub fn metrics_path(&self) -> Result<&str, ProbeError> {
        self.site.metrics.as_deref().ok_or_else(|| ProbeError::NotGiven {
            what: "the path of the metrics is not known".to_owned(),
            provide: "name it in rampup.toml: [site] metrics = \"/metrics\"".to_owned(),
        })
    }

    /// Fetches the metrics over a new connection, so that any of the app's processes may answer.
    ///
    /// # Errors
    /// No path in the settings, no answer, or a key that is missing or wrong.
    pub async fn scrape(&self) -> Result<Scrape, ProbeError> {
        let ask = self.http.get_origin(self.metrics_path()?).nonce(&self.nonce());
        self.scraped(ask).await
    }

    /// The same under the address that scrapers use: a cache may answer there.
    ///
    /// # Errors
    /// As [`Probes::scrape`].
    pub async fn scrape_as_scrapers(&self) -> Result<Scrape, ProbeError> {
        let ask = self.http.get_origin(self.metrics_path()?);
        self.scraped(ask).await
    }

    async fn scraped(&self, ask: Ask<'_>) -> Result<Scrape, ProbeError> {
        let path = self.metrics_path()?;
        let mut ask = ask.fresh();
        if let Some(key) = &self.access.metrics_auth {
            ask = ask.header("authorization", key.secret.expose());
        }
        let answer = ask.send().await?;
        if !matches!(answer.status, 401 | 403) {
            return Ok(Scrape { status: answer.status, text: answer.text() });
        }
        let provide = match &self.access.metrics_auth {
            Some(key) => format!("put the whole header that {path} wants into {}: Bearer TOKEN or Basic BASE64", key.variable),
            None => "put the Authorization header that it wants (Bearer TOKEN or Basic BASE64) into an environment variable and name \
                     that variable in rampup.toml: [site] metrics_auth_env = \"...\""
                .to_owned(),
        };
        Err(ProbeError::Refused {
            system: "the metrics page",
            why: format!("{path} answers {}", answer.status),
            provide,
        })
    }
}

/// Sum of all samples of one name, whatever their labels; none when the text has none of them.
#[must_use]
pub fn sum(text: &str, family: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.trim().strip_prefix(family)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => after_labels(labelled)?,
            None => rest.strip_prefix([' ', '\t'])?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok().filter(|v| v.is_finite())
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

/// Resident memory by process id, bytes, of any name that ends in `resident_memory_bytes` and has a `pid` label, as
/// gauges in the multi-process modes `all` and `liveall` do. What has no such label is whichever process was asked.
#[must_use]
pub fn memory(text: &str) -> BTreeMap<String, f64> {
    let of_one = |line: &str| {
        let (name, labelled) = line.trim().split_once('{')?;
        let value = after_labels(labelled)?.split_whitespace().next()?.parse::<f64>().ok()?;
        let pid = labelled.split_once("pid=\"")?.1.split_once('"')?.0;
        let fits =
            name.ends_with("resident_memory_bytes") && !pid.is_empty() && pid.bytes().all(|c| c.is_ascii_digit());
        (fits && value.is_finite() && value > 0.0).then(|| (pid.to_owned(), value))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(of_one).take(PROCESSES).collect()
}

/// What follows the closing brace; braces and escaped quotes inside label values do not count.
fn after_labels(labelled: &str) -> Option<&str> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in labelled.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Some(&labelled[at + 1..]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_that_of_single_processes() {
        let text = "# TYPE worker_resident_memory_bytes gauge\nworker_resident_memory_bytes{pid=\"12\"} 1.5e+08\n\
            app_resident_memory_bytes{host=\"a}\",pid=\"7\"} 100 1700000000\nprocess_resident_memory_bytes 9e7\n\
            process_virtual_memory_bytes{pid=\"12\"} 5\nworker_resident_memory_bytes{pid=\"x\"} 5\n\
            worker_resident_memory_bytes{pid=\"13\"} NaN\n";
        assert_eq!(memory(text), BTreeMap::from([("12".to_owned(), 1.5e8), ("7".to_owned(), 100.0)]));
        assert!(memory("process_resident_memory_bytes 9e7\n").is_empty());
    }

    #[test]
    fn samples_of_one_name_add_up_over_their_labels() {
        let text = "# HELP requests_total Count.\n# TYPE requests_total counter\n\
            requests_total{method=\"GET\",path=\"/a}\\\"b\"} 12.0 1700000000\nrequests_total{method=\"POST\"} 3\n\
            requests_total_created 99\nup 1\nnan NaN\n";
        assert_eq!(sum(text, "requests_total"), Some(15.0));
        assert_eq!(sum(text, "up"), Some(1.0));
        assert_eq!(sum(text, "requests"), None);
        assert_eq!(sum(text, "nan"), None);
    }
}
