//! Questions and orders to a port's driver (`SIOCETHTOOL`): features by name, counters, rings.
//!
//! Features go by the kernel's own names (`ETHTOOL_GFEATURES`), not by the old flags: those cannot
//! name the service tag or UDP segmentation. It must never know why somebody asks.

#![allow(unsafe_code, reason = "small ioctls that no safe crate offers")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

// include/uapi/linux/ethtool.h
const GDRVINFO: u32 = 0x03;
const GSTRINGS: u32 = 0x1b;
const GRXFH: u32 = 0x29;
const GSSET_INFO: u32 = 0x37;
const GFEATURES: u32 = 0x3a;
const SFEATURES: u32 = 0x3b;
const GCHANNELS: u32 = 0x3c;
const GRSSH: u32 = 0x46;

/// Bytes of one name in a string set.
const NAME_BYTES: usize = 32;
/// The largest string set that is read; the kernel's feature set has some 70 names.
const NAMES_MAX: u32 = 4_096;

/// The string set of feature names.
const SET_OF_FEATURES: u32 = 4;

/// One feature of a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Feature {
    /// The kernel's name, e.g. `tx-vlan-hw-insert`.
    pub(crate) name: String,
    /// Whether it is on.
    pub(crate) active: bool,
    /// Whether anybody can change it.
    pub(crate) changeable: bool,
}

/// A port's queues.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Channels {
    pub(crate) rx: u32,
    pub(crate) tx: u32,
    pub(crate) combined: u32,
    pub(crate) combined_max: u32,
}

/// How a port spreads frames over its queues.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Spreading {
    /// The hash key; empty where the driver does not tell.
    pub(crate) key: Vec<u8>,
    /// Whether the driver makes both directions of a flow alike before hashing.
    pub(crate) symmetric: bool,
}

/// A socket to ask by, in the network namespace where it was made.
#[derive(Debug)]
pub(crate) struct Ethtool {
    socket: OwnedFd,
}

impl Ethtool {
    /// For this thread's network namespace.
    pub(crate) fn new() -> io::Result<Ethtool> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
        let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
        Ok(Ethtool { socket: socket_with(family, kind, SocketFlags::CLOEXEC, None)? })
    }

    /// The name of the port with this number.
    pub(crate) fn name_of(&self, ifindex: u32) -> io::Result<String> {
        Ok(rustix::net::netdevice::index_to_name(&self.socket, ifindex)?)
    }

    /// The number of the port with this name.
    pub(crate) fn number_of(&self, port: &str) -> io::Result<u32> {
        Ok(rustix::net::netdevice::name_to_index(&self.socket, port)?)
    }

    /// The driver's name.
    pub(crate) fn driver(&self, port: &str) -> io::Result<String> {
        let mut words = [0_u32; 49];
        self.ask(port, GDRVINFO, &mut words)?;
        Ok(text(bytes_of(words.get(1..9).unwrap_or_default())))
    }

    /// All features that the kernel knows, with their state on this port.
    pub(crate) fn features(&self, port: &str) -> io::Result<Vec<Feature>> {
        let names = self.feature_names(port)?;
        let blocks = names.len().div_ceil(32);
        let mut words = vec![0_u32; 2 + 4 * blocks];
        if let Some(size) = words.get_mut(1) {
            *size = u32::try_from(blocks).unwrap_or_default();
        }
        self.ask(port, GFEATURES, &mut words)?;
        let blocks = words.get(2..).unwrap_or_default().as_chunks::<4>().0;
        let state = |i: usize| {
            let bit = 1_u32 << (i % 32);
            let [available, _, active, never] = blocks.get(i / 32).copied().unwrap_or_default();
            (active & bit != 0, available & bit != 0 && never & bit == 0)
        };
        let with_state = |(i, name): (usize, String)| {
            let (active, changeable) = state(i);
            Feature { name, active, changeable }
        };
        Ok(names.into_iter().enumerate().map(with_state).collect())
    }

    /// Asks for these features to be off. What stays on is for the caller to read back.
    pub(crate) fn switch_off(&self, port: &str, wanted: &[&str]) -> io::Result<()> {
        let names = self.feature_names(port)?;
        let blocks = names.len().div_ceil(32);
        let mut words = vec![0_u32; 2 + 2 * blocks];
        if let Some(size) = words.get_mut(1) {
            *size = u32::try_from(blocks).unwrap_or_default();
        }
        for (i, name) in names.iter().enumerate() {
            if wanted.contains(&name.as_str())
                && let Some(valid) = words.get_mut(2 + 2 * (i / 32))
            {
                *valid |= 1 << (i % 32);
            }
        }
        self.ask(port, SFEATURES, &mut words)
    }

    /// The queues in use.
    pub(crate) fn channels(&self, port: &str) -> io::Result<Channels> {
        let mut words = [0_u32; 9];
        self.ask(port, GCHANNELS, &mut words)?;
        let [_, _, _, _, combined_max, rx, tx, _, combined] = words;
        Ok(Channels { rx, tx, combined, combined_max })
    }

    /// The hash key by which frames are spread over queues.
    pub(crate) fn spreading(&self, port: &str) -> io::Result<Spreading> {
        const HEADER_WORDS: usize = 6;
        // cmd, context, table entries, key bytes, function and reserved, reserved; asked with both
        // sizes zero, the kernel fills in the sizes only.
        let mut words = [0_u32; HEADER_WORDS];
        self.ask(port, GRSSH, &mut words)?;
        let [_, _, entries, key_bytes, ..] = words;
        if entries > NAMES_MAX * 16 || key_bytes > NAMES_MAX || key_bytes == 0 {
            return Ok(Spreading::default());
        }
        let more = entries as usize + (key_bytes as usize).div_ceil(4);
        let mut words = vec![0_u32; HEADER_WORDS + more];
        if let [_, _, asked_entries, asked_key, ..] = words.as_mut_slice() {
            (*asked_entries, *asked_key) = (entries, key_bytes);
        }
        self.ask(port, GRSSH, &mut words)?;
        let mut key = bytes_of(words.get(HEADER_WORDS + entries as usize..).unwrap_or_default());
        key.truncate(key_bytes as usize);
        // The word behind the sizes: function, then the transformation of the input (bit 0: XOR,
        // bit 1: OR of the two directions), each one byte.
        let function = words.get(4).copied().unwrap_or_default().to_ne_bytes();
        Ok(Spreading { key, symmetric: function[1] & 3 != 0 })
    }

    /// The header fields that go into the hash for TCP over IPv4, as the kernel's bits.
    pub(crate) fn hash_fields(&self, port: &str) -> io::Result<u64> {
        const TCP_V4_FLOW: u32 = 1;
        // `struct ethtool_rxnfc` without its rule list: 4 + 4 + 8 + 172 + 4 bytes, with room.
        let mut words = [0_u32; 64];
        words[1] = TCP_V4_FLOW;
        self.ask(port, GRXFH, &mut words)?;
        let data = bytes_of(words.get(2..4).unwrap_or_default());
        Ok(data.first_chunk().copied().map_or(0, u64::from_ne_bytes))
    }

    fn feature_names(&self, port: &str) -> io::Result<Vec<String>> {
        // cmd, reserved, the mask of sets (one 64-bit number), one count.
        let mut words = [0_u32; 5];
        let [m0, m1, m2, m3, m4, m5, m6, m7] = (1_u64 << SET_OF_FEATURES).to_ne_bytes();
        words[2] = u32::from_ne_bytes([m0, m1, m2, m3]);
        words[3] = u32::from_ne_bytes([m4, m5, m6, m7]);
        self.ask(port, GSSET_INFO, &mut words)?;
        let count = words[4].min(NAMES_MAX);
        let mut words = vec![0_u32; 3 + count as usize * NAME_BYTES / 4];
        if let [_, asked_set, asked_count, ..] = words.as_mut_slice() {
            (*asked_set, *asked_count) = (SET_OF_FEATURES, count);
        }
        self.ask(port, GSTRINGS, &mut words)?;
        let names = bytes_of(words.get(3..).unwrap_or_default());
        Ok(names.as_chunks::<NAME_BYTES>().0.iter().map(|name| text(name.to_vec())).collect())
    }

    /// Gives `words` to the driver, which answers in them. The first becomes the command; each
    /// caller sizes them as the command's C structure and the counts in it say.
    fn ask(&self, port: &str, command: u32, words: &mut [u32]) -> io::Result<()> {
        if let Some(first) = words.first_mut() {
            *first = command;
        }
        // SAFETY: justification: `ifreq` has no constructor. It is plain data, for which zeros are
        // valid.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        let no_such = || io::Error::from_raw_os_error(libc::ENODEV);
        let (room, last) = (&mut request.ifr_name, libc::IFNAMSIZ - 1);
        if port.is_empty() || port.len() > last {
            return Err(no_such());
        }
        for (to, from) in room.iter_mut().zip(port.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
        // SAFETY: justification: no safe wrapper. The request and the words live through the call;
        // the kernel writes no more than the command's structure with the counts given in it,
        // which is what every caller above has allocated.
        let done = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL, &mut request) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

fn bytes_of(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Bytes up to the first zero.
fn text(bytes: Vec<u8>) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}
