//! Free loopback ports: picked once per lab as one block, kept as long as nobody else takes them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use super::error::{LabError, Result};

/// Every port a lab needs, in the order they are numbered. Those after `edge` are internal to the object store.
pub(crate) const NAMES: [&str; 18] = [
    "postgres",
    "redis_cache",
    "redis_broker",
    "s3",
    "sink_http",
    "sink_smtp",
    "sink_statsd",
    "pgbouncer",
    "clouds",
    "web",
    "edge",
    "s3_grpc",
    "master",
    "master_grpc",
    "volume",
    "volume_grpc",
    "filer",
    "filer_grpc",
];

/// Below the ports that systems hand out for outgoing connections (32768 on Linux, 49152 on a Mac): a thousand
/// users' connections must not sit on a port that a service wants back after a restart.
const RANGE: (u16, u16) = (20_000, 32_000);

/// Picks a block of ports of which every one can be bound now.
pub(crate) fn pick() -> Result<BTreeMap<String, u16>> {
    let wanted = u16::try_from(NAMES.len()).unwrap_or(u16::MAX);
    for _ in 0..200 {
        let first = rand::random_range(RANGE.0..RANGE.1 - wanted);
        if (first..first + wanted).all(is_free) {
            return Ok(NAMES.iter().zip(first..).map(|(name, port)| ((*name).to_owned(), port)).collect());
        }
    }
    Err(LabError::NoPorts { wanted: NAMES.len(), low: RANGE.0, high: RANGE.1 })
}

/// True when a service could listen here now: TCP and UDP, and no foreign leftover of the object store.
pub(crate) fn is_free(port: u16) -> bool {
    let at = (Ipv4Addr::LOCALHOST, port);
    TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok() && super::weed::sockets_removable(port)
}

/// Who listens on this TCP port, as far as the system tells us: "nginx (process 123)".
pub(crate) fn owner(port: u16) -> String {
    listener(port).unwrap_or_else(|| "another program".to_owned())
}

#[cfg(target_os = "linux")]
fn listener(port: u16) -> Option<String> {
    let inode = listening_inode(&std::fs::read_to_string("/proc/net/tcp").ok()?, port)?;
    let link = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    // Numbers only: `self` and `thread-self` are there as well.
    for process in processes.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok()) {
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        if files.flatten().any(|f| std::fs::read_link(f.path()).is_ok_and(|to| to.as_os_str() == link.as_str())) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {})", name.trim(), process.file_name().to_string_lossy()));
        }
    }
    None
}

#[cfg(not(target_os = "linux"))]
fn listener(_: u16) -> Option<String> {
    None
}

/// The socket that listens (state 0A) on this port in `/proc/net/tcp`.
#[cfg(target_os = "linux")]
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = u16::from_str_radix(fields.get(1)?.rsplit(':').next()?, 16).ok()?;
        (local == port && *fields.get(3)? == "0A").then(|| fields.get(9)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_a_block_that_can_be_bound() {
        let ports = pick().unwrap();
        assert_eq!(ports.len(), NAMES.len());
        let holders: Vec<_> = ports.values().map(|p| TcpListener::bind((Ipv4Addr::LOCALHOST, *p)).unwrap()).collect();
        assert!(ports.values().all(|port| !is_free(*port) && *port < 32_768));
        drop(holders);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_who_holds_a_port() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        assert!(owner(port).contains(&format!("(process {})", std::process::id())), "{}", owner(port));
        assert!(!is_free(port));
    }
}
