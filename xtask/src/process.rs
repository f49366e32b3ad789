//! Starting other programs: always said aloud, never silent for long, and a failure names the command.

use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// After this long without a word from a quiet command we say that it still runs.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Runs a command with our own output; it speaks for itself.
///
/// # Errors
/// When it cannot be started or does not end with 0; the message holds the command line.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = command_line(command);
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// Runs a command that has nothing to say unless it fails, with a line every few seconds while it works.
///
/// # Errors
/// As [`run`]; the command's whole output is part of the message.
pub(crate) fn quiet(what: &str, command: &mut Command) -> Result<()> {
    let line = command_line(command);
    let start = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    let (done, is_done) = mpsc::channel::<()>();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            while is_done.recv_timeout(HEARTBEAT) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("   … {what}: {} s", start.elapsed().as_secs());
            }
        });
        let output = child.wait_with_output();
        drop(done);
        output
    })
    .with_context(|| format!("cannot read the output of `{line}`"))?;
    if !output.status.success() {
        bail!(
            "`{line}` failed: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// What a command prints.
///
/// # Errors
/// As [`run`]; what it printed on standard error is part of the message.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = command_line(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed something that is not UTF-8"))
}

/// The same cargo that runs us, at the root of the workspace.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Looks a program up in `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A command as a person would type it, for messages.
fn command_line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = quiet("trying", Command::new("sh").args(["-c", "echo no such thing; exit 3"])).unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains("sh -c") && message.contains("exit status: 3"), "{message}");
        assert!(message.contains("no such thing"), "{message}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(&mut Command::new("segments-has-no-such-program")).unwrap_err();
        assert!(format!("{error:#}").contains("cannot start `segments-has-no-such-program`"), "{error:#}");
    }

    #[test]
    fn output_is_what_was_printed() {
        assert_eq!(output(Command::new("sh").args(["-c", "printf seven"])).unwrap(), "seven");
    }
}
