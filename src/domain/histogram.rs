//! Latencies as counts: few values in a sorted list, many in an HDR histogram. Both hold the same numbers.
//!
//! Knows microseconds, and nothing of what took them.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::borrow::Cow;

/// Latencies in microseconds: HDR, 3 significant digits, 1 µs to 2 minutes (longer ones count as 2 minutes).
///
/// A hold keeps one for each of its seconds. At full width (40 KB for 300 ms, 60 KB for 10 s) two hours of them would
/// take 400 MB; as a list a second takes 8 bytes for each distinct latency in it, at most [`Histogram::FEW`] of them.
#[derive(Debug, Clone)]
pub struct Histogram(Kept);

#[derive(Debug, Clone)]
enum Kept {
    /// Value (the highest that HDR takes for the same) and count, ascending by value.
    Few(Vec<(u32, u32)>),
    Many(hdrhistogram::Histogram<u32>),
}

impl Histogram {
    const HIGHEST: u64 = 120_000_000;
    /// Values up to which a list is kept; with more the full width takes less.
    pub const FEW: usize = 4096;

    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self(Kept::Few(Vec::new()))
    }

    /// Adds one latency, in µs.
    pub fn record(&mut self, micros: u64) {
        self.add(micros, 1);
    }

    fn add(&mut self, micros: u64, count: u32) {
        let micros = micros.clamp(1, Self::HIGHEST);
        if count == 0 {
            return;
        }
        match &mut self.0 {
            Kept::Few(list) => {
                let value = highest_equivalent(micros);
                match list.binary_search_by_key(&value, |(value, _)| *value) {
                    Ok(at) => list[at].1 = list[at].1.saturating_add(count),
                    Err(at) => list.insert(at, (value, count)),
                }
                if list.len() > Self::FEW {
                    self.widen();
                }
            }
            // It grows to take any value, so recording cannot fail.
            Kept::Many(hdr) => _ = hdr.record_n(micros, count),
        }
    }

    /// From the list to the full width; done at once for one that will count a whole hold.
    #[expect(clippy::expect_used, reason = "three digits is a constant that the crate accepts")]
    fn widen(&mut self) {
        if let Kept::Few(list) = &mut self.0 {
            let mut hdr = hdrhistogram::Histogram::new(3).expect("three digits are valid");
            for (value, count) in std::mem::take(list) {
                let _ = hdr.record_n(u64::from(value), count);
            }
            self.0 = Kept::Many(hdr);
        }
    }

    /// Adds all of another's.
    pub fn merge(&mut self, other: &Histogram) {
        for (value, count) in other.each() {
            self.add(value, count);
        }
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.0 {
            Kept::Few(list) => list.iter().map(|(_, count)| u64::from(*count)).sum(),
            Kept::Many(hdr) => hdr.len(),
        }
    }

    /// The value at a quantile (0 to 1), in ms; none when empty.
    #[must_use]
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts are far below 2^52, a quantile is 0 to 1"
        )]
        let rank = (quantile.clamp(0.0, 1.0) * self.count() as f64).ceil() as u64;
        self.rank_ms(rank.max(1))
    }

    /// The `rank`-th smallest value (from 1), in ms; none when there are fewer.
    #[must_use]
    pub fn rank_ms(&self, rank: u64) -> Option<f64> {
        let mut seen = 0;
        self.buckets().find_map(|(value, count)| {
            seen += count;
            (rank > 0 && seen >= rank).then(|| to_ms(value))
        })
    }

    /// Every distinct value in µs with its count, ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.each().map(|(value, count)| (value, u64::from(count)))
    }

    fn each(&self) -> Box<dyn Iterator<Item = (u64, u32)> + '_> {
        match &self.0 {
            Kept::Few(list) => Box::new(list.iter().map(|(value, count)| (u64::from(*value), *count))),
            Kept::Many(hdr) => Box::new(hdr.iter_recorded().map(|b| (b.value_iterated_to(), b.count_at_value()))),
        }
    }

    /// Largest value, ms; none when empty.
    #[must_use]
    pub fn max_ms(&self) -> Option<f64> {
        match &self.0 {
            Kept::Few(list) => list.last().map(|(value, _)| to_ms(u64::from(*value))),
            Kept::Many(hdr) => (!hdr.is_empty()).then(|| to_ms(hdr.max())),
        }
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Kept::Few(list) => list.capacity() * size_of::<(u32, u32)>(),
            Kept::Many(hdr) => hdr.distinct_values() * size_of::<u32>(),
        }
    }
}

/// The highest value that counts as the same at 3 digits: HDR tells 2048 values apart in each power of two.
#[expect(clippy::cast_possible_truncation, reason = "values are at most two minutes of µs")]
fn highest_equivalent(micros: u64) -> u32 {
    let shift = micros.max(1).ilog2().saturating_sub(10);
    (micros | ((1 << shift) - 1)) as u32
}

#[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^52 µs")]
fn to_ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.each().eq(other.each())
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.buckets())
    }
}

/// Pairs of a value in µs and its count, ascending.
impl JsonSchema for Histogram {
    fn schema_name() -> Cow<'static, str> {
        "Histogram".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<(u64, u64)>::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut histogram = Self::new();
        for (value, count) in Vec::<(u64, u64)>::deserialize(from)? {
            if value > Self::HIGHEST * 2 {
                return Err(D::Error::custom(format!("a latency of {value} µs is out of range")));
            }
            let count = u32::try_from(count).map_err(|_| D::Error::custom(format!("{count} requests are too many")))?;
            histogram.add(value, count);
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|micros| histogram.record(*micros));
        histogram
    }

    #[test]
    fn a_histogram_survives_the_run_log() {
        for values in [&[][..], &[0, 1, 999], &[150_000, 150_001, 7, 119_999_999, u64::MAX]] {
            let histogram = of(values);
            let text = serde_json::to_string(&histogram).unwrap();
            let back: Histogram = serde_json::from_str(&text).unwrap();
            assert_eq!(back, histogram, "{text}");
            assert_eq!(back.count(), values.len() as u64);
            assert_eq!(serde_json::to_string(&back).unwrap(), text);
        }
        assert!(serde_json::from_str::<Histogram>("[[999999999999, 1]]").is_err());
    }

    #[test]
    fn histograms_add_whatever_their_sizes() {
        let (small, large) = (of(&[10, 20]), of(&[50_000_000]));
        for (mut one, other) in [(small.clone(), &large), (large.clone(), &small)] {
            one.merge(other);
            assert_eq!(one, of(&[10, 20, 50_000_000]));
            assert_eq!(one.rank_ms(2), Some(0.02));
            assert_eq!(one.rank_ms(4), None);
        }
        assert_eq!(Histogram::new().quantile_ms(0.95), None);
    }

    #[test]
    fn three_digits_are_kept() {
        let p95 = of(&(1..=100_000).collect::<Vec<_>>()).quantile_ms(0.95).unwrap();
        assert!((p95 / 95.0 - 1.0).abs() < 0.001, "{p95}");
    }

    #[test]
    fn a_list_takes_less_than_the_full_width() {
        let values: Vec<u64> = (0..20_000).map(|i| 1000 + i * 450).collect();
        let list = of(&values[..1000]);
        assert!(matches!(list.0, Kept::Few(_)) && list.bytes() <= 8 * 2048, "{}", list.bytes());
        let full = of(&values);
        assert!(matches!(full.0, Kept::Many(_)) && full.bytes() < 80_000, "{}", full.bytes());
    }

    proptest! {
        #[test]
        fn a_list_and_the_full_width_say_the_same(
            values in prop::collection::vec(1_u64..130_000_000, 0..300),
            quantile in 0.001_f64..1.0,
        ) {
            let list = of(&values);
            let mut full = list.clone();
            full.widen();
            let mut hdr = hdrhistogram::Histogram::<u32>::new(3).unwrap();
            values.iter().for_each(|v| hdr.record((*v).min(Histogram::HIGHEST)).unwrap());
            prop_assert_eq!(&list, &full);
            prop_assert_eq!(list.max_ms(), full.max_ms());
            prop_assert_eq!(list.count(), hdr.len());
            let theirs = (!values.is_empty()).then(|| to_ms(hdr.value_at_quantile(quantile)));
            prop_assert_eq!(list.quantile_ms(quantile), theirs);
            prop_assert_eq!(full.quantile_ms(quantile), theirs);
        }
    }
}
