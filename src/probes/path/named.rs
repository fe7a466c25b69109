//! The process id that a server named in its handshake (`BackendKeyData`). The driver keeps it for cancelling only, so it
//! writes a cancel request, into a pipe of our own instead of to the server. Where the connection has TLS it first asks
//! the pipe for TLS: the pipe says yes, and none is spoken.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio_postgres::Client;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use crate::probes::ProbeError;

use super::SYSTEM;

/// A request for TLS: its length and its code, 4 bytes each.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// More than all that is written.
const PIPE: usize = 64;

/// The process id; none when the driver wrote something else.
pub(super) async fn named(client: &Client) -> Result<Option<u32>, ProbeError> {
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let token = client.cancel_token();
    let (asked, heard) = tokio::join!(token.cancel_query_raw(theirs, Bare), hear(ours));
    asked.map_err(|e| ProbeError::odd(SYSTEM, e))?;
    heard.map_err(|e| ProbeError::odd(SYSTEM, e))
}

/// A cancel request: length, code, process id, secret key; 4 bytes each.
async fn hear(mut pipe: DuplexStream) -> io::Result<Option<u32>> {
    let mut head = [0; 8];
    pipe.read_exact(&mut head).await?;
    if head == TLS_REQUEST {
        pipe.write_all(b"S").await?;
        pipe.read_exact(&mut head).await?;
    }
    let mut rest = Vec::new();
    pipe.read_to_end(&mut rest).await?;
    Ok(rest.get(..4).and_then(|pid| pid.try_into().ok()).map(u32::from_be_bytes))
}

/// Takes the pipe as if it were encrypted.
struct Bare;

impl TlsConnect<DuplexStream> for Bare {
    type Stream = Pipe;
    type Error = io::Error;
    type Future = Ready<io::Result<Pipe>>;

    fn connect(self, pipe: DuplexStream) -> Self::Future {
        ready(Ok(Pipe(pipe)))
    }
}

struct Pipe(DuplexStream);

impl TlsStream for Pipe {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
