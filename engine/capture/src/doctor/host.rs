//! Facts about this machine and this process: kernel, rights, memory.

use rustix::process::{Resource, getrlimit};

use super::{Examination, Fact};

/// What AF_XDP with need-wakeup, `bpf_ktime_get_boot_ns` and CAP_BPF ask for.
const KERNEL_MIN: (u32, u32) = (5, 10);
/// Frames in several pieces (`XDP_USE_SG`), which jumbo frames need.
const KERNEL_FULL: (u32, u32) = (6, 6);

/// What the engine does with each capability; without CAP_IPC_LOCK the memory limit binds.
const CAPABILITIES: [(&str, u32); 3] =
    [("CAP_NET_ADMIN", 12), ("CAP_NET_RAW", 13), ("CAP_BPF", CAP_BPF)];
const CAP_BPF: u32 = 39;
const CAP_IPC_LOCK: u32 = 14;
/// Stands in for CAP_BPF.
const CAP_SYS_ADMIN: u32 = 21;
/// With it, what compiles and warms for a swap may compete for busy cores once it has waited.
const CAP_SYS_NICE: u32 = 23;

/// Bytes of locked memory that one inline pair with the default frame pool needs.
const MEMLOCK_BYTES: u64 = 256 << 20;

/// Looks at this machine and at what this process may do.
pub fn examine_host() -> Examination {
    let held = effective();
    let facts = vec![
        kernel(),
        capabilities(held),
        nice(held),
        memlock(),
        hugepages(),
        jit(),
        bpf_files(),
        processors(),
    ];
    Examination { subject: "host".to_owned(), facts }
}

fn kernel() -> Fact {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let version = version(&release);
    if version < KERNEL_MIN {
        return Fact::bad("kernel", release, "run Linux 5.10 or later; replaying captures works");
    }
    if version < KERNEL_FULL {
        let why = "run Linux 6.6 or later for jumbo frames in AF_XDP";
        return Fact::notice("kernel", release, why);
    }
    Fact::good("kernel", release)
}

/// The first two numbers of a release like `6.18.44-generic`.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The capabilities that count now, as bits.
fn effective() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

fn capabilities(held: u64) -> Fact {
    // CAP_SYS_ADMIN contains what CAP_BPF was split off from it.
    let stands_in = |bit: u32| bit == CAP_BPF && held & (1 << CAP_SYS_ADMIN) != 0;
    let has = |bit: u32| held & (1 << bit) != 0 || stands_in(bit);
    let lacking: Vec<&str> =
        CAPABILITIES.iter().filter(|(_, bit)| !has(*bit)).map(|(name, _)| *name).collect();
    if lacking.is_empty() {
        return Fact::good("capabilities", "CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF are there");
    }
    let wanted = "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW CAP_BPF CAP_IPC_LOCK CAP_SYS_NICE";
    let remedy = format!("run as root, or in the systemd unit: {wanted}");
    Fact::bad("capabilities", format!("lacking {}", lacking.join(", ")), remedy)
}

/// Swaps of rules and plugins wait for idle cores; without the right they wait for ever on a
/// machine that is never idle.
fn nice(held: u64) -> Fact {
    if held & (1 << CAP_SYS_NICE) != 0 {
        return Fact::good("scheduling", "CAP_SYS_NICE is there");
    }
    let remedy = "add CAP_SYS_NICE to AmbientCapabilities, or leave a core to no worker";
    let value = "lacking CAP_SYS_NICE: rules and plugins are swapped only while a core is idle";
    Fact::notice("scheduling", value, remedy)
}

fn memlock() -> Fact {
    let Some(limit) = getrlimit(Resource::Memlock).current else {
        return Fact::good("memlock", "unlimited");
    };
    let value = format!("{} KiB", limit / 1024);
    if effective() & (1 << CAP_IPC_LOCK) != 0 {
        return Fact::good("memlock", format!("{value}, lifted by CAP_IPC_LOCK"));
    }
    if limit >= MEMLOCK_BYTES {
        return Fact::good("memlock", value);
    }
    let remedy = "LimitMEMLOCK=infinity in the systemd unit, or add CAP_IPC_LOCK";
    Fact::bad("memlock", value, remedy)
}

/// Frame memory and big tables ask for transparent huge pages; without them the pages are small,
/// and all works the same but slower.
fn hugepages() -> Fact {
    let modes = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    match chosen(&modes.unwrap_or_default()) {
        Some(mode @ ("always" | "madvise")) => {
            Fact::good("hugepages", format!("transparent, {mode}"))
        }
        mode => {
            let value = format!("transparent ones: {}", mode.unwrap_or("none"));
            let remedy = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled \
                          (fewer misses of the address cache; not required)";
            Fact::notice("hugepages", value, remedy)
        }
    }
}

/// The mode in brackets: `always [madvise] never`.
fn chosen(modes: &str) -> Option<&str> {
    modes.split_whitespace().find_map(|mode| mode.strip_prefix('[')?.strip_suffix(']'))
}

fn jit() -> Fact {
    match std::fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").as_deref().map(str::trim) {
        Ok("0") => {
            let remedy = "sysctl net.core.bpf_jit_enable=1";
            Fact::notice("bpf_jit", "off: the kernel program is interpreted", remedy)
        }
        // A kernel that always compiles has no switch, or a namespace hides it.
        _ => Fact::good("bpf_jit", "on"),
    }
}

fn bpf_files() -> Fact {
    let mounts = std::fs::read_to_string("/proc/thread-self/mounts").unwrap_or_default();
    let place = mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (place, kind) = (words.next()?, words.next()?);
        (kind == "bpf").then(|| place.to_owned())
    });
    match place {
        Some(place) => Fact::good("bpf_filesystem", place),
        None => Fact::notice(
            "bpf_filesystem",
            "not mounted: nothing can stay in the kernel when the engine stops",
            "mount -t bpf bpf /sys/fs/bpf",
        ),
    }
}

fn processors() -> Fact {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if count < 2 {
        let remedy = "give it two or more: one per worker, one for the rest";
        return Fact::notice("processors", count.to_string(), remedy);
    }
    Fact::good("processors", count.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by where it stopped")]
    use super::*;

    #[test]
    fn the_mode_of_huge_pages_is_the_one_in_brackets() {
        assert_eq!(chosen("always [madvise] never\n"), Some("madvise"));
        assert_eq!(chosen("[never]"), Some("never"));
        assert_eq!(chosen(""), None);
    }

    #[test]
    fn releases_are_understood() {
        assert_eq!(version("6.18.44-fc-v657"), (6, 18));
        assert_eq!(version("5.10"), (5, 10));
        assert_eq!(version("odd"), (0, 0));
    }

    #[test]
    fn the_right_to_compete_for_cores_is_asked_for() {
        assert!(nice(1 << CAP_SYS_NICE).remedy.is_none());
        let lacking = nice(!(1 << CAP_SYS_NICE));
        assert_eq!(lacking.verdict, super::super::Health::Notice);
        assert!(lacking.remedy.is_some_and(|remedy| remedy.contains("CAP_SYS_NICE")));
    }

    #[test]
    fn this_machine_is_examined() {
        let examination = examine_host();
        for name in [
            "kernel",
            "capabilities",
            "scheduling",
            "memlock",
            "hugepages",
            "bpf_jit",
            "processors",
        ] {
            assert!(!examination.fact(name).unwrap().value.is_empty());
        }
        for fact in &examination.facts {
            assert_eq!(fact.remedy.is_none(), fact.verdict == super::super::Health::Good);
        }
        let json = serde_json::to_string(&examination).unwrap();
        assert!(json.contains("\"verdict\":\"good\""), "{json}");
    }
}
