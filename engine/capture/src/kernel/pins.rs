//! The directory where the kernel keeps maps and links while no engine runs: a bpffs of our own.

#![allow(unsafe_code, reason = "mount and umount, which no crate in use wraps")]

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::OpenError;

/// `BPF_FS_MAGIC` of include/uapi/linux/magic.h.
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// A directory on a bpffs.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    directory: PathBuf,
}

impl Pins {
    /// Makes the directory and mounts a bpffs on it where there is none. Not `/sys/fs/bpf`: that
    /// one is hidden in `ip netns exec` and shared with everybody.
    pub(crate) fn open(directory: &Path) -> Result<Self, OpenError> {
        let failed = |doing: &str, source: io::Error| OpenError::Kernel {
            what: format!(
                "{doing} {0}: {source}; as root: `mkdir -p {0} && mount -t bpf bpf {0}`",
                directory.display()
            ),
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|e| failed("cannot make the directory", e))?;
        if !is_bpffs(directory).map_err(|e| failed("cannot look at", e))? {
            mount(directory).map_err(|e| failed("cannot mount a bpffs on", e))?;
        }
        Ok(Pins { directory: directory.to_owned() })
    }

    /// Where something of this name is pinned. bpffs refuses names with a dot.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The names of everything pinned here. A bpffs has files of its own, with dots in their names,
    /// which pins cannot have.
    pub(crate) fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Vec::new() };
        let names = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.contains('.')).collect()
    }

    /// Forgets what is pinned under this name, if anything.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

/// Removes every pin in `directory` and unmounts it: programs detach, blocks in the kernel end, and
/// the ports are ordinary ports again. Returns the names that were pinned.
///
/// # Errors
/// A pin could not be removed; the error names the directory.
pub fn detach(directory: &Path) -> Result<Vec<String>, OpenError> {
    if !is_bpffs(directory).unwrap_or(false) {
        return Ok(Vec::new());
    }
    let pins = Pins { directory: directory.to_owned() };
    let names = pins.names();
    for name in &names {
        pins.remove(name).map_err(|e| OpenError::Kernel {
            what: format!("cannot remove the pin {}: {e}", pins.path(name).display()),
        })?;
    }
    unmount(directory);
    Ok(names)
}

/// Makes the directory of the pins, with its bpffs, and gives both and everything pinned there to a
/// user that could not mount it: an engine that gives up root can then use pins that root has made.
///
/// # Errors
/// The bpffs cannot be made, or something in it not be given away; the error names it.
pub fn give_pins(directory: &Path, uid: u32, gid: u32) -> Result<(), OpenError> {
    let pins = Pins::open(directory)?;
    let names = pins.names();
    for path in names.iter().map(|name| pins.path(name)).chain([directory.to_owned()]) {
        std::os::unix::fs::lchown(&path, Some(uid), Some(gid)).map_err(|e| OpenError::Kernel {
            what: format!("cannot give {} to user {uid}: {e}", path.display()),
        })?;
    }
    Ok(())
}

/// A number for this thread's network namespace, in the names of pinned links: interface numbers
/// repeat between namespaces.
pub(crate) fn namespace_number() -> u64 {
    fs::metadata("/proc/thread-self/ns/net").map_or(0, |m| m.ino())
}

fn is_bpffs(directory: &Path) -> io::Result<bool> {
    #[allow(clippy::useless_conversion, reason = "the field's width depends on the platform")]
    let kind = i64::from(rustix::fs::statfs(directory)?.f_type);
    Ok(kind == BPF_FS_MAGIC)
}

fn mount(directory: &Path) -> io::Result<()> {
    let target = CString::new(directory.as_os_str().as_bytes())?;
    // SAFETY: justification: no safe wrapper is in use. All four pointers are C strings that live
    // through the call.
    let done = unsafe {
        libc::mount(
            c"portcullis".as_ptr(),
            target.as_ptr(),
            c"bpf".as_ptr(),
            libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC,
            c"mode=0700".as_ptr().cast(),
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn unmount(directory: &Path) {
    let Ok(target) = CString::new(directory.as_os_str().as_bytes()) else { return };
    // SAFETY: justification: no safe wrapper is in use. The pointer is a C string that lives
    // through the call. A mount that is still in use stays, which does no harm.
    let _ = unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
}
