//! SeaweedFS's peculiarities: its flags, and the sockets it leaves in `/tmp` whatever `TMPDIR` says.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use super::layout::Layout;

/// The servers inside the one process.
const PARTS: [&str; 4] = ["master", "volume", "filer", "s3"];

/// The command line of one process that is master, volume, filer and S3 server, on loopback alone.
///
/// Without the short election a warm start takes 16 s; telemetry to a public host is on unless switched off; every
/// bucket preallocates volumes, hence many small ones; Iceberg and Lance would open two more ports.
pub(crate) fn arguments(layout: &Layout, port: &dyn Fn(&str) -> u16) -> Vec<String> {
    let run = layout.run();
    let mut arguments: Vec<String> = [
        // Before the command: otherwise it writes files of its own wherever the temporary folder is.
        "-logtostderr=true",
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-master.electionTimeout=1s",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=100",
        "-filer",
        "-s3",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("-dir={}", layout.data().join("s3").display()));
    arguments.push(format!("-s3.config={}", layout.conf().join("s3.json").display()));
    arguments.push(format!("-filer.localSocket={}", run.join("filer.sock").display()));
    arguments.push(format!("-s3.localSocket={}", run.join("s3.sock").display()));
    for part in PARTS {
        arguments.push(format!("-{part}.port={}", port(part)));
        arguments.push(format!("-{part}.port.grpc={}", port(&format!("{part}_grpc"))));
    }
    arguments
}

fn socket(part: &str, grpc_port: u16) -> PathBuf {
    format!("/tmp/seaweedfs-{part}-grpc-{grpc_port}.sock").into()
}

/// Removes the sockets that a killed server left behind: they block the next start when another user owns them.
pub(crate) fn remove_stale_sockets(port: &dyn Fn(&str) -> u16) {
    for part in PARTS {
        let path = socket(part, port(&format!("{part}_grpc")));
        if std::fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket()) {
            // If it stays, the server says so in its log when it starts.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// False when somebody else's leftover would block a server on this port.
pub(crate) fn sockets_removable(grpc_port: u16) -> bool {
    let me = rustix::process::geteuid();
    PARTS.iter().all(|part| match std::fs::symlink_metadata(socket(part, grpc_port)) {
        Ok(found) => me.is_root() || found.uid() == me.as_raw(),
        Err(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn listens_on_loopback_alone_and_tells_nobody() {
        let line = arguments(&Layout::new(Path::new("/lab")), &|_| 1).join(" ");
        for flag in ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-s3.config=/lab/conf/s3.json"] {
            assert!(line.contains(flag), "{flag} is missing in {line}");
        }
    }

    #[test]
    fn a_stale_socket_is_removed_and_a_file_is_not() {
        let port = 1; // nobody runs a practice stack there
        let path = socket("filer", port);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(listener);
        assert!(sockets_removable(port));
        remove_stale_sockets(&|_| port);
        assert!(!path.exists());
    }
}
