//! The folder an embedded server lives in: who owns it, what is in it, and the locks that commands share.
//!
//! ```text
//! <data>/postgres/      0700, owned by the user PostgreSQL runs as
//!   cluster/            PostgreSQL's data directory
//!   run/                the Unix socket, where its path is short enough
//!   postgres.log        what the server says, postgres.log.1 before that
//!   start.lock          held alone while the server is started or stopped
//!   users.lock          held together by all who use the server
//! ```
//!
//! Nobody but that user and root can enter the folder, so whoever reaches the socket may use it: the server trusts
//! local connections, listens nowhere else, and needs no password that could leak.

use super::PostgresError;
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The longest path a Unix socket can be bound to on Linux (108 bytes with the closing zero); others allow 103.
const LONGEST_SOCKET_PATH: usize = 103;

/// The socket's number in its folder. Nothing listens on TCP, so it never collides.
pub(super) const PORT: u16 = 5432;

/// The user and group the server runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The server's folder, there and private.
#[derive(Debug)]
pub(super) struct Home {
    folder: PathBuf,
    sockets: PathBuf,
    owner: Owner,
    /// We are root and PostgreSQL refuses to be: its programs run as `owner`.
    switch_user: bool,
}

impl Home {
    /// Makes the folder under `data` where it is missing, and finds out who the server runs as.
    ///
    /// As root that is the folder's owner, for a new folder the user `postgres` or, without one, `nobody`.
    pub(super) fn prepare(data: &Path) -> Result<Self, PostgresError> {
        let uid = rustix::process::geteuid().as_raw();
        let root = uid == 0;
        // Root's data folder can be passed through, as the server's own user must; what lies in it is private.
        DirBuilder::new()
            .recursive(true)
            .mode(if root { 0o711 } else { 0o700 })
            .create(data)
            .map_err(PostgresError::io("create the data folder", data))?;
        let data = data.canonicalize().map_err(PostgresError::io("find the data folder", data))?;
        let folder = data.join("postgres");
        create_private(&folder)?;
        let meta = folder.metadata().map_err(PostgresError::io("read", &folder))?;
        if meta.mode() & 0o077 != 0 || (!root && meta.uid() != uid) {
            return Err(PostgresError::NotPrivate { folder, uid });
        }
        let owner = if !root {
            Owner { uid, gid: rustix::process::getegid().as_raw() }
        } else if meta.uid() == 0 {
            let owner = server_user()?;
            chown(&folder, Some(owner.uid), Some(owner.gid)).map_err(PostgresError::io("hand over", &folder))?;
            owner
        } else {
            Owner { uid: meta.uid(), gid: meta.gid() }
        };
        let mut home = Home { sockets: folder.join("run"), folder, owner, switch_user: root };
        if root {
            home.check_passage()?;
        }
        home.sockets = home.socket_folder()?;
        Ok(home)
    }

    /// PostgreSQL's data directory.
    pub(super) fn cluster(&self) -> PathBuf {
        self.folder.join("cluster")
    }

    /// The folder of everything.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of the Unix socket.
    pub(super) fn sockets(&self) -> &Path {
        &self.sockets
    }

    /// The server's log.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    /// The major version that made the cluster; `None` before there is one.
    pub(super) fn made_by(&self) -> Result<Option<u32>, PostgresError> {
        let path = self.cluster().join("PG_VERSION");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().parse().map_err(|_| PostgresError::Damaged { path, text })?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PostgresError::io("read", &path)(error)),
        }
    }

    /// One of PostgreSQL's programs as the server's user, away from our terminal and our environment.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).stdin(std::process::Stdio::null());
        if self.switch_user {
            // std drops the supplementary groups as well.
            command.gid(self.owner.gid).uid(self.owner.uid);
        }
        for (name, _) in std::env::vars_os() {
            // PGDATA, PGPORT and the like would redirect the server. One built for systemd would report *itself* as
            // the ready service to our NOTIFY_SOCKET.
            let name_bytes = name.as_bytes();
            if name_bytes.starts_with(b"PG") || name_bytes.starts_with(b"LC_") || name_bytes == b"NOTIFY_SOCKET" {
                command.env_remove(name);
            }
        }
        // Messages are read by us: always English.
        command.env("LC_ALL", "C").env_remove("LANGUAGE");
        command
    }

    /// Opens a file of the folder, made private and handed to the owner if it is new.
    pub(super) fn open(&self, name: &str, append: bool) -> Result<File, PostgresError> {
        let path = self.folder.join(name);
        let options = || {
            let mut options = OpenOptions::new();
            // As root in a folder of another user: never follow a link that user may have laid.
            options
                .read(true)
                .write(true)
                .append(append)
                .mode(0o600)
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
            options
        };
        match options().create_new(true).open(&path) {
            Ok(file) => {
                if self.switch_user {
                    fchown(&file, Some(self.owner.uid), Some(self.owner.gid))
                        .map_err(PostgresError::io("hand over", &path))?;
                }
                Ok(file)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                options().open(&path).map_err(PostgresError::io("open", &path))
            }
            Err(error) => Err(PostgresError::io("create", &path)(error)),
        }
    }

    /// Writes a file of the cluster as a whole, unless it says the same already.
    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), PostgresError> {
        if std::fs::read_to_string(path).is_ok_and(|there| there == text) {
            return Ok(());
        }
        let new = path.with_extension("new");
        let done = (|| {
            match std::fs::remove_file(&new) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            std::io::Write::write_all(&mut file, text.as_bytes())?;
            if self.switch_user {
                fchown(&file, Some(self.owner.uid), Some(self.owner.gid))?;
            }
            file.sync_all()?;
            std::fs::rename(&new, path)
        })();
        done.map_err(PostgresError::io("write", path))
    }

    /// Takes the lock under which the server is started and stopped; `None` while somebody else has it.
    pub(super) fn try_lock_start(&self) -> Result<Option<File>, PostgresError> {
        let file = self.open("start.lock", false)?;
        Ok(try_lock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(PostgresError::io("lock", &self.folder.join("start.lock")))?
            .then_some(file))
    }

    /// Joins those who use the server. Call it under the start lock: then nobody is about to stop it.
    pub(super) fn join_users(&self) -> Result<File, PostgresError> {
        let path = self.folder.join("users.lock");
        let file = self.open("users.lock", false)?;
        if try_lock(&file, FlockOperation::NonBlockingLockShared).map_err(PostgresError::io("lock", &path))? {
            Ok(file)
        } else {
            Err(PostgresError::io("lock", &path)(Errno::WOULDBLOCK.into()))
        }
    }

    /// Leaves the users, under the start lock; says whether nobody is left.
    pub(super) fn leave_users(&self, users: &File) -> Result<bool, PostgresError> {
        let path = self.folder.join("users.lock");
        let last =
            try_lock(users, FlockOperation::NonBlockingLockExclusive).map_err(PostgresError::io("lock", &path))?;
        // Unlocked by hand, because a child that another thread is just forking has a copy of this descriptor for a
        // moment: closing ours alone would leave the lock standing that long.
        rustix::fs::flock(users, FlockOperation::Unlock).map_err(|e| PostgresError::io("unlock", &path)(e.into()))?;
        Ok(last)
    }

    /// Where the socket goes: into the folder itself, as that is the same place for every command, whatever its
    /// environment or its private /tmp; where the path would be too long, has a comma (libpq takes that for a list) or
    /// the file system has no sockets, into a short folder in /tmp named after the path.
    fn socket_folder(&self) -> Result<PathBuf, PostgresError> {
        let own = self.folder.join("run");
        let socket = own.join(format!(".s.PGSQL.{PORT}"));
        let bytes = socket.as_os_str().as_bytes();
        if bytes.len() <= LONGEST_SOCKET_PATH && !bytes.contains(&b',') {
            self.private_folder(&own)?;
            let probe = own.join("probe");
            // In use by another command that is just trying as well: sockets work here.
            let bound = UnixListener::bind(&probe).map_or_else(|error| error.kind() == ErrorKind::AddrInUse, |_| true);
            match std::fs::remove_file(&probe) {
                Err(error) if bound && error.kind() != ErrorKind::NotFound => {
                    return Err(PostgresError::io("remove", &probe)(error));
                }
                _ => {}
            }
            if bound {
                return Ok(own);
            }
        }
        let digest = Sha256::digest(self.folder.as_os_str().as_bytes());
        let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let short = Path::new("/tmp").join(format!("segments-{name}"));
        self.private_folder(&short)?;
        Ok(short)
    }

    /// A folder that is the server's alone. In /tmp anybody could have made it first: then it is not used.
    fn private_folder(&self, folder: &Path) -> Result<(), PostgresError> {
        if create_private(folder)? && self.switch_user {
            chown(folder, Some(self.owner.uid), Some(self.owner.gid))
                .map_err(PostgresError::io("hand over", folder))?;
        }
        let meta = folder.symlink_metadata().map_err(PostgresError::io("read", folder))?;
        // Root's own for the blink in which another command has made it and not yet handed it over.
        if self.switch_user && meta.is_dir() && meta.uid() == 0 {
            chown(folder, Some(self.owner.uid), Some(self.owner.gid))
                .map_err(PostgresError::io("hand over", folder))?;
        } else if !meta.is_dir() || meta.uid() != self.owner.uid || meta.mode() & 0o077 != 0 {
            return Err(PostgresError::NotPrivate { folder: folder.to_owned(), uid: self.owner.uid });
        }
        Ok(())
    }

    /// Root can make a data folder where the server's user cannot get to it: says which parent is closed.
    fn check_passage(&self) -> Result<(), PostgresError> {
        // Trying is the only way that also knows access lists.
        match self.command(Path::new("/bin/sh")).args(["-c", ":"]).status() {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() != ErrorKind::PermissionDenied => {
                return Err(PostgresError::io("enter", &self.folder)(error));
            }
            Err(_) => {}
        }
        let closed = self.folder.ancestors().skip(1).filter(|parent| {
            parent.metadata().is_ok_and(|meta| {
                let bit = match (meta.uid() == self.owner.uid, meta.gid() == self.owner.gid) {
                    (true, _) => 0o100,
                    (false, true) => 0o010,
                    (false, false) => 0o001,
                };
                meta.mode() & bit == 0
            })
        });
        Err(PostgresError::Closed {
            data: self.folder.clone(),
            parent: closed.last().unwrap_or(&self.folder).to_owned(),
            uid: self.owner.uid,
        })
    }
}

/// Makes one folder that only its owner may enter; says whether it was new.
fn create_private(folder: &Path) -> Result<bool, PostgresError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {
            // The umask may have taken bits away; PostgreSQL wants them all.
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
                .map_err(PostgresError::io("set the mode of", folder))?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(PostgresError::io("create", folder)(error)),
    }
}

fn try_lock(file: &File, operation: FlockOperation) -> std::io::Result<bool> {
    loop {
        match rustix::fs::flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Who runs the server when we are root: `postgres`, as its package makes it, else `nobody`, which owns no other file.
fn server_user() -> Result<Owner, PostgresError> {
    let path = Path::new("/etc/passwd");
    let users = std::fs::read_to_string(path).map_err(PostgresError::io("read", path))?;
    find_user(&users, "postgres").or_else(|| find_user(&users, "nobody")).ok_or(PostgresError::NoUser)
}

/// A user of a passwd file, but never root under another name.
fn find_user(users: &str, name: &str) -> Option<Owner> {
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let owner = Owner { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? };
        (fields[0] == name && owner.uid != 0).then_some(owner)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_user_is_read_from_passwd_and_is_never_root() {
        let users =
            "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534:::\npostgres:x:101:104:PostgreSQL:/var/lib:/bin/sh\n";
        assert_eq!(find_user(users, "postgres"), Some(Owner { uid: 101, gid: 104 }));
        assert_eq!(find_user(users, "nobody"), Some(Owner { uid: 65534, gid: 65534 }));
        assert_eq!(find_user(users, "root"), None);
        assert_eq!(find_user(users, "daemon"), None);
    }
}
