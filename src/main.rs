//! The door: read the command line and the environment, choose what to do, return an exit code.

use std::process::ExitCode;

use clap::Parser;

use rampup::app;
use rampup::cli::Cli;
use rampup::config::Environment;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(app::run(cli, Environment::read())),
        Err(why) => {
            use std::io::Write;
            // There is nowhere else to say it.
            let _ = writeln!(std::io::stderr(), "rampup: the runtime cannot start: {why}");
            ExitCode::from(3)
        }
    }
}
