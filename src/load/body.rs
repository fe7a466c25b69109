//! An answer's body, read to its last byte within limits: what a hostile or broken server sends must not fill memory.
//!
//! Bytes are counted after decoding, so that a small answer that unpacks to a huge one meets the same limits.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};
use tower_http::decompression::DecompressionBody;

use super::wire::Fault;

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
    /// The connection failed, or time ran out.
    Off(Fault),
    /// It went on and on.
    TooLong,
}

impl Body {
    /// Reads to the end, until the deadline at most, keeping what comes if somebody asks.
    pub async fn read(arriving: DecompressionBody<Incoming>, deadline: Instant, keep: bool) -> Self {
        let mut body = Self::default();
        let read = timeout_at(deadline, body.take_in(pin!(arriving), keep)).await;
        body.broken = read.unwrap_or(Err(Broken::Off(Fault::Late))).err();
        body
    }

    async fn take_in(&mut self, mut arriving: Pin<&mut DecompressionBody<Incoming>>, keep: bool) -> Result<(), Broken> {
        while let Some(frame) = poll_fn(|cx| arriving.as_mut().poll_frame(cx)).await {
            // What is no data is trailers.
            let Ok(bytes) = frame.map_err(|e| Broken::Off(Fault::Broken(e)))?.into_data() else { continue };
            self.bytes += bytes.len() as u64;
            if self.bytes > READ {
                return Err(Broken::TooLong);
            }
            if keep {
                self.keep(&bytes);
            }
        }
        Ok(())
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
