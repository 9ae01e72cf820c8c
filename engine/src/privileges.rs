//! `[engine] user`: root is given up before the first thread is made and the first port opened, so
//! that what works at the start works at every reload, rotation and return of a port as well.
//!
//! What is kept is what opening a port again needs. Only what another user could not do later is
//! done before: making the engine's directories, and the mount that the kernel's pins lie in.

use anyhow::{Context as _, Result, anyhow, bail};
use portcullis_capture::kernel;
use portcullis_control::account::Account;
use portcullis_control::config::{CaptureChoice, Config};
use rustix::fs::Access;
use rustix::thread::{CapabilitySet, CapabilitySets};
use rustix::{fs, process, thread};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// Ports and their offloads; rings and packet sockets; the kernel program and its verifier; frame
/// memory; threads that leave `SCHED_IDLE` when patience ends.
const KEPT: CapabilitySet = CapabilitySet::NET_ADMIN
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::IPC_LOCK)
    .union(CapabilitySet::SYS_NICE);

/// Becomes the user that the configuration names, if any, and sees that it can do its work.
pub(crate) fn give_up(config: &Config, config_file: &Path) -> Result<()> {
    if config.engine.user.is_empty() {
        return Ok(());
    }
    let account = Account::named(&config.engine.user).map_err(|e| anyhow!(e))?;
    let ours = process::geteuid().as_raw();
    if ours != account.uid {
        if ours != 0 {
            bail!(
                "[engine] user: only root can become `{}`; start as root, or write user = \"\"",
                account.name
            );
        }
        prepare(config, &account)?;
        become_user(&account).with_context(|| format!("becoming `{}`", account.name))?;
        info!("running as {} from here on", account.name);
    }
    mind_files(config, config_file, &account)
}

/// What only root can do: directories where there are none, and where the kernel keeps pins.
fn prepare(config: &Config, account: &Account) -> Result<()> {
    let engine = &config.engine;
    for directory in [&engine.run_dir, &engine.log_dir, &engine.state_dir] {
        // One that is there may be anything, /var/log for example: it keeps its owner.
        if !directory.exists() {
            std::fs::create_dir_all(directory)
                .and_then(|()| chown(directory, Some(account.uid), Some(account.gid)))
                .with_context(|| format!("making {}", directory.display()))?;
        }
    }
    if config.segments.iter().any(|s| s.capture != CaptureChoice::AfPacket) {
        let pins = engine.run_dir.join("bpf");
        // Whether AF_PACKET will do instead is decided where ports are opened.
        if let Err(e) = kernel::give_pins(&pins, account.uid, account.gid) {
            warn!("{e}");
        }
    }
    Ok(())
}

fn become_user(account: &Account) -> Result<()> {
    // The kernel changes one thread; those made later inherit from it.
    let threads = std::fs::read_dir("/proc/self/task").context("counting threads")?.count();
    if threads != 1 {
        bail!("{threads} threads are there already: those would stay root");
    }
    let groups: Vec<fs::Gid> = account.groups.iter().map(|g| fs::Gid::from_raw(*g)).collect();
    let (user, group) = (fs::Uid::from_raw(account.uid), fs::Gid::from_raw(account.gid));
    thread::set_keep_capabilities(true)?;
    thread::set_thread_groups(&groups)?;
    thread::set_thread_res_gid(group, group, group)?;
    thread::set_thread_res_uid(user, user, user)?;
    thread::set_keep_capabilities(false)?;
    // Where root itself has less, as in a container, nothing is asked for that is not there.
    let kept = thread::capabilities(None)?.permitted & KEPT;
    let inheritable = CapabilitySet::empty();
    thread::set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable },
    )?;
    thread::set_no_new_privs(true)?;
    Ok(())
}

/// Whatever is opened again later must be ours to open: said now rather than at a reload.
fn mind_files(config: &Config, config_file: &Path, account: &Account) -> Result<()> {
    let name = &account.name;
    if fs::access(config_file, Access::READ_OK).is_err() {
        let file = config_file.display();
        bail!(
            "[engine] user: `{name}` cannot read {file}, so no reload could; run: \
             chgrp {} {file} && chmod g+r {file}   and let it enter the folders above",
            account.gid
        );
    }
    let engine = &config.engine;
    let written = Access::WRITE_OK | Access::EXEC_OK;
    for directory in [&engine.state_dir, &engine.run_dir, &engine.log_dir] {
        let inside = match directory == &engine.log_dir {
            true => config.events_path().into_iter().filter(|file| file.exists()).collect(),
            false => files(directory),
        };
        let is_ours = fs::access(directory, written).is_ok()
            && inside.iter().all(|file| fs::access(file, Access::WRITE_OK).is_ok());
        if !is_ours {
            let directory = directory.display();
            bail!(
                "[engine] user: `{name}` cannot write all of {directory}; run: \
                 chown -R {name} {directory}   or name another directory in [engine]"
            );
        }
    }
    Ok(())
}

/// The files of a directory that the engine has written.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let files = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_file()));
    files.map(|entry| entry.path()).collect()
}
