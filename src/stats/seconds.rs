//! Values second by second, laid out so that the quantile of any set of stretches costs a few look-ups.
//!
//! One table holds, for every distinct value v and every second s, how many samples before s are at or under v. The
//! number at or under v within any stretch is then a difference of two cells, and a quantile is a binary search over v.
//! Resampling ten minutes of thousands of requests a second a thousand times touches some millions of cells, not
//! billions of samples.

/// How many cells a table may have (4 bytes each); over it neighbouring values are taken together, rounding up.
const CELLS: usize = 16_000_000;

/// Counted values of one second: (value, how often), ascending.
pub type Counts = Vec<(u64, u64)>;

/// The table.
#[derive(Debug, Clone)]
pub struct Seconds {
    values: Vec<u64>,
    seconds: usize,
    /// `before[v * (seconds + 1) + s]`: samples at or under the v-th value in seconds 0..s.
    before: Vec<u32>,
}

/// A run of seconds.
pub type Stretch = std::ops::Range<usize>;

impl Seconds {
    /// Lays out one list of counted values per second.
    #[must_use]
    pub fn new(lists: &[Counts]) -> Self {
        Self::of_size(lists, CELLS)
    }

    fn of_size(lists: &[Counts], cells: usize) -> Self {
        let seconds = lists.len();
        let mut values: Vec<u64> = lists.iter().flatten().map(|(value, _)| *value).collect();
        values.sort_unstable();
        values.dedup();
        let width = seconds + 1;
        let thin = (values.len() * width).div_ceil(cells).max(1);
        if thin > 1 {
            // From the top, so that the largest value stays and every other one rounds up.
            let mut kept: Vec<u64> = values.iter().rev().step_by(thin).copied().collect();
            kept.reverse();
            values = kept;
        }
        let mut before = vec![0_u32; values.len() * width];
        for (second, list) in lists.iter().enumerate() {
            for (value, count) in list {
                let row = values.partition_point(|v| v < value);
                let cell = &mut before[row * width + second + 1];
                *cell = cell.saturating_add(u32::try_from(*count).unwrap_or(u32::MAX));
            }
        }
        for row in 0..values.len() {
            for second in 0..seconds {
                let at = row * width + second + 1;
                let under = if row == 0 { 0 } else { before[at - width] - before[at - width - 1] };
                before[at] += before[at - 1] + under;
            }
        }
        Self { values, seconds, before }
    }

    /// How many seconds there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seconds
    }

    /// True when there is no second at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seconds == 0
    }

    /// Every distinct value, ascending.
    #[must_use]
    pub fn values(&self) -> &[u64] {
        &self.values
    }

    /// How many samples lie in these stretches.
    #[must_use]
    pub fn count(&self, stretches: &[Stretch]) -> u64 {
        if self.values.is_empty() { 0 } else { self.under(self.values.len() - 1, stretches) }
    }

    /// The `rank`-th smallest value (from 1) of these stretches taken together; none when there are fewer.
    #[must_use]
    pub fn rank(&self, stretches: &[Stretch], rank: u64) -> Option<u64> {
        (rank > 0 && rank <= self.count(stretches)).then(|| self.at(stretches, rank))
    }

    /// The `rank`-th smallest value, which is known to be there.
    fn at(&self, stretches: &[Stretch], rank: u64) -> u64 {
        let (mut low, mut high) = (0, self.values.len() - 1);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.under(middle, stretches) >= rank {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        self.values[low]
    }

    /// How many samples of these stretches lie over a value.
    #[must_use]
    pub fn over(&self, stretches: &[Stretch], value: u64) -> u64 {
        match self.values.partition_point(|v| *v <= value) {
            0 => self.count(stretches),
            row => self.count(stretches) - self.under(row - 1, stretches),
        }
    }

    /// How many samples of each second lie over a value.
    pub fn over_each(&self, value: u64) -> impl Iterator<Item = u64> + '_ {
        let width = self.seconds + 1;
        let row = |row: usize| &self.before[row * width..(row + 1) * width];
        let all = self.values.len().checked_sub(1).map(row);
        let under = self.values.partition_point(|v| *v <= value).checked_sub(1).map(row);
        (0..self.seconds).map(move |second| {
            let within = |row: Option<&[u32]>| row.map_or(0, |row| row[second + 1] - row[second]);
            u64::from(within(all) - within(under))
        })
    }

    /// The `p`-quantile of these stretches: the smallest value with at least a share p of samples at or under it.
    #[must_use]
    pub fn quantile(&self, stretches: &[Stretch], p: f64) -> Option<u64> {
        let n = self.count(stretches);
        (n > 0).then(|| self.at(stretches, quantile_rank(n, p)))
    }

    fn under(&self, row: usize, stretches: &[Stretch]) -> u64 {
        let width = self.seconds + 1;
        let row = &self.before[row * width..(row + 1) * width];
        stretches.iter().map(|stretch| u64::from(row[stretch.end] - row[stretch.start])).sum()
    }
}

/// Sums of a quantity second by second, for shares.
#[derive(Debug, Clone)]
pub struct Sums {
    /// `before[s]`: the sum of seconds 0..s.
    before: Vec<u64>,
}

impl Sums {
    /// Lays out one amount per second.
    #[must_use]
    pub fn new(amounts: impl Iterator<Item = u64>) -> Self {
        let mut before = vec![0];
        let mut sum = 0;
        before.extend(amounts.map(|amount| {
            sum += amount;
            sum
        }));
        Self { before }
    }

    /// The sum over these stretches.
    #[must_use]
    pub fn of(&self, stretches: &[Stretch]) -> u64 {
        stretches.iter().map(|stretch| self.before[stretch.end] - self.before[stretch.start]).sum()
    }
}

/// The rank (from 1) of the `p`-quantile of n values: ⌈p·n⌉ (Hyndman & Fan 1996, type 1). 0 when there is none.
#[must_use]
pub fn quantile_rank(n: u64, p: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ p ≤ 1, so at most n")]
    let rank = (super::binomial::real(n) * p).ceil() as u64;
    rank.clamp(u64::from(n > 0), n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(lists: &[Counts], stretches: &[Stretch]) -> Vec<u64> {
        let mut all: Vec<u64> = stretches
            .iter()
            .flat_map(|stretch| stretch.clone())
            .flat_map(|s| &lists[s])
            .flat_map(|(value, count)| std::iter::repeat_n(*value, usize::try_from(*count).unwrap()))
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Seconds::new(&[]).quantile(&[], 0.95), None);
        assert_eq!(Seconds::new(&[vec![], vec![]]).quantile(std::slice::from_ref(&(0..2)), 0.95), None);
    }

    #[test]
    fn sums_add_stretches() {
        let sums = Sums::new([1, 10, 100].into_iter());
        assert_eq!(sums.of(std::slice::from_ref(&(0..3))), 111);
        assert_eq!(sums.of(&[2..3, 1..1, 0..1, 2..3]), 201);
    }

    #[test]
    fn a_crowded_table_keeps_the_largest_value_and_rounds_up() {
        let lists: Vec<Counts> = (0..40).map(|s| (0..5).map(|v| (v * 40 + s, 1)).collect()).collect();
        let table = Seconds::of_size(&lists, 4000);
        assert_eq!(table.values().len(), 67);
        let all = std::slice::from_ref(&(0..40));
        assert_eq!(table.count(all), 200);
        assert_eq!(table.quantile(all, 1.0), Some(199));
        let p95 = table.quantile(all, 0.95).unwrap();
        assert!((189..=191).contains(&p95), "{p95}");
    }

    proptest! {
        #[test]
        fn ranks_are_those_of_the_sorted_values(
            lists in prop::collection::vec(prop::collection::btree_map(1_u64..50, 1_u64..4, 0..6), 1..20),
            picks in prop::collection::vec((0_usize..100, 0_usize..100), 1..6),
            p in 0.0_f64..=1.0,
        ) {
            let lists: Vec<Counts> = lists.into_iter().map(|m| m.into_iter().collect()).collect();
            let edge = |at: &usize| at % (lists.len() + 1);
            let stretches: Vec<Stretch> =
                picks.iter().map(|(a, b)| edge(a).min(edge(b))..edge(a).max(edge(b))).collect();
            let table = Seconds::new(&lists);
            let sorted = naive(&lists, &stretches);
            prop_assert_eq!(table.count(&stretches), u64::try_from(sorted.len()).unwrap());
            for (i, value) in sorted.iter().enumerate() {
                prop_assert_eq!(table.rank(&stretches, i as u64 + 1), Some(*value));
            }
            prop_assert_eq!(table.rank(&stretches, sorted.len() as u64 + 1), None);
            prop_assert_eq!(table.quantile(&stretches, p).is_some(), !sorted.is_empty());
            for value in 0..51 {
                let over = sorted.iter().filter(|v| **v > value).count();
                prop_assert_eq!(table.over(&stretches, value), over as u64);
                let each: Vec<u64> = table.over_each(value).collect();
                let summed: u64 = stretches.iter().flat_map(|stretch| &each[stretch.clone()]).sum();
                prop_assert_eq!(summed, over as u64);
            }
        }
    }
}
