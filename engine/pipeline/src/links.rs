//! What a source calls a frame's first header, in the parser's words.

use portcullis_capture::LinkKind;
use portcullis_wire::LinkType;

/// The parser's word.
pub fn link_type(kind: LinkKind) -> LinkType {
    match kind {
        LinkKind::Ethernet => LinkType::Ethernet,
        LinkKind::LinuxSll => LinkType::LinuxSll,
        LinkKind::LinuxSll2 => LinkType::LinuxSll2,
        LinkKind::CiscoHdlc => LinkType::CiscoHdlc,
        LinkKind::Loop => LinkType::Loop,
        LinkKind::Null => LinkType::Null,
        LinkKind::RawIp => LinkType::RawIp,
    }
}
