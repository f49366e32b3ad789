//! `segments`: see `segments --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match collector::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("segments: {error:#}");
            ExitCode::FAILURE
        }
    }
}
