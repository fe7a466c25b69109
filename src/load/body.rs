//! An answer's body, read to its last byte within limits: what a hostile or broken server sends must not fill memory.
//!
//! Bytes are counted after decoding, so that a small answer that unpacks to a huge one meets the same limits.

use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Response;

/// Bytes of one body that are kept for looking at; the rest is read and dropped.
pub(super) const KEPT: usize = 8 << 20;
/// Bytes that all users together keep at one time.
const KEPT_BY_ALL: usize = 256 << 20;
/// Longest body that is read at all.
pub(super) const READ: u64 = 64 << 20;

/// What all users keep now.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// A body as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// What was kept; empty when nobody asked.
    pub kept: Vec<u8>,
    /// Its length, decoded.
    pub bytes: u64,
    /// Asked to be kept, and too large for it.
    pub cut: bool,
    /// Why it did not come to its end.
    pub broken: Option<Broken>,
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection failed.
    Off(reqwest::Error),
    /// It went on and on.
    TooLong,
}

impl Body {
    /// Reads to the end, keeping what comes if somebody asks. The client's timeout covers it.
    pub async fn read(response: &mut Response, keep: bool) -> Self {
        let mut body = Self::default();
        loop {
            match response.chunk().await {
                Ok(Some(bytes)) => {
                    body.bytes += bytes.len() as u64;
                    if body.bytes > READ {
                        body.broken = Some(Broken::TooLong);
                        return body;
                    }
                    if keep {
                        body.keep(&bytes);
                    }
                }
                Ok(None) => return body,
                Err(error) => {
                    body.broken = Some(Broken::Off(error));
                    return body;
                }
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.kept.len() + bytes.len() <= KEPT;
        if self.cut || !room || HELD.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len() > KEPT_BY_ALL {
            if !self.cut && room {
                HELD.fetch_sub(bytes.len(), Ordering::Relaxed);
            }
            self.cut = true;
            return;
        }
        self.kept.extend_from_slice(bytes);
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        HELD.fetch_sub(self.kept.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_the_limit_and_it_is_said() {
        let mut body = Body::default();
        for _ in 0..9 {
            body.keep(&[0; 1 << 20]);
        }
        assert!(body.cut && body.kept.len() == KEPT);
        body.keep(b"x");
        assert_eq!(body.kept.len(), KEPT, "no hole in what is kept");
    }

    #[test]
    fn all_users_together_keep_no_more_than_their_limit() {
        let mut all: Vec<Body> = (0..40).map(|_| Body::default()).collect();
        for body in &mut all {
            for _ in 0..8 {
                body.keep(&[0; 1 << 20]);
            }
        }
        let kept: usize = all.iter().map(|body| body.kept.len()).sum();
        assert!(kept <= KEPT_BY_ALL && all.iter().any(|body| body.cut), "{kept}");
    }
}
