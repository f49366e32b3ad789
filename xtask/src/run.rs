//! `cargo xtask run`: from a fresh clone to a running Segments.

use crate::process::{self, cargo};
use crate::workspace::Workspace;
use crate::{assets, install};
use anyhow::{Context as _, Result};
use clap::Args;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `cargo xtask run` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// The port on 127.0.0.1 to listen on.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Where the data lives; the next start finds it again. Default: .segments at the root of the repository.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Start empty: no demo shop, no generated customers, no CDNOW orders.
    #[arg(long)]
    no_demo: bool,
}

/// Installs what is missing, builds assets and release binary, and becomes the server.
///
/// # Errors
/// When something cannot be installed, built or started. A server that was started answers for itself: this process
/// *is* it then, so that signals and the exit code need no go-between.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    install::for_server(workspace)?;
    assets::build(workspace)?;
    println!("building the server (a first build takes about four minutes on two cores)");
    process::run(cargo(&workspace.root).args(["build", "--release", "--locked", "-p", "collector"]))?;

    let program = workspace.target.join("release/segments");
    let mut server = Command::new(&program);
    server.arg("serve").arg("--listen").arg(format!("127.0.0.1:{}", options.port));
    // The server takes a port from the environment too, but not beside --listen.
    server.env_remove("PORT");
    if let Some(data) = data_folder(workspace, options.data.as_deref())? {
        println!("data: {}", data.display());
        server.arg("--data").arg(data);
    }
    if !options.no_demo {
        server.arg("--demo");
    }
    Err(server.exec()).with_context(|| format!("cannot start {}", program.display()))
}

/// The folder to name to the server, or `None` for the server's own default.
fn data_folder(workspace: &Workspace, chosen: Option<&Path>) -> Result<Option<PathBuf>> {
    if let Some(chosen) = chosen {
        return std::path::absolute(chosen)
            .map(Some)
            .with_context(|| format!("cannot make {} absolute", chosen.display()));
    }
    if std::env::var_os("DATABASE_URL").is_some() {
        println!("data: in the database that DATABASE_URL names");
        return Ok(None);
    }
    if let Some(folder) = std::env::var_os("SEGMENTS_DATA") {
        println!("data: {}, as SEGMENTS_DATA says", Path::new(&folder).display());
        return Ok(None);
    }
    let is_root = process::output(Command::new("id").arg("-u"))?.trim_end() == "0";
    match is_root.then(|| closed_ancestor(&workspace.root)).flatten() {
        // PostgreSQL does not run as root, and the user it runs as instead could not reach its own data.
        Some(closed) => {
            println!("data: in the server's default folder, because only root may enter {}", closed.display());
            Ok(None)
        }
        None => Ok(Some(workspace.root.join(".segments"))),
    }
}

/// The first folder on the way to `folder` that other users may not enter.
fn closed_ancestor(folder: &Path) -> Option<&Path> {
    const OTHERS_ENTER: u32 = 0o001;
    let open = |folder: &Path| folder.metadata().is_ok_and(|found| found.permissions().mode() & OTHERS_ENTER != 0);
    let mut way: Vec<&Path> = folder.ancestors().collect();
    way.reverse();
    way.into_iter().find(|folder| !open(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_below_a_closed_folder_is_not_for_another_user() {
        let folder = std::env::temp_dir().join(format!("segments-closed-{}", std::process::id()));
        let inner = folder.join("home/checkout");
        std::fs::create_dir_all(&inner).unwrap();
        let close =
            |mode| std::fs::set_permissions(folder.join("home"), std::fs::Permissions::from_mode(mode)).unwrap();
        close(0o755);
        assert_eq!(closed_ancestor(&inner), None);
        close(0o700);
        assert_eq!(closed_ancestor(&inner), Some(folder.join("home").as_path()));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
