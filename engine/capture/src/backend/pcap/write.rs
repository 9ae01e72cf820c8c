//! Writes captures: classic pcap with nanoseconds, in little-endian order.

use std::io::{self, Write};

use portcullis_types::Tick;

use super::format::FRAME_BYTES_MAX;
use crate::LinkKind;

/// A capture being written. Buffer the writer: each frame makes two small writes.
#[derive(Debug)]
pub struct PcapWriter<W: Write> {
    out: W,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the file header. All frames of the file begin with `link`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W, link: LinkKind) -> io::Result<PcapWriter<W>> {
        let link_type: u32 = match link {
            LinkKind::Null => 0,
            LinkKind::Ethernet => 1,
            LinkKind::RawIp => 101,
            LinkKind::CiscoHdlc => 104,
            LinkKind::Loop => 108,
            LinkKind::LinuxSll => 113,
            LinkKind::LinuxSll2 => 276,
        };
        out.write_all(&0xa1b2_3c4d_u32.to_le_bytes())?;
        out.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        out.write_all(&FRAME_BYTES_MAX.to_le_bytes())?;
        out.write_all(&link_type.to_le_bytes())?;
        Ok(PcapWriter { out })
    }

    /// Writes one frame that had `wire_len` bytes on the wire, of which `frame` are the first.
    ///
    /// # Errors
    /// Those of `out`, and `InvalidInput` for frames longer than [`FRAME_BYTES_MAX`] and for times
    /// after the year 2106, which the format cannot hold.
    pub fn write(&mut self, at: Tick, frame: &[u8], wire_len: u32) -> io::Result<()> {
        let refuse = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let len = u32::try_from(frame.len())
            .ok()
            .filter(|len| *len <= FRAME_BYTES_MAX)
            .ok_or_else(|| refuse("a frame longer than 262144 bytes fits no capture"))?;
        let seconds = u32::try_from(at.0 / 1_000_000_000)
            .map_err(|_| refuse("a time after the year 2106 fits no classic capture"))?;
        let fraction = u32::try_from(at.0 % 1_000_000_000).unwrap_or(0);
        for word in [seconds, fraction, len, wire_len.max(len)] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.out.write_all(frame)
    }

    /// Flushes and returns what was written to.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
