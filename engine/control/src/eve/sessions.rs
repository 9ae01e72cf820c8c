//! Events of protocols with sessions: `tls`, `ssh`, `smtp`, `ftp`, `smb`. Must never know how they
//! are decoded.

use super::json::{Object, Wire};
use portcullis_decode::ftp::{FtpMode, FtpRecord};
use portcullis_decode::smb::{SmbRecord, SmbVersion, command_name};
use portcullis_decode::smtp::SmtpRecord;
use portcullis_decode::ssh::{SshRecord, SshSide};
use portcullis_decode::tls::{Chain, Fingerprint, TlsRecord, iso_date, version_name};

pub(super) fn tls(tls: &mut Object<'_>, record: &TlsRecord) {
    if let Some(chain) = &record.server {
        certificates(tls, chain);
    }
    if record.session_resumed {
        tls.truth("session_resumed", true);
    }
    tls.wire_if("sni", record.sni.as_deref());
    tls.text("version", &version_name(record.version));
    if let Some(chain) = &record.client {
        certificates(&mut tls.object("client"), chain);
    }
    for (key, fingerprint) in [("ja3", &record.ja3), ("ja3s", &record.ja3s)] {
        if let Some(Fingerprint { hash, string }) = fingerprint {
            tls.object(key).text("hash", hash).text("string", string);
        }
    }
    tls.text_if("ja4", record.ja4.as_deref());
    tls.wires("client_alpns", &record.client_alpns);
    tls.wires("server_alpns", &record.server_alpns);
}

fn certificates(tls: &mut Object<'_>, chain: &Chain) {
    if let Some(first) = &chain.first {
        tls.text("subject", &first.subject).text("issuerdn", &first.issuer);
        tls.text("serial", &first.serial);
    }
    if !chain.fingerprint.is_empty() {
        tls.text("fingerprint", &chain.fingerprint);
    }
    if let Some(first) = &chain.first {
        tls.text("notbefore", &iso_date(first.not_before));
        tls.text("notafter", &iso_date(first.not_after));
        tls.texts("subjectaltname", &first.names);
    }
}

pub(super) fn ssh(ssh: &mut Object<'_>, record: &SshRecord) {
    for (key, side) in [("client", &record.client), ("server", &record.server)] {
        let Some(SshSide { proto, software, hassh }) = side else { continue };
        let mut object = ssh.object(key);
        object.wire("proto_version", proto);
        if !software.is_empty() {
            object.wire("software_version", software);
        }
        if let Some((hash, string)) = hassh {
            object.object("hassh").text("hash", hash).wire("string", string);
        }
    }
}

/// `smtp`, and `email` beside it.
pub(super) fn smtp(root: &mut Object<'_>, record: &SmtpRecord) {
    let mut smtp = root.object("smtp");
    smtp.wire_if("helo", record.helo.as_deref());
    smtp.wire_if("mail_from", record.mail_from.as_deref());
    smtp.wires("rcpt_to", &record.rcpt_to);
    drop(smtp);
    let letter = &record.email;
    let headers = [&letter.from, &letter.to, &letter.subject];
    if headers.iter().all(|header| header.is_none()) && record.attachment.is_empty() {
        return;
    }
    let mut email = root.object("email");
    email.text("status", "PARSE_DONE");
    email.wire_if("from", letter.from.as_deref());
    if let Some(to) = &letter.to {
        let mut list = email.list("to");
        mailboxes(to, |mailbox| {
            list.shown(Wire(mailbox));
        });
    }
    email.wire_if("subject", letter.subject.as_deref());
    email.wires("attachment", &record.attachment);
}

/// The mailboxes of a header, which commas part, but for those in quotes.
fn mailboxes(list: &[u8], mut each: impl FnMut(&[u8])) {
    let mut quoted = false;
    let parts = list.split(|byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    });
    for part in parts.map(<[u8]>::trim_ascii).filter(|part| !part.is_empty()) {
        each(part);
    }
}

pub(super) fn ftp(ftp: &mut Object<'_>, record: &FtpRecord) {
    if let Some(command) = &record.command {
        ftp.wire("command", command);
        ftp.wire_if("command_data", record.command_data.as_deref());
        ftp.truth("command_truncated", record.command_truncated);
    }
    ftp.wires("completion_code", &record.codes).wires("reply", &record.reply);
    ftp.number_if("dynamic_port", record.dynamic_port);
    ftp.text_if(
        "mode",
        record.mode.map(|mode| match mode {
            FtpMode::Active => "active",
            FtpMode::Passive => "passive",
        }),
    );
    let is_answered = !record.codes.is_empty() || !record.reply.is_empty();
    ftp.text("reply_received", if is_answered { "yes" } else { "no" });
    ftp.truth("reply_truncated", record.reply_truncated);
}

pub(super) fn smb(smb: &mut Object<'_>, record: &SmbRecord) {
    smb.number("id", u64::from(record.tx_id) + 1);
    match (record.version, record.dialect) {
        (SmbVersion::Two, Some(dialect)) => match dialect_name(dialect) {
            Some(name) => smb.text("dialect", name),
            None => smb.shown("dialect", dialect),
        },
        _ => smb.text("dialect", "unknown"),
    };
    smb.text("command", &command_name(record.version, record.command));
    if let Some(status) = record.status {
        match status_name(status) {
            Some(name) => smb.text("status", name),
            None => smb.shown("status", format_args!("UNKNOWN_{status:02x}")),
        };
        smb.shown("status_code", format_args!("0x{status:x}"));
    }
    smb.number("session_id", record.session_id).number("tree_id", record.tree_id);
    smb.wire_if("filename", record.filename.as_deref());
    smb.wire_if("share", record.share.as_deref());
    smb.wire_if("named_pipe", record.named_pipe.as_deref());
    if let Some(ntlmssp) = &record.ntlmssp {
        let mut object = smb.object("ntlmssp");
        object.wire("domain", &ntlmssp.domain).wire("user", &ntlmssp.user);
        object.wire("host", &ntlmssp.host);
    }
}

/// MS-SMB2 2.2.4.
fn dialect_name(dialect: u16) -> Option<&'static str> {
    Some(match dialect {
        0x0202 => "2.02",
        0x0210 => "2.10",
        0x0222 => "2.22",
        0x0224 => "2.24",
        0x02ff => "2.??",
        0x0300 => "3.00",
        0x0302 => "3.02",
        0x0310 => "3.10",
        0x0311 => "3.11",
        _ => return None,
    })
}

/// MS-ERREF 2.3: those that servers answer with.
fn status_name(status: u32) -> Option<&'static str> {
    const NAMES: [(u32, &str); 32] = [
        (0x0000_0000, "STATUS_SUCCESS"),
        (0x0000_0103, "STATUS_PENDING"),
        (0x0000_010b, "STATUS_NOTIFY_CLEANUP"),
        (0x0000_010c, "STATUS_NOTIFY_ENUM_DIR"),
        (0x8000_0005, "STATUS_BUFFER_OVERFLOW"),
        (0x8000_0006, "STATUS_NO_MORE_FILES"),
        (0xc000_0002, "STATUS_NOT_IMPLEMENTED"),
        (0xc000_0003, "STATUS_INVALID_INFO_CLASS"),
        (0xc000_0008, "STATUS_INVALID_HANDLE"),
        (0xc000_000d, "STATUS_INVALID_PARAMETER"),
        (0xc000_000f, "STATUS_NO_SUCH_FILE"),
        (0xc000_0010, "STATUS_INVALID_DEVICE_REQUEST"),
        (0xc000_0011, "STATUS_END_OF_FILE"),
        (0xc000_0016, "STATUS_MORE_PROCESSING_REQUIRED"),
        (0xc000_0022, "STATUS_ACCESS_DENIED"),
        (0xc000_0033, "STATUS_OBJECT_NAME_INVALID"),
        (0xc000_0034, "STATUS_OBJECT_NAME_NOT_FOUND"),
        (0xc000_0035, "STATUS_OBJECT_NAME_COLLISION"),
        (0xc000_003a, "STATUS_OBJECT_PATH_NOT_FOUND"),
        (0xc000_0043, "STATUS_SHARING_VIOLATION"),
        (0xc000_0056, "STATUS_DELETE_PENDING"),
        (0xc000_006a, "STATUS_WRONG_PASSWORD"),
        (0xc000_006d, "STATUS_LOGON_FAILURE"),
        (0xc000_006e, "STATUS_ACCOUNT_RESTRICTION"),
        (0xc000_0072, "STATUS_ACCOUNT_DISABLED"),
        (0xc000_00ac, "STATUS_PIPE_NOT_AVAILABLE"),
        (0xc000_00ba, "STATUS_FILE_IS_A_DIRECTORY"),
        (0xc000_00bb, "STATUS_NOT_SUPPORTED"),
        (0xc000_00c9, "STATUS_NETWORK_NAME_DELETED"),
        (0xc000_00cc, "STATUS_BAD_NETWORK_NAME"),
        (0xc000_0120, "STATUS_CANCELLED"),
        (0xc000_0203, "STATUS_USER_SESSION_DELETED"),
    ];
    NAMES.iter().find(|(number, _)| *number == status).map(|(_, name)| *name)
}
