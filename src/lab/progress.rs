//! How the practice stack says what it is doing. It never prints: whoever calls decides where the lines go.

/// Receives one line per thing done or begun; long commands send their own output through it.
pub struct Progress(Box<dyn Fn(&str) + Send + Sync>);

impl Progress {
    /// Sends every line to this function.
    pub fn new(line: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Box::new(line))
    }

    /// Nobody listens.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// One line, stripped of control characters (some of it is other programs' output).
    pub fn say(&self, line: impl AsRef<str>) {
        (self.0)(&crate::domain::text::tame(line.as_ref().trim_end(), 240));
    }
}
