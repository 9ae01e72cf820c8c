//! Messages of SMB 1 (MS-CIFS) and SMB 2/3 (MS-SMB2): what a message says that rules and the
//! journal name; total. Must never know a flow.

use crate::reader::Reader;

/// Commands of one message (AndX, compounds) that are read.
const COMMANDS_MAX: usize = 16;
/// Characters of a name.
const NAME_MAX: usize = 512;

/// Which generation a message is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SmbVersion {
    /// `\xffSMB`.
    #[default]
    One,
    /// `\xfeSMB`, which SMB 3 has too.
    Two,
}

/// Who a client says it is (MS-NLMP).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ntlmssp {
    /// User.
    pub user: Vec<u8>,
    /// Domain.
    pub domain: Vec<u8>,
    /// Machine.
    pub host: Vec<u8>,
}

/// One command of a message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Command {
    pub(super) version: SmbVersion,
    pub(super) number: u16,
    pub(super) response: bool,
    pub(super) status: u32,
    pub(super) id: u64,
    pub(super) session: u64,
    pub(super) tree: u32,
    /// Path of a tree connect, name of a create.
    pub(super) name: Option<Vec<u8>>,
    /// Service of a tree connect of SMB 1.
    pub(super) service: Vec<u8>,
    pub(super) ntlmssp: Option<Ntlmssp>,
    /// Dialect that a server chose.
    pub(super) dialect: Option<u16>,
    /// The NTLMSSP message could not be read.
    pub(super) malformed_ntlmssp: bool,
}

pub(super) const NEGOTIATE_1: u16 = 0x72;
pub(super) const SESSION_1: u16 = 0x73;
pub(super) const TREE_1: u16 = 0x75;
pub(super) const CREATE_1: u16 = 0xa2;
pub(super) const NEGOTIATE_2: u16 = 0;
pub(super) const SESSION_2: u16 = 1;
pub(super) const TREE_2: u16 = 3;
pub(super) const CREATE_2: u16 = 5;
const ANDX: [u16; 9] = [0x24, 0x2d, 0x2e, 0x2f, SESSION_1, 0x74, TREE_1, CREATE_1, 0x22];

/// Reads as many commands as are there; `None` for what is neither generation.
pub(super) fn read(bytes: &[u8]) -> Option<Vec<Command>> {
    match bytes.first_chunk::<4>()? {
        b"\xffSMB" => first(bytes),
        b"\xfeSMB" => Some(second(bytes)),
        _ => None,
    }
}

fn first(bytes: &[u8]) -> Option<Vec<Command>> {
    let mut reader = Reader::new(bytes.get(4..)?);
    let number = reader.u8()?;
    let status = reader.u32_little()?;
    let (flags, flags2) = (reader.u8()?, reader.u16_little()?);
    reader.take(12)?;
    let tree = reader.u16_little()?.into();
    reader.take(2)?;
    let (session, id) = (reader.u16_little()?.into(), reader.u16_little()?.into());
    let base =
        Command { status, response: flags & 0x80 != 0, tree, session, id, ..Command::default() };
    let unicode = flags2 & 0x8000 != 0;
    let (mut commands, mut number, mut at) = (Vec::new(), u16::from(number), 32usize);
    while commands.len() < COMMANDS_MAX {
        let mut command = Command { number, ..base.clone() };
        let next = first_body(bytes, at, unicode, &mut command);
        commands.push(command);
        match next {
            // Each lies behind the one before, so that a chain ends.
            Some((following, offset)) if offset > at => (number, at) = (following, offset),
            _ => break,
        }
    }
    Some(commands)
}

/// Reads words and bytes of a command; the number and offset of the one behind it.
fn first_body(
    bytes: &[u8],
    at: usize,
    unicode: bool,
    command: &mut Command,
) -> Option<(u16, usize)> {
    let mut reader = Reader::new(bytes.get(at..)?);
    let count = usize::from(reader.u8()?);
    let mut words = Reader::new(reader.take(2 * count)?);
    let data_at = at + 1 + 2 * count + 2;
    let length = reader.u16_little()?;
    let data = reader.take(length.into()).unwrap_or(reader.rest());
    let mut next = None;
    if ANDX.contains(&command.number) && count >= 2 {
        let following = words.u8()?;
        words.take(1)?;
        let offset = usize::from(words.u16_little()?);
        next = (following != 0xff).then_some((following.into(), offset));
    }
    match (command.number, command.response) {
        (SESSION_1, _) => security(data, command),
        (TREE_1, false) => {
            words.take(2)?;
            let password = usize::from(words.u16_little()?);
            let pad = if unicode { (data_at + password) % 2 } else { 0 };
            let rest = data.get(password + pad..).unwrap_or_default();
            let (path, behind) = text(rest, unicode);
            command.name = Some(path);
            command.service = text(behind, false).0;
        }
        (TREE_1, true) => command.service = text(data, false).0,
        (CREATE_1, false) => {
            words.take(1)?;
            let length = usize::from(words.u16_little()?);
            let pad = if unicode { data_at % 2 } else { 0 };
            let name = data.get(pad..).unwrap_or_default();
            command.name = Some(text(name.get(..length).unwrap_or(name), unicode).0);
        }
        _ => {}
    }
    next
}

fn second(bytes: &[u8]) -> Vec<Command> {
    let (mut commands, mut rest) = (Vec::new(), bytes);
    while commands.len() < COMMANDS_MAX {
        let Some((command, next)) = second_one(rest) else { break };
        commands.push(command);
        match rest.get(next..) {
            Some(following) if next >= 64 => rest = following,
            _ => break,
        }
    }
    commands
}

fn second_one(bytes: &[u8]) -> Option<(Command, usize)> {
    let mut reader = Reader::new(bytes.get(8..)?);
    let status = reader.u32_little()?;
    let number = reader.u16_little()?;
    reader.take(2)?;
    let flags = reader.u32_little()?;
    let next = usize::try_from(reader.u32_little()?).ok()?;
    let id = u64::from_le_bytes(reader.array()?);
    reader.take(4)?;
    let tree = reader.u32_little()?;
    let session = u64::from_le_bytes(reader.array()?);
    let response = flags & 1 != 0;
    let version = SmbVersion::Two;
    let mut command =
        Command { version, number, response, status, id, session, tree, ..Command::default() };
    let body = bytes.get(64..).unwrap_or_default();
    let own = if next == 0 { bytes } else { bytes.get(..next).unwrap_or(bytes) };
    let _ = second_body(own, body, &mut command);
    Some((command, next))
}

fn second_body(message: &[u8], body: &[u8], command: &mut Command) -> Option<()> {
    let mut reader = Reader::new(body);
    match (command.number, command.response) {
        (NEGOTIATE_2, true) => {
            reader.take(4)?;
            command.dialect = Some(reader.u16_little()?);
        }
        (SESSION_2, _) => security(body, command),
        (TREE_2, false) => {
            reader.take(4)?;
            command.name = Some(name_at(message, &mut reader)?);
        }
        (TREE_2, true) => {
            reader.take(2)?;
            // Type of the share: 2 is a pipe.
            command.service = if reader.u8()? == 2 { b"IPC".to_vec() } else { Vec::new() };
        }
        (CREATE_2, false) => {
            reader.take(44)?;
            command.name = Some(name_at(message, &mut reader)?);
        }
        _ => {}
    }
    Some(())
}

fn name_at(message: &[u8], reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    let (offset, length) = (reader.u16_little()?.into(), usize::from(reader.u16_little()?));
    let bytes = message.get(offset..)?;
    Some(wide(bytes.get(..length).unwrap_or(bytes)))
}

/// Finds who the client says it is, wherever the security blob has it.
fn security(data: &[u8], command: &mut Command) {
    let mark = b"NTLMSSP\0";
    let Some(at) = data.windows(mark.len()).position(|at| at == mark) else { return };
    let message = data.get(at..).unwrap_or_default();
    let Some(3) = message.get(8) else { return };
    match ntlmssp(message) {
        Some(read) => command.ntlmssp = Some(read),
        None => command.malformed_ntlmssp = true,
    }
}

fn ntlmssp(message: &[u8]) -> Option<Ntlmssp> {
    let mut reader = Reader::new(message.get(28..)?);
    let mut fields = [(0usize, 0usize); 3];
    for field in &mut fields {
        let length = reader.u16_little()?;
        reader.take(2)?;
        *field = (usize::try_from(reader.u32_little()?).ok()?, length.into());
    }
    let flags = Reader::new(message.get(60..)?).u32_little()?;
    let read = |(at, length): (usize, usize)| {
        let bytes = message.get(at..at.checked_add(length)?)?;
        Some(if flags & 1 != 0 { wide(bytes) } else { bytes.get(..length.min(NAME_MAX))?.to_vec() })
    };
    let [domain, user, host] = fields;
    Some(Ntlmssp { domain: read(domain)?, user: read(user)?, host: read(host)? })
}

/// A text up to its zero, and what is behind it.
fn text(bytes: &[u8], unicode: bool) -> (Vec<u8>, &[u8]) {
    if !unicode {
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        let kept = bytes.get(..end.min(NAME_MAX)).unwrap_or_default();
        return (kept.to_vec(), bytes.get(end + 1..).unwrap_or_default());
    }
    let pairs = bytes.as_chunks::<2>().0;
    let end = pairs.iter().position(|pair| *pair == [0, 0]).unwrap_or(pairs.len());
    let kept = bytes.get(..2 * end).unwrap_or_default();
    (wide(kept), bytes.get(2 * end + 2..).unwrap_or_default())
}

/// UTF-16 as UTF-8.
fn wide(bytes: &[u8]) -> Vec<u8> {
    let pairs = bytes.as_chunks::<2>().0.iter().take(NAME_MAX);
    let units = pairs.map(|&pair| u16::from_le_bytes(pair));
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect();
    text.into_bytes()
}

/// The word for a command as Suricata's journal has it.
pub fn command_name(version: SmbVersion, number: u16) -> String {
    let name = match (version, number) {
        (SmbVersion::One, 0x04) => "SMB1_COMMAND_CLOSE",
        (SmbVersion::One, 0x25) => "SMB1_COMMAND_TRANS",
        (SmbVersion::One, 0x2b) => "SMB1_COMMAND_ECHO",
        (SmbVersion::One, 0x2e) => "SMB1_COMMAND_READ_ANDX",
        (SmbVersion::One, 0x2f) => "SMB1_COMMAND_WRITE_ANDX",
        (SmbVersion::One, 0x32) => "SMB1_COMMAND_TRANS2",
        (SmbVersion::One, 0x71) => "SMB1_COMMAND_TREE_DISCONNECT",
        (SmbVersion::One, NEGOTIATE_1) => "SMB1_COMMAND_NEGOTIATE_PROTOCOL",
        (SmbVersion::One, SESSION_1) => "SMB1_COMMAND_SESSION_SETUP_ANDX",
        (SmbVersion::One, 0x74) => "SMB1_COMMAND_LOGOFF_ANDX",
        (SmbVersion::One, TREE_1) => "SMB1_COMMAND_TREE_CONNECT_ANDX",
        (SmbVersion::One, 0xa0) => "SMB1_COMMAND_NT_TRANS",
        (SmbVersion::One, CREATE_1) => "SMB1_COMMAND_NT_CREATE_ANDX",
        (SmbVersion::Two, NEGOTIATE_2) => "SMB2_COMMAND_NEGOTIATE_PROTOCOL",
        (SmbVersion::Two, SESSION_2) => "SMB2_COMMAND_SESSION_SETUP",
        (SmbVersion::Two, 2) => "SMB2_COMMAND_SESSION_LOGOFF",
        (SmbVersion::Two, TREE_2) => "SMB2_COMMAND_TREE_CONNECT",
        (SmbVersion::Two, 4) => "SMB2_COMMAND_TREE_DISCONNECT",
        (SmbVersion::Two, CREATE_2) => "SMB2_COMMAND_CREATE",
        (SmbVersion::Two, 6) => "SMB2_COMMAND_CLOSE",
        (SmbVersion::Two, 8) => "SMB2_COMMAND_READ",
        (SmbVersion::Two, 9) => "SMB2_COMMAND_WRITE",
        (SmbVersion::Two, 11) => "SMB2_COMMAND_IOCTL",
        (SmbVersion::Two, 13) => "SMB2_COMMAND_KEEPALIVE",
        (SmbVersion::Two, 14) => "SMB2_COMMAND_FIND",
        (SmbVersion::Two, 16) => "SMB2_COMMAND_GET_INFO",
        (SmbVersion::Two, 17) => "SMB2_COMMAND_SET_INFO",
        _ => return number.to_string(),
    };
    name.into()
}
