//! One question to the kernel by netlink, one answer: links, namespaces, XDP abilities.

use std::io;
use std::num::NonZeroU32;

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

// include/uapi/linux/netlink.h, rtnetlink.h, if_link.h
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NETLINK_GENERIC: u32 = 16;
const RTM_GETLINK: u16 = 18;
/// An attribute's number without its flags.
const KIND_MASK: u16 = 0x3fff;

pub(crate) const IFLA_MTU: u16 = 4;
pub(crate) const IFLA_LINK: u16 = 5;
pub(crate) const IFLA_MASTER: u16 = 10;
pub(crate) const IFLA_NUM_TX_QUEUES: u16 = 31;
pub(crate) const IFLA_NUM_RX_QUEUES: u16 = 32;
pub(crate) const IFLA_LINK_NETNSID: u16 = 37;

// include/uapi/linux/genetlink.h, netdev.h
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const GENERIC_BYTES: usize = 4;

const HEADER_BYTES: usize = 16;
const LINK_BYTES: usize = 16;

/// The largest answer that is read: a link of a big bridge stays far below.
const ANSWER_BYTES: usize = 32 << 10;

/// Which part of the kernel is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    Generic,
    Route,
}

/// The kernel's answer, or a part of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    body: Vec<u8>,
    /// Where attributes start.
    start: usize,
}

impl Answer {
    /// Attributes start behind so many bytes of a fixed structure.
    pub(crate) fn behind(mut self, bytes: usize) -> Answer {
        self.start = bytes;
        self
    }

    /// An attribute's bytes.
    pub(crate) fn bytes(&self, wanted: u16) -> Option<&[u8]> {
        let mut rest = self.body.get(self.start..)?;
        loop {
            let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
            let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
            if kind & KIND_MASK == wanted {
                return rest.get(4..length);
            }
            rest = rest.get(length.max(4).next_multiple_of(4)..)?;
        }
    }

    /// An attribute of four bytes.
    pub(crate) fn number(&self, wanted: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(*self.bytes(wanted)?.first_chunk()?))
    }

    /// A word of the fixed structure.
    pub(crate) fn fixed(&self, offset: usize) -> u32 {
        let bytes = self.body.get(offset..).and_then(<[u8]>::first_chunk).copied();
        bytes.map_or(0, u32::from_ne_bytes)
    }
}

/// A port's link, with its attributes. Its flags are the fixed word at 8.
pub(crate) fn link(ifindex: u32) -> io::Result<Answer> {
    let mut body = [0; LINK_BYTES];
    if let Some(place) = body.get_mut(4..8) {
        place.copy_from_slice(&ifindex.to_ne_bytes());
    }
    Ok(ask(Family::Route, RTM_GETLINK, &body)?.behind(LINK_BYTES))
}

/// What a port's driver can do with XDP, as the kernel's bits (`NETDEV_XDP_ACT_*`).
///
/// # Errors
/// The kernel is older than 6.3, which has no answer.
pub(crate) fn xdp_features(ifindex: u32) -> io::Result<u64> {
    let none = || io::Error::from(io::ErrorKind::Unsupported);
    let question = generic(CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, b"netdev\0");
    let family = ask(Family::Generic, GENL_ID_CTRL, &question)?.behind(GENERIC_BYTES);
    let number = family.bytes(CTRL_ATTR_FAMILY_ID).and_then(<[u8]>::first_chunk).copied();
    let number = u16::from_ne_bytes(number.ok_or_else(none)?);
    let question = generic(NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, &ifindex.to_ne_bytes());
    let device = ask(Family::Generic, number, &question)?.behind(GENERIC_BYTES);
    let bits = device.bytes(NETDEV_A_DEV_XDP_FEATURES).and_then(<[u8]>::first_chunk).copied();
    Ok(u64::from_ne_bytes(bits.ok_or_else(none)?))
}

/// A generic command with one attribute.
fn generic(command: u8, attribute: u16, value: &[u8]) -> Vec<u8> {
    let mut body = vec![command, 1, 0, 0];
    body.extend(u16::try_from(4 + value.len()).unwrap_or_default().to_ne_bytes());
    body.extend(attribute.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
    body
}

/// Asks one question; the answer is its first message.
pub(crate) fn ask(family: Family, kind: u16, body: &[u8]) -> io::Result<Answer> {
    let protocol = match family {
        Family::Generic => NonZeroU32::new(NETLINK_GENERIC).map(Protocol::from_raw),
        Family::Route => None,
    };
    let (netlink, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
    let socket = socket_with(netlink, SocketType::RAW, flags, protocol)?;
    let length = u32::try_from(HEADER_BYTES + body.len()).unwrap_or_default();
    let mut question = Vec::with_capacity(64);
    question.extend(length.to_ne_bytes());
    question.extend(kind.to_ne_bytes());
    question.extend(NLM_F_REQUEST.to_ne_bytes());
    question.extend([0; 8]);
    question.extend(body);
    send(&socket, &question, SendFlags::empty())?;
    let mut answer = vec![0; ANSWER_BYTES];
    let (count, _) = recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
    answer.truncate(count);
    let told = answer.get(4..6).and_then(<[u8]>::first_chunk).copied().map(u16::from_ne_bytes);
    let body = answer.split_off(HEADER_BYTES.min(answer.len()));
    let answer = Answer { body, start: 0 };
    match told {
        Some(NLMSG_ERROR) => {
            let code = i32::from_ne_bytes(answer.fixed(0).to_ne_bytes());
            Err(io::Error::from_raw_os_error(code.wrapping_neg()))
        }
        _ => Ok(answer),
    }
}
