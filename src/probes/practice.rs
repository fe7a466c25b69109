//! A stand-in of the practice stack in a process of its own, for tests that hold it against a published description.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use url::Url;

/// It ends with the test.
pub(crate) struct StandIn {
    process: Child,
    /// Where it answers.
    pub url: Url,
}

impl StandIn {
    /// Starts a script of `assets/lab`; the first line that it prints holds `before` and then the port.
    pub fn start(script: &str, arguments: &[&str], env: &[(&str, &str)], before: &str) -> Self {
        let path = format!("{}/assets/lab/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("python3");
        command.arg(path).args(arguments).envs(env.iter().copied());
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.split(before).nth(1).and_then(|rest| rest.split(',').next()).unwrap().trim();
        let url = format!("http://127.0.0.1:{port}/").parse().unwrap();
        Self { process, url }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
