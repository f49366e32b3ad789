//! Finding PostgreSQL's programs on this machine.

use super::PostgresError;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest major version we run on.
pub(super) const OLDEST_MAJOR: u32 = 14;

/// One installation of the PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    /// The folder that holds `postgres` and `initdb`.
    folder: PathBuf,
    /// Its major version.
    pub(super) major: u32,
}

impl Binaries {
    /// Finds the installation for a cluster that was made by `made_by`, or the newest one for a new cluster.
    ///
    /// `SEGMENTS_PG_BIN` is the only place looked at when it is set.
    ///
    /// # Errors
    /// [`PostgresError::NotInstalled`] when there is none, [`PostgresError::OtherVersion`] when there is none of the
    /// cluster's version.
    pub(super) fn find(cluster: &Path, made_by: Option<u32>) -> Result<Self, PostgresError> {
        let chosen = std::env::var_os("SEGMENTS_PG_BIN").filter(|value| !value.is_empty()).map(PathBuf::from);
        let folders = match &chosen {
            Some(folder) => vec![folder.clone()],
            None => usual_folders(),
        };
        let installed: Vec<Binaries> = folders.iter().filter_map(|folder| Self::at(folder)).collect();
        Self::choose(installed, cluster, made_by, chosen.as_deref())
    }

    fn choose(
        installed: Vec<Binaries>,
        cluster: &Path,
        made_by: Option<u32>,
        chosen: Option<&Path>,
    ) -> Result<Self, PostgresError> {
        // Reversed, as the last of equals wins and the first place looked at should.
        let newest = installed.iter().rev().filter(|found| found.major >= OLDEST_MAJOR).max_by_key(|found| found.major);
        match (newest.cloned(), made_by) {
            (None, _) => Err(PostgresError::NotInstalled {
                place: chosen.map_or_else(|| "this machine".to_owned(), |folder| folder.display().to_string()),
            }),
            (Some(newest), None) => Ok(newest),
            (Some(newest), Some(made_by)) => installed
                .into_iter()
                .find(|binaries| binaries.major == made_by)
                .ok_or_else(|| PostgresError::OtherVersion {
                    cluster: cluster.to_owned(),
                    made_by,
                    found: newest.major,
                    folder: newest.folder,
                }),
        }
    }

    /// The installation in one folder; `None` when its programs are not there or do not say what they are.
    fn at(folder: &Path) -> Option<Self> {
        if !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let major = major_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Binaries { folder: folder.to_owned(), major })
    }

    /// The path of one of the programs.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian …)`, also `17beta1` and `18devel`.
fn major_version(answer: &str) -> Option<u32> {
    let version = answer.split("(PostgreSQL)").nth(1)?.trim_start();
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

/// Where packages of the usual systems put the server's programs, beside what `pg_config` and `PATH` say.
fn usual_folders() -> Vec<PathBuf> {
    // (parent, start of a version's folder name, what follows it)
    const PLACES: [(&str, &str, &str); 6] = [
        ("/usr/lib/postgresql", "", "bin"),          // Debian, Ubuntu
        ("/usr", "pgsql-", "bin"),                   // PGDG on RHEL, Fedora, SUSE
        ("/usr/libexec", "postgresql", ""),          // Alpine
        ("/usr/lib", "postgresql", "bin"),           // Gentoo, SUSE
        ("/opt/homebrew/opt", "postgresql@", "bin"), // Homebrew
        ("/usr/local/opt", "postgresql@", "bin"),    // Homebrew on Intel
    ];
    let mut folders = Vec::new();
    if let Ok(answer) = Command::new("pg_config").arg("--bindir").output() {
        let folder = String::from_utf8_lossy(&answer.stdout);
        if !folder.trim().is_empty() {
            folders.push(PathBuf::from(folder.trim()));
        }
    }
    for (parent, start, rest) in PLACES {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        folders.extend(
            entries
                .flatten()
                .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(start)))
                .map(|entry| if rest.is_empty() { entry.path() } else { entry.path().join(rest) }),
        );
    }
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    let mut seen = std::collections::HashSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(majors: &[u32]) -> Vec<Binaries> {
        majors.iter().map(|&major| Binaries { folder: format!("/pg/{major}/bin").into(), major }).collect()
    }

    #[test]
    fn versions_of_releases_betas_and_packages_are_read() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(major_version("postgres (PostgreSQL) 14"), Some(14));
        assert_eq!(major_version("something else"), None);
    }

    #[test]
    fn a_new_cluster_takes_the_newest_version_and_an_old_one_its_own() {
        let choose = |majors: &[u32], made_by| {
            Binaries::choose(installed(majors), Path::new("/data/postgres"), made_by, None).map(|b| b.major)
        };
        assert_eq!(choose(&[13, 17, 15], None).unwrap(), 17);
        assert_eq!(choose(&[13, 17, 15], Some(15)).unwrap(), 15);
        assert!(matches!(choose(&[13], None), Err(PostgresError::NotInstalled { .. })));
        let other = choose(&[15, 17], Some(16)).unwrap_err();
        let said = other.to_string();
        assert!(said.contains("PostgreSQL 16") && said.contains("17") && said.contains("SEGMENTS_PG_BIN"), "{said}");
    }

    #[test]
    fn a_machine_without_postgresql_is_told_what_to_install() {
        let said = Binaries::choose(Vec::new(), Path::new("/data"), None, None).unwrap_err().to_string();
        assert!(said.contains("apt-get install postgresql") && said.contains("DATABASE_URL"), "{said}");
    }
}
