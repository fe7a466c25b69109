//! Metrics: does the counter of requests follow real requests, over all processes?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::{ProbeError, Probes, metrics};

use super::{Check, Context, Entry};

mod monotonic;
mod not_public;

/// The checks of this group.
pub const CHECKS: &[Entry] =
    &[Entry::of::<CountRequests>(), Entry::of::<monotonic::Monotonic>(), Entry::of::<not_public::NotPublic>()];

/// The counter that each check looks at unless the playbook names another. One that counts each request once: a sum
/// over several would hide a lost process.
const FAMILY: &str = crate::probes::metrics::REQUESTS;

/// `metrics.count-requests`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CountRequests {
    /// Name of the counter.
    family: String,
    /// Requests between two scrapes.
    requests: u32,
    /// Scrapes afterwards, none of which may fall.
    scrapes: u32,
}

impl Default for CountRequests {
    fn default() -> Self {
        Self { family: FAMILY.to_owned(), requests: 20, scrapes: 6 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    path: String,
    status: u16,
    requests: u32,
    /// Sum of the counter a second before our requests, right before them, and in every scrape afterwards; none where
    /// the counter was not in the text.
    idle: Option<f64>,
    before: Option<f64>,
    after: Vec<Option<f64>>,
    /// The same before and after all of it, under the address that scrapers use.
    #[serde(default)]
    plain: Option<(f64, f64)>,
}

impl Check for CountRequests {
    const ID: &'static str = "metrics.count-requests";
    const TITLE: &'static str = "the metrics count every request, in every process";
    const ABOUT: &'static str = "Scrapes the metrics around twenty requests of ours: the counter must rise by at least as many, and \
        must never fall in six more scrapes. Traps: a page with process metrics only, and several workers without a shared \
        directory (PROMETHEUS_MULTIPROC_DIR): each scrape then shows another worker, and the sums jump down. A cache that \
        answers scrapers is found as well.";
    const PHASE: Phase = Phase::Before;
    const ALONE: bool = true;
    const HOW: Rung = Rung::Counted;
    const DOCS: &'static [&'static str] = &[
        "https://github.com/django-commons/django-prometheus",
        "https://prometheus.github.io/client_python/multiprocess/",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let path = probes.metrics_path()?.to_owned();
        let (status, idle) = self.scrape(probes).await?;
        let mut facts =
            Facts { path, status, requests: self.requests, idle, before: None, after: Vec::new(), plain: None };
        if status != 200 || idle.is_none() {
            return Ok(facts);
        }
        let plain = self.plain(probes).await?;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        facts.before = self.scrape(probes).await?.1;
        for _ in 0..self.requests {
            probes.http.get_origin(&probes.site.health).nonce(&probes.nonce()).fresh().send().await?;
        }
        for _ in 0..self.scrapes {
            facts.after.push(self.scrape(probes).await?.1);
        }
        facts.plain = plain.zip(self.plain(probes).await?);
        Ok(facts)
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let (path, family) = (&facts.path, &self.family);
        if (300..400).contains(&facts.status) {
            return CheckOutcome::fail(
                format!("{path} answers {}, a redirect, which no scraper should need", facts.status),
                format!(
                    "name the address that answers by itself in rampup.toml ([site] metrics = \"{}/\" if only the slash is missing: \
                     curl -sI {path} shows where it leads); where there are no metrics yet: include(\"django_prometheus.urls\")",
                    path.trim_end_matches('/')
                ),
            );
        }
        if facts.status != 200 {
            return CheckOutcome::fail(
                format!("{path} answers {}", facts.status),
                format!(
                    "install django-prometheus, add its two middlewares and include(\"django_prometheus.urls\"), so that {path} shows the counters"
                ),
            );
        }
        let (Some(idle), Some(before), Some(Some(first))) = (facts.idle, facts.before, facts.after.first().copied())
        else {
            return CheckOutcome::fail(
                format!("{path} has no counter {family}"),
                "add django_prometheus.middleware.PrometheusBeforeMiddleware as the first middleware and PrometheusAfterMiddleware \
                 as the last, or name your own counter in the playbook: family = \"...\"",
            );
        };
        let seen: Vec<f64> = [idle, before].into_iter().chain(facts.after.iter().flatten().copied()).collect();
        if facts.after.iter().any(Option::is_none) || seen.windows(2).any(|two| two[1] < two[0]) {
            return CheckOutcome::fail(
                format!("{family} falls between scrapes ({}): each one shows another process", shown(&seen)),
                "set PROMETHEUS_MULTIPROC_DIR to an empty folder that all workers share (and clear it at start), or scrape every replica by itself",
            );
        }
        if before - idle > f64::from(facts.requests) / 2.0 + 1.0 && first - before >= f64::from(facts.requests) {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "other traffic moves {family} by {:.0} a second, so {} requests of ours cannot be told apart",
                    before - idle,
                    facts.requests
                ),
                "verify again at a quiet time",
            ));
        }
        // Our own scrape is one of the requests that both windows hold.
        let ours = (first - before) - (before - idle) + 1.0;
        if facts.requests == 0 || first - before < f64::from(facts.requests) || ours < f64::from(facts.requests) * 0.9 {
            return CheckOutcome::fail(
                format!("{family} rose by {:.0} around {} requests of ours", first - before, facts.requests),
                "count every request in every process: PrometheusBeforeMiddleware first, and PROMETHEUS_MULTIPROC_DIR where there are several workers",
            );
        }
        if let Some((early, late)) = facts.plain
            && (0.0..0.5).contains(&(late - early))
        {
            return CheckOutcome::fail(
                format!(
                    "{path} showed {early:.0} before and {late:.0} after {} requests of ours, although they were counted: a cache answers there",
                    facts.requests
                ),
                format!(
                    "wrap the metrics view in never_cache (path(\"{}\", never_cache(ExportToDjangoView))) and take its path out of the edge's \
                     cache rules; see it: curl -sI {path} | grep -iE 'age|cache|expires'",
                    path.trim_start_matches('/')
                ),
            );
        }
        CheckOutcome::Pass
    }
}

impl CountRequests {
    async fn plain(&self, probes: &Probes) -> Result<Option<f64>, ProbeError> {
        Ok(metrics::sum(&probes.scrape_as_scrapers().await?.text, &self.family))
    }

    async fn scrape(&self, probes: &Probes) -> Result<(u16, Option<f64>), ProbeError> {
        let answer = probes.scrape().await?;
        Ok((answer.status, metrics::sum(&answer.text, &self.family)))
    }
}

fn shown(values: &[f64]) -> String {
    values.iter().map(|v| format!("{v:.0}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(status: u16, idle: Option<f64>, before: Option<f64>, after: &[Option<f64>]) -> Facts {
        Facts { path: "/metrics".to_owned(), status, requests: 20, idle, before, after: after.to_vec(), plain: None }
    }

    #[test]
    fn counting_traps() {
        let check = CountRequests::default();
        let some = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
        for (word, facts) in [
            ("pass", facts(200, Some(100.0), Some(101.0), &some(&[122.0, 123.0, 124.0]))),
            // Others use the site meanwhile.
            ("pass", facts(200, Some(100.0), Some(105.0), &some(&[130.0, 131.0]))),
            ("fail", facts(404, None, None, &[])),
            ("fail", facts(301, None, None, &[])),
            // Process metrics only.
            ("fail", facts(200, None, None, &[])),
            ("fail", facts(200, Some(100.0), Some(101.0), &[])),
            ("fail", facts(200, Some(100.0), Some(101.0), &some(&[108.0, 109.0]))),
            // Three workers, each with a count of its own.
            ("fail", facts(200, Some(100.0), Some(101.0), &some(&[130.0, 98.0, 131.0]))),
            ("fail", facts(200, Some(100.0), Some(101.0), &[Some(122.0), None])),
            // The rise is others' traffic.
            ("unknown", facts(200, Some(100.0), Some(125.0), &some(&[150.0, 151.0]))),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
        // What scrapers see comes out of a site-wide cache.
        for (word, plain) in [("fail", (99.0, 99.0)), ("pass", (99.0, 126.0))] {
            let good = facts(200, Some(100.0), Some(101.0), &some(&[122.0, 123.0]));
            assert_eq!(check.judge(&Facts { plain: Some(plain), ..good }).word(), word);
        }
    }
}
