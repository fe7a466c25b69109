//! An output whose reader may leave. A verdict is reached with nobody listening too: what can no longer be printed is
//! dropped, and the exit code still says it. Any other trouble with the output stays one.

use std::io::{self, Write};

/// Writes as long as somebody reads; after that it takes everything and keeps nothing.
#[derive(Debug)]
pub struct Patient<W>(W);

impl<W: Write> Patient<W> {
    /// Over this output.
    pub fn new(out: W) -> Self {
        Self(out)
    }
}

/// Standard output, for whoever looks.
#[must_use]
pub fn stdout() -> Patient<io::Stdout> {
    Patient::new(io::stdout())
}

/// Standard error, for whoever looks.
#[must_use]
pub fn stderr() -> Patient<io::Stderr> {
    Patient::new(io::stderr())
}

impl<W: Write> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_gone(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_gone(self.0.flush(), ())
    }
}

/// What was answered; where the reader has gone, what is answered in place of that.
fn unless_gone<T>(done: io::Result<T>, gone: T) -> io::Result<T> {
    match done {
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(gone),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes and then says this.
    struct Ends(usize, io::ErrorKind);

    impl Write for Ends {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.0);
            self.0 -= fits;
            if fits == 0 { Err(self.1.into()) } else { Ok(fits) }
        }

        fn flush(&mut self) -> io::Result<()> {
            if self.0 == 0 { Err(self.1.into()) } else { Ok(()) }
        }
    }

    #[test]
    fn a_reader_that_leaves_is_no_trouble_and_a_full_disk_is() {
        for (room, kind, works) in [
            (100, io::ErrorKind::BrokenPipe, true),
            (3, io::ErrorKind::BrokenPipe, true),
            (0, io::ErrorKind::BrokenPipe, true),
            (3, io::ErrorKind::StorageFull, false),
        ] {
            let mut out = Patient::new(Ends(room, kind));
            for _ in 0..2 {
                let done = out.write_all(b"HELD step 2").and_then(|()| out.flush());
                assert_eq!(done.is_ok(), works, "{room} {kind:?}: {done:?}");
            }
        }
    }
}
