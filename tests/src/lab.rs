//! The street of machines: two bridges of hosts with the engine's namespace between them.
//!
//! Must never know: how the engine is configured or what is tested.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::command;
use crate::namespace::{self, Namespace};
use crate::place::Place;

/// The address of the attacker, and of the honest clients in the other places.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 66);
/// The IPv6 address of the same.
pub const CLIENT_6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 0x66);
/// An honest client in VLAN 10 beside the attacker.
pub const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 55);
/// The IPv6 address of the same.
pub const NEIGHBOUR_6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 0x55);
/// The address of the server of each place.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 10);
/// The IPv6 address of the same.
pub const SERVER_6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 0x10);
/// The network of all of them.
pub const NETWORK: &str = "10.9.0.0/24";
/// Further addresses of every server, for scans across hosts: 10.9.0.11 to 10.9.0.19.
pub const SERVER_ALIASES: u8 = 9;

/// The engine's port towards the attacker.
pub const PORT_A: &str = "port-a";
/// The engine's port towards the servers.
pub const PORT_B: &str = "port-b";
/// The device at the other end of each engine port, in the bridges' namespaces.
pub const WIRE: &str = "to-engine";

/// The only device of every host.
pub const DEVICE: &str = "eth0";

/// Which bridge a host is plugged into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where attackers and honest clients are.
    Outside,
    /// Where the protected servers are.
    Inside,
}

/// What a host is to be.
#[derive(Debug, Clone, Copy)]
pub struct HostPlan {
    /// Unique within the lab, at most 8 characters.
    pub name: &'static str,
    /// Its bridge.
    pub side: Side,
    /// Its tags.
    pub place: Place,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

const fn client(name: &'static str, place: Place) -> HostPlan {
    HostPlan { name, side: Side::Outside, place, v4: CLIENT, v6: CLIENT_6 }
}

const fn server(name: &'static str, place: Place) -> HostPlan {
    HostPlan { name, side: Side::Inside, place, v4: SERVER, v6: SERVER_6 }
}

/// The whole street: every place with a client of the same address and a server.
pub const STREET: [HostPlan; 9] = [
    client("attacker", Place::VLAN_10),
    HostPlan {
        name: "neighbr",
        side: Side::Outside,
        place: Place::VLAN_10,
        v4: NEIGHBOUR,
        v6: NEIGHBOUR_6,
    },
    client("honest20", Place::VLAN_20),
    client("honest0", Place::UNTAGGED),
    client("honestq", Place::QINQ),
    server("server10", Place::VLAN_10),
    server("server20", Place::VLAN_20),
    server("server0", Place::UNTAGGED),
    server("serverq", Place::QINQ),
];

/// Receive and transmit queues of each engine port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queues {
    /// One of each.
    One,
    /// Two of each: the two directions of half of all flows arrive on different queues.
    Two,
}

/// A host that stands.
#[derive(Debug)]
pub struct Host {
    /// What it was to be.
    pub plan: HostPlan,
    /// Its namespace.
    pub namespace: Namespace,
}

impl Host {
    /// Runs a program on the host, within `limit`.
    #[must_use]
    pub fn run(&self, words: &[&str], limit: Duration) -> command::Finished {
        self.namespace.run(words, limit)
    }
}

/// The street, built. Dropping it removes everything.
#[derive(Debug)]
pub struct Lab {
    hosts: Vec<Host>,
    outside: Namespace,
    inside: Namespace,
    engine: Namespace,
    queues: Queues,
    folder: TempDir,
    bpffs: PathBuf,
}

impl Lab {
    /// Builds the whole street with one queue per engine port.
    #[must_use]
    pub fn street() -> Lab {
        Lab::build(&STREET, Queues::One)
    }

    /// A lab with those hosts of [`STREET`] that have these names, and one queue.
    #[must_use]
    pub fn of(names: &[&str]) -> Lab {
        let plans: Vec<_> = STREET.into_iter().filter(|plan| names.contains(&plan.name)).collect();
        assert_eq!(plans.len(), names.len(), "no such host on the street: {names:?}");
        Lab::build(&plans, Queues::One)
    }

    /// The hosts on one side.
    pub fn hosts_on(&self, side: Side) -> impl Iterator<Item = &Host> {
        self.hosts().iter().filter(move |host| host.plan.side == side)
    }

    /// Builds the engine's namespace, the two bridges, and the hosts of `plans`.
    #[must_use]
    pub fn build(plans: &[HostPlan], queues: Queues) -> Lab {
        sweep_stale();
        let stem = namespace::fresh_stem();
        let folder = tempfile::Builder::new()
            .prefix(&format!("{stem}-"))
            .tempdir()
            .expect("the folder for temporary files can be written; set TMPDIR");
        let bpffs = folder.path().join("run/bpf");
        mount_bpffs(&bpffs);
        let mut lab = Lab {
            hosts: Vec::with_capacity(plans.len()),
            outside: make_silent(&stem, "outside"),
            inside: make_silent(&stem, "inside"),
            engine: make_silent(&stem, "engine"),
            queues,
            folder,
            bpffs,
        };
        for bridge in [&lab.outside, &lab.inside] {
            bridge.ip("link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n\
                       link set br0 up\n");
        }
        lab.plug_engine_port(PORT_A);
        lab.plug_engine_port(PORT_B);
        for (number, plan) in (1_u8..).zip(plans) {
            lab.plug_host(&stem, number, *plan);
        }
        lab
    }

    /// The host of that name.
    #[must_use]
    pub fn host(&self, name: &str) -> &Host {
        self.hosts
            .iter()
            .find(|host| host.plan.name == name)
            .unwrap_or_else(|| panic!("no host is called {name}; the names are in lab::STREET"))
    }

    /// All hosts, in the order of their plans.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The namespace in the middle, with [`PORT_A`] and [`PORT_B`].
    #[must_use]
    pub fn engine(&self) -> &Namespace {
        &self.engine
    }

    /// The namespace of a side's bridge; [`WIRE`] in it is the wire to the engine.
    #[must_use]
    pub fn bridge(&self, side: Side) -> &Namespace {
        match side {
            Side::Outside => &self.outside,
            Side::Inside => &self.inside,
        }
    }

    /// A folder for files of the test, removed with the lab.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A bpf file system that outlives any engine process of this lab, in `run/bpf` below
    /// [`Lab::folder`].
    ///
    /// `ip netns exec` gives each program mounts of its own, so one that the engine mounted itself
    /// would vanish with it, and its pinned links too.
    #[must_use]
    pub fn bpffs(&self) -> &Path {
        &self.bpffs
    }

    /// Forwards with a plain kernel bridge instead of an engine: the lab's test of itself.
    pub fn bridge_instead_of_engine(&self) {
        self.engine.ip(&format!(
            "link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n\
             link set br0 up\n\
             link set {PORT_A} master br0\n\
             link set {PORT_B} master br0\n"
        ));
    }

    /// Readies the wires for frames that the kernel forwards by itself while the engine is dead.
    ///
    /// On veth a frame redirected by XDP is accepted only by a peer that runs NAPI, which `gro on`
    /// starts. TCP segments may then be merged on the bridges, so this is not for tests that
    /// compare bytes.
    pub fn accept_redirected_frames(&self) {
        for bridge in [&self.outside, &self.inside] {
            bridge.must(&["ethtool", "-K", WIRE, "gro", "on"]);
        }
    }

    /// Takes an engine port away, wire and all.
    pub fn remove_port(&self, port: &str) {
        self.engine.ip(&format!("link delete {port}\n"));
    }

    /// Gives an engine port (back), with its wire to the bridge.
    pub fn plug_engine_port(&self, port: &str) {
        let bridge = if port == PORT_A { &self.outside } else { &self.inside };
        let queues = match self.queues {
            Queues::One => "numrxqueues 1 numtxqueues 1",
            Queues::Two => "numrxqueues 2 numtxqueues 2",
        };
        bridge.ip(&format!(
            "link add {WIRE} {queues} type veth peer name {port} netns {} {queues}\n\
             link set {WIRE} master br0\n",
            self.engine.name()
        ));
        bridge.plain_frames(WIRE);
        self.engine.plain_frames(port);
        bridge.ip(&format!("link set {WIRE} up\n"));
        self.engine.ip(&format!("link set {port} up\n"));
    }

    /// Pulls a wire out and, with [`Lab::connect`], puts it back: the engine sees its link go.
    pub fn disconnect(&self, side: Side) {
        self.bridge(side).ip(&format!("link set {WIRE} down\n"));
    }

    /// Puts the wire back.
    pub fn connect(&self, side: Side) {
        self.bridge(side).ip(&format!("link set {WIRE} up\n"));
    }

    fn plug_host(&mut self, stem: &str, number: u8, plan: HostPlan) {
        let host = Namespace::make(stem, plan.name);
        host.must(&["sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad"]);
        host.must(&["sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/router_solicitations"]);
        let bridge = self.bridge(plan.side);
        let plug = format!("p-{}", plan.name);
        let side = match plan.side {
            Side::Outside => 1,
            Side::Inside => 2,
        };
        bridge.ip(&format!(
            "link add {plug} type veth \
             peer name {DEVICE} netns {} address 02:00:00:00:{side:02x}:{number:02x}\n\
             link set {plug} master br0\n\
             link set {plug} up\n",
            host.name()
        ));
        bridge.plain_frames(&plug);
        host.plain_frames(DEVICE);
        host.ip(&format!("link set {DEVICE} up\n"));
        plan.place.make_access_port(bridge, &plug, self.folder.path());
        host.ip(&address_lines(plan));
        self.hosts.push(Host { plan, namespace: host });
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.hosts.clear();
        // Whatever the engine pinned goes with the file system.
        unmount(&self.bpffs);
    }
}

/// Takes away what labs left whose process is dead; names and folders.
pub fn sweep_stale() -> Vec<String> {
    sweep(&|owner| !Path::new(&format!("/proc/{owner}")).exists())
}

/// Takes away what the labs of one process left, alive or not; names and folders.
pub fn sweep_owner(pid: u32) -> Vec<String> {
    sweep(&|owner| owner == pid)
}

fn sweep(is_swept: &dyn Fn(u32) -> bool) -> Vec<String> {
    let mut swept = namespace::sweep(is_swept);
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if namespace::owner_of(&name).is_some_and(is_swept) {
            unmount(&entry.path().join("run/bpf"));
            // What cannot be removed is somebody else's; the next sweep tries again.
            let _ = std::fs::remove_dir_all(entry.path());
            swept.push(entry.path().to_string_lossy().into_owned());
        }
    }
    swept
}

fn unmount(path: &Path) {
    let _ = command::run(&["umount", "-l", &path.to_string_lossy()], command::SETUP_LIMIT);
}

/// A namespace that says nothing of its own on any wire.
fn make_silent(stem: &str, role: &str) -> Namespace {
    let namespace = Namespace::make(stem, role);
    for scope in ["default", "all"] {
        let file = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
        namespace.must(&["sh", "-c", &format!("echo 1 > {file}")]);
    }
    namespace
}

fn address_lines(plan: HostPlan) -> String {
    // Room for two tags within the Ethernet frame that the bridges take.
    let mut lines = format!("link set {DEVICE} mtu 1492\n");
    lines += &format!("addr add {}/24 dev {DEVICE}\n", plan.v4);
    lines += &format!("addr add {}/64 dev {DEVICE} nodad\n", plan.v6);
    if plan.side == Side::Inside {
        let [a, b, c, d] = plan.v4.octets();
        for further in 1..=SERVER_ALIASES {
            lines += &format!("addr add {}/24 dev {DEVICE}\n", Ipv4Addr::new(a, b, c, d + further));
        }
    }
    lines
}

fn mount_bpffs(path: &Path) {
    std::fs::create_dir_all(path).expect("the lab's folder can be written");
    let path = path.to_string_lossy();
    command::must(&["mount", "-t", "bpf", "bpf", &path]);
}

/// Whether one echo request in `limit` is answered.
#[must_use]
pub fn pings(host: &Host, target: IpAddr, limit: Duration) -> bool {
    let target = target.to_string();
    let seconds = limit.as_secs().max(1).to_string();
    host.run(
        &["ping", "-n", "-q", "-c", "1", "-w", &seconds, &target],
        limit + Duration::from_secs(2),
    )
    .succeeded()
}
