//! Think time: how long a user pauses before the next action, and how such a pause is written.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::units::{parse_duration, show_duration};

/// A law of pauses, written `5s` (constant), `5s-10s` (even between two bounds) or `lognormal 6s 0.5` (median, and the
/// standard deviation of the logarithm).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Think {
    /// Drawn evenly between two bounds; a constant when they are equal.
    Even {
        /// Shortest pause.
        least: Duration,
        /// Longest pause.
        most: Duration,
    },
    /// Many short pauses and a few long ones, as people make them.
    Lognormal {
        /// Half of the pauses are shorter.
        median: Duration,
        /// Standard deviation of the pause's natural logarithm, over 0 and at most 2.
        spread: f64,
    },
}

impl Think {
    /// Always the same pause.
    #[must_use]
    pub const fn constant(pause: Duration) -> Self {
        Self::Even { least: pause, most: pause }
    }

    /// No lognormal pause is longer than this many medians, so that nobody sleeps through the ramp.
    pub const LONGEST: f64 = 10.0;

    /// Mean pause in seconds. Of a lognormal law cut at c medians it is, with median 1,
    /// `exp(σ²/2) Φ(ln c/σ − σ) + c (1 − Φ(ln c/σ))` (the limited expected value; Klugman, Panjer and Willmot,
    /// *Loss Models*, appendix A).
    #[must_use]
    pub fn mean_seconds(&self) -> f64 {
        match self {
            Self::Even { least, most } => f64::midpoint(least.as_secs_f64(), most.as_secs_f64()),
            Self::Lognormal { median, spread } => {
                let (normal, cut) = (Normal::standard(), Self::LONGEST.ln() / spread);
                let uncut = (spread * spread / 2.0).exp() * normal.cdf(cut - spread);
                median.as_secs_f64() * (uncut + Self::LONGEST * normal.sf(cut))
            }
        }
    }

    /// The same law with every pause multiplied by a factor that is not negative.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        match self {
            Self::Even { least, most } => Self::Even { least: least.mul_f64(factor), most: most.mul_f64(factor) },
            Self::Lognormal { median, spread } => Self::Lognormal { median: median.mul_f64(factor), spread },
        }
    }
}

impl TryFrom<String> for Think {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let duration = |words: &str| parse_duration(words).map_err(|e| e.to_string());
        if let Some(law) = text.strip_prefix("lognormal") {
            let mut words = law.split_whitespace();
            let (Some(median), Some(spread), None) = (words.next(), words.next(), words.next()) else {
                return Err(format!(
                    "think time {text:?} is incomplete; write the median and the spread: lognormal 6s 0.5"
                ));
            };
            let spread: f64 =
                spread.parse().map_err(|_| format!("{spread:?} is no spread; write a number like 0.5"))?;
            if !(spread > 0.0 && spread <= 2.0) {
                return Err(format!("a spread of {spread} is out of range; write one over 0 and at most 2"));
            }
            return Ok(Self::Lognormal { median: duration(median)?, spread });
        }
        let (least, most) = text.split_once('-').unwrap_or((&text, &text));
        let (least, most) = (duration(least)?, duration(most)?);
        if least > most {
            return Err(format!("think time {text:?} runs backwards; write the shorter pause first"));
        }
        Ok(Self::Even { least, most })
    }
}

impl From<Think> for String {
    fn from(think: Think) -> String {
        think.to_string()
    }
}

impl fmt::Display for Think {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Even { least, most } if least == most => f.write_str(&show_duration(*least)),
            Self::Even { least, most } => write!(f, "{}-{}", show_duration(*least), show_duration(*most)),
            Self::Lognormal { median, spread } => write!(f, "lognormal {} {spread}", show_duration(*median)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laws_are_read_and_written_back() {
        for (text, mean) in [("5s-10s", 7.5), ("2s", 2.0), ("lognormal 6s 0.1", 6.0 * 0.005_f64.exp())] {
            let think = Think::try_from(text.to_owned()).unwrap();
            assert!((think.mean_seconds() - mean).abs() < 1e-9, "{text}");
            assert_eq!(think.to_string(), text);
            assert!((think.times(0.5).mean_seconds() - mean / 2.0).abs() < 1e-9, "{text}");
        }
    }

    #[test]
    fn the_mean_of_a_wide_law_counts_the_cut() {
        // Without the cut it would be exp(2) = 7.39 medians.
        let wide = Think::Lognormal { median: Duration::from_secs(1), spread: 2.0 };
        let steps = 200_000;
        let drawn: f64 = (0..steps)
            .map(|step| (f64::from(step) + 0.5) / f64::from(steps))
            .map(|share| (2.0 * Normal::standard().inverse_cdf(share)).exp().min(Think::LONGEST))
            .sum();
        assert!((wide.mean_seconds() - drawn / f64::from(steps)).abs() < 1e-3, "{}", wide.mean_seconds());
    }

    #[test]
    fn what_is_no_law_says_what_to_write() {
        for text in
            ["10s-5s", "lognormal", "lognormal 6s", "lognormal 6s 0", "lognormal 6s 9", "lognormal 6s 0.5 1", "x"]
        {
            assert!(Think::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
