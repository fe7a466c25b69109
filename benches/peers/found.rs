//! What there is on this machine: its processor, and the programs that are compared.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program: where `scripts/peers.sh` installs it, else in `PATH`.
pub fn program(name: &str) -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin");
    let everywhere = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(installed)
        .chain(std::env::split_paths(&everywhere))
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
}

/// The first line that a command prints, wherever.
pub fn words(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let text = output.map(|o| [o.stdout, o.stderr].concat()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().next().and_then(|line| line.split(" from ").next()).unwrap_or("unknown").trim().replace('\t', " ")
}

/// When, and on what.
pub fn here() -> String {
    format!("{}, {}", jiff::Timestamp::now().strftime("%F %R UTC"), machine())
}

/// Cores, processor and kernel.
pub fn machine() -> String {
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!(
        "{} cores of {}, Linux {}",
        std::thread::available_parallelism().map_or(0, usize::from),
        model.map_or("an unknown processor", |(_, name)| name),
        read("/proc/sys/kernel/osrelease").trim(),
    )
}
