//! Shares of a line: solid bars, thin progress lines, sparklines.

/// A solid bar of eighths: `███▌`. `share` is 0 to 1 of `columns`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "screen columns"
)]
pub(crate) fn solid(share: f64, columns: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * columns as f64 * 8.0).round() as usize;
    // Something that is there is never drawn as nothing.
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

/// A thin line: what is done and what is left, to be drawn in two roles.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "screen columns"
)]
pub(crate) fn thin(share: f64, columns: usize) -> (String, String) {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let done = (share * columns as f64).round() as usize;
    ("━".repeat(done), "─".repeat(columns - done))
}

/// A sparkline of the newest values that fit, two to a cell at most, each cell the larger; scaled to `top`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "one of eight levels")]
pub(crate) fn spark(values: &[f64], top: f64, columns: usize) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if columns == 0 || values.is_empty() {
        return String::new();
    }
    let per_cell = values.len().div_ceil(columns).max(1);
    values
        .chunks(per_cell)
        .map(|chunk| {
            let most = chunk.iter().copied().fold(f64::MIN, f64::max);
            let share = if top > 0.0 && most.is_finite() { (most / top).clamp(0.0, 1.0) } else { 0.0 };
            LEVELS[((share * 7.0).round() as usize).min(7)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_share() {
        assert_eq!([solid(0.5, 4), solid(0.0, 4), solid(1.0, 4), solid(0.001, 4)], ["██", "", "████", "▏"]);
        assert_eq!(thin(0.25, 4), ("━".to_owned(), "───".to_owned()));
        assert_eq!(spark(&[0.0, 7.0], 7.0, 8), "▁█");
        assert_eq!(spark(&[1.0, 7.0, 0.0, 0.0], 7.0, 2), "█▁", "a peak is never averaged away");
    }
}
