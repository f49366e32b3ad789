//! Where things are.

use crate::process;
use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// The folders of this checkout.
pub(crate) struct Workspace {
    /// Holds the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds (`CARGO_TARGET_DIR`, or `target`).
    pub(crate) target: PathBuf,
    /// The members' manifests, as `cargo metadata --no-deps` tells them.
    pub(crate) members: Vec<Member>,
}

/// One crate of the workspace.
pub(crate) struct Member {
    /// The package's name.
    pub(crate) name: String,
    /// The workspace's own crates that it depends on, in any way (also for tests and builds), sorted.
    pub(crate) knows: Vec<String>,
    /// The names of its integration tests.
    pub(crate) tests: Vec<String>,
    /// The names of its programs.
    pub(crate) programs: Vec<String>,
}

impl Workspace {
    /// Reads the workspace that this xtask belongs to.
    ///
    /// # Errors
    /// When `cargo metadata` fails or says something unexpected.
    pub(crate) fn read() -> Result<Self> {
        // At run time cargo tells where we are; the compiled-in path serves someone who starts the binary by hand.
        let ours = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = PathBuf::from(&ours).parent().context("xtask lies at the root of the file system")?.to_owned();
        let answer = process::output(process::cargo(&root).args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ]))?;
        let metadata: serde_json::Value = serde_json::from_str(&answer).context("cannot read cargo's metadata")?;
        let target = metadata["target_directory"].as_str().context("cargo's metadata names no target directory")?;
        let packages = metadata["packages"].as_array().context("cargo's metadata lists no packages")?;
        let names: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
        let members = packages.iter().map(|package| Member::read(package, &names)).collect::<Result<_>>()?;
        Ok(Workspace { target: target.into(), root, members })
    }

    /// The built assets. Not below `CARGO_TARGET_DIR`, because `collector/build.rs` cannot know that folder.
    pub(crate) fn assets(&self) -> PathBuf {
        self.root.join("target/assets")
    }

    /// The folder with the npm packages that assets are made of and with.
    pub(crate) fn npm(&self) -> PathBuf {
        self.root.join("xtask/npm")
    }
}

impl Member {
    fn read(package: &serde_json::Value, members: &[&str]) -> Result<Self> {
        let name = package["name"].as_str().context("a package has no name")?.to_owned();
        let list = |key: &str| package[key].as_array().with_context(|| format!("package {name} has no {key}"));
        let mut knows: Vec<String> = list("dependencies")?
            .iter()
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|dependency| members.contains(dependency))
            .map(str::to_owned)
            .collect();
        knows.sort();
        knows.dedup();
        let targets = |kind: &str| -> Result<Vec<String>> {
            Ok(list("targets")?
                .iter()
                .filter(|target| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|known| known == kind)))
                .filter_map(|target| target["name"].as_str().map(str::to_owned))
                .collect())
        };
        Ok(Member { tests: targets("test")?, programs: targets("bin")?, knows, name })
    }
}
