//! Colours and signs. The terminal is borrowed: the background is never painted, plain text keeps its own colour, and
//! bright black is never used (it *is* the background in Solarized).
//!
//! Knows no environment: which theme, how many colours and whether ASCII only is handed in.

use ratatui::style::{Color, Modifier, Style};

use crate::domain::check::CheckOutcome;
use crate::domain::progress::StepState;

/// Which ground the colours must stand out from, and for which eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// For dark grounds.
    #[default]
    Dark,
    /// For light grounds.
    Light,
    /// Blue and orange instead of green and red, dark ground.
    CvdDark,
    /// Blue and orange instead of green and red, light ground.
    CvdLight,
}

impl Theme {
    /// All of them, in the order in which a key steps through them.
    pub const ALL: [Theme; 4] = [Theme::Dark, Theme::Light, Theme::CvdDark, Theme::CvdLight];

    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::CvdDark,
            Self::CvdDark => Self::CvdLight,
            Self::CvdLight => Self::Dark,
        }
    }

    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::CvdDark => "dark, blue and orange",
            Self::CvdLight => "light, blue and orange",
        }
    }
}

/// How many colours the terminal has, or may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tier {
    /// None: bold, underline and reverse only (`NO_COLOR`).
    Mono,
    /// The terminal's own sixteen.
    Sixteen,
    /// The 256 of the xterm palette.
    #[default]
    Indexed,
}

/// How the screen shall look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// Colours.
    pub theme: Theme,
    /// How many of them.
    pub tier: Tier,
    /// ASCII signs only.
    pub ascii: bool,
}

/// What a piece of text is, from which its style follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Plain text: the terminal's own colour.
    Text,
    /// Plain text that matters.
    Strong,
    /// Less important, frames, locked and open steps, p50.
    Muted,
    /// Proven, pass.
    Pass,
    /// Held, fail, regressed.
    Fail,
    /// Waived, stale, weak, unknown, look here.
    Warn,
    /// Running, the focused pane, keys, p95.
    Focus,
    /// The 99th percentile.
    P99,
    /// The line that must not be crossed.
    Slo,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 9] =
        [Role::Text, Role::Strong, Role::Muted, Role::Pass, Role::Fail, Role::Warn, Role::Focus, Role::P99, Role::Slo];
}

impl Look {
    /// Index in the xterm palette; none for the terminal's own colour.
    #[must_use]
    pub fn index(self, role: Role) -> Option<u8> {
        let (dark, light, cvd_dark, cvd_light) = match role {
            Role::Text | Role::Strong => return None,
            Role::Muted => (248, 241, 248, 241),
            Role::Pass => (86, 23, 75, 25),
            Role::Fail => (203, 88, 208, 88),
            Role::Warn => (220, 94, 228, 94),
            Role::Focus => (111, 26, 111, 26),
            Role::P99 => (214, 94, 214, 94),
            Role::Slo => (203, 88, 208, 88),
        };
        Some(match self.theme {
            Theme::Dark => dark,
            Theme::Light => light,
            Theme::CvdDark => cvd_dark,
            Theme::CvdLight => cvd_light,
        })
    }

    /// The style of a role.
    #[must_use]
    pub fn style(self, role: Role) -> Style {
        let plain = Style::new();
        let colour = match self.tier {
            Tier::Mono => plain,
            Tier::Indexed => self.index(role).map_or(plain, |index| plain.fg(Color::Indexed(index))),
            Tier::Sixteen => match (role, matches!(self.theme, Theme::CvdDark | Theme::CvdLight)) {
                (Role::Pass, false) => plain.fg(Color::Green),
                (Role::Pass, true) | (Role::Focus, _) => plain.fg(Color::Blue),
                (Role::Fail | Role::Slo, false) => plain.fg(Color::Red),
                (Role::Warn | Role::P99, _) => plain.fg(Color::Yellow),
                _ => plain,
            },
        };
        colour.add_modifier(self.modifier(role))
    }

    fn modifier(self, role: Role) -> Modifier {
        match (role, self.tier) {
            (Role::Strong, _) => Modifier::BOLD,
            (Role::Pass | Role::Focus, Tier::Mono) => Modifier::BOLD,
            (Role::Fail, Tier::Mono) => Modifier::REVERSED,
            (Role::Warn, Tier::Mono) => Modifier::UNDERLINED,
            // Dark green is close to the muted grey on a light ground; weight tells them apart.
            (Role::Pass, _) if matches!(self.theme, Theme::Light | Theme::CvdLight) => Modifier::BOLD,
            _ => Modifier::empty(),
        }
    }
}

/// Sign and role of a step's state. The word stands beside it everywhere.
#[must_use]
pub fn of_state(state: StepState) -> (&'static str, Role) {
    match state {
        StepState::Locked => ("·", Role::Muted),
        StepState::Open => ("○", Role::Muted),
        StepState::Running => ("◐", Role::Focus),
        StepState::Proven => ("✓", Role::Pass),
        StepState::Held => ("✗", Role::Fail),
        StepState::Waived => ("~", Role::Warn),
        StepState::Stale => ("↻", Role::Warn),
        StepState::Regressed => ("!", Role::Fail),
    }
}

/// Sign and role of a check's answer.
#[must_use]
pub fn of_outcome(outcome: &CheckOutcome) -> (&'static str, Role) {
    match outcome {
        CheckOutcome::Pass => ("✓", Role::Pass),
        CheckOutcome::Fail(_) => ("✗", Role::Fail),
        CheckOutcome::Weak(_) => ("!", Role::Warn),
        CheckOutcome::Unknown(_) => ("?", Role::Warn),
        CheckOutcome::NotApplicable(_) => ("-", Role::Muted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of WCAG 2.
    fn luminance((r, g, b): (u8, u8, u8)) -> f64 {
        let linear = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    fn contrast(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// The xterm palette from 16 up: a 6x6x6 cube and 24 greys.
    fn rgb(index: u8) -> (u8, u8, u8) {
        assert!(index >= 16, "the first sixteen are the user's own and cannot be computed");
        if index >= 232 {
            let grey = 8 + 10 * (index - 232);
            return (grey, grey, grey);
        }
        let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
        let n = index - 16;
        (level(n / 36), level(n / 6 % 6), level(n % 6))
    }

    #[test]
    fn every_colour_can_be_read_on_the_grounds_people_use() {
        let dark = [(0, 0, 0), (0x1e, 0x1e, 0x1e), (0x28, 0x2c, 0x34), (0x00, 0x2b, 0x36)];
        let light = [(255, 255, 255), (0xfa, 0xfa, 0xfa), (0xee, 0xee, 0xee), (0xfd, 0xf6, 0xe3)];
        for theme in Theme::ALL {
            let grounds = if matches!(theme, Theme::Dark | Theme::CvdDark) { dark } else { light };
            let look = Look { theme, ..Look::default() };
            for role in Role::ALL {
                let Some(index) = look.index(role) else { continue };
                for ground in grounds {
                    let contrast = contrast(rgb(index), ground);
                    assert!(contrast >= 4.5, "{role:?} of {theme:?} on {ground:?}: {contrast:.2}");
                }
            }
        }
    }

    #[test]
    fn no_ground_is_painted_and_bright_black_is_never_used() {
        for theme in Theme::ALL {
            for tier in [Tier::Mono, Tier::Sixteen, Tier::Indexed] {
                for role in Role::ALL {
                    let style = Look { theme, tier, ascii: false }.style(role);
                    assert_eq!(style.bg, None);
                    assert!(!matches!(style.fg, Some(Color::DarkGray | Color::Indexed(8))));
                    if tier == Tier::Mono {
                        assert_eq!(style.fg, None);
                    }
                }
            }
        }
    }

    #[test]
    fn states_that_mean_different_things_differ_without_colour() {
        let states = [
            StepState::Locked,
            StepState::Open,
            StepState::Running,
            StepState::Proven,
            StepState::Held,
            StepState::Waived,
            StepState::Stale,
            StepState::Regressed,
        ];
        let signs: std::collections::BTreeSet<_> = states.iter().map(|s| of_state(*s).0).collect();
        assert_eq!(signs.len(), states.len());
    }
}
