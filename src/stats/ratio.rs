//! Interval of the ratio of two independent figures of which only their own intervals are known.
//!
//! MOVER, the method of variance estimates recovery (Zou & Donner, *Stat. Med.* 27, 2008; for ratios Donner & Zou,
//! *Stat. Methods Med. Res.* 21, 2012), on the logarithmic scale where a ratio is a difference.

/// (ratio, low, high) of `new / old`, each given as (value, low, high); none unless all are positive and in order.
#[must_use]
pub fn ratio(new: [f64; 3], old: [f64; 3]) -> Option<[f64; 3]> {
    let right = |[value, low, high]: [f64; 3]| low > 0.0 && low <= value && value <= high && high.is_finite();
    if !right(new) || !right(old) {
        return None;
    }
    let ([n, n_low, n_high], [o, o_low, o_high]) = (new.map(f64::ln), old.map(f64::ln));
    let low = n - o - (n - n_low).hypot(o_high - o);
    let high = n - o + (n_high - n).hypot(o - o_low);
    Some([n - o, low, high].map(f64::exp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prop_assert, proptest};

    #[test]
    fn agrees_with_the_formula_by_hand() {
        // Equal relative widths of 10 %: the ratio's is √2 times as wide on the log scale.
        let [value, low, high] = ratio([200.0, 200.0 / 1.1, 220.0], [100.0, 100.0 / 1.1, 110.0]).unwrap();
        let wide = (2.0_f64.sqrt() * 1.1_f64.ln()).exp();
        assert!((value - 2.0).abs() < 1e-9 && (low - 2.0 / wide).abs() < 1e-9 && (high - 2.0 * wide).abs() < 1e-9);
        assert_eq!(ratio([1.0, 0.0, 2.0], [1.0, 0.5, 2.0]), None);
        assert_eq!(ratio([1.0, 0.5, f64::INFINITY], [1.0, 0.5, 2.0]), None);
        assert_eq!(ratio([1.0, f64::NAN, 2.0], [1.0, 0.5, 2.0]), None);
    }

    proptest! {
        #[test]
        fn the_other_way_round_is_the_reciprocal(a in 1.0_f64..1e4, b in 1.0_f64..1e4, w in 1.0_f64..2.0, v in 1.0_f64..2.0) {
            let (new, old) = ([a, a / w, a * v], [b, b / v, b * w]);
            let ([r, low, high], [s, s_low, s_high]) = (ratio(new, old).unwrap(), ratio(old, new).unwrap());
            prop_assert!(low <= r && r <= high);
            prop_assert!((r * s - 1.0).abs() < 1e-9 && (low * s_high - 1.0).abs() < 1e-9 && (high * s_low - 1.0).abs() < 1e-9);
        }
    }
}
